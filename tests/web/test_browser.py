"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, expect

from ipamd.models.instant import SECOND
from tests.api.plugin_call import call
from tests.service import IpamdProcess, running_service
from tests.web.windows import PATIENCE, PORTIONS, Scheme, Watched, faults

SHOWN: dict[int, Scheme] = {360: "dark", 2560: "light"}
"""Only in narrow windows do fonts and shadows depend on the width: `test_one_name` shows these in light too.

No style is for 1024 pixels alone: there it is enough that all fits.
"""


@pytest.fixture
def watched(chromium: Browser, filled: IpamdProcess) -> Iterator[Watched]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    made = Watched(context, filled.tcp_endpoint)
    yield made
    context.close()
    assert made.complaints == []


@pytest.mark.parametrize("views", PORTIONS)
def test_every_view_is_accessible_fits_its_window_and_asks_nobody_else(
    chromium: Browser, filled: IpamdProcess, views: list[str]
) -> None:
    assert faults(chromium, filled.tcp_endpoint, views, SHOWN) == {}


def test_rows_change_in_their_place_and_a_pause_holds_them(watched: Watched, filled: IpamdProcess) -> None:
    page = watched.open("/?q=six")
    row = page.locator("#r-six")
    expect(page.locator(".live .state")).to_have_text("Live", timeout=PATIENCE)
    row.evaluate("row => { row.marked = true; }")
    held = int(row.locator("td").nth(5).inner_text())

    assert filled.http.post("/v1/allocations", json={"owner": "seen", "pool": "six"}).is_success

    expect(row.locator("td").nth(5)).to_have_text(str(held + 1), timeout=PATIENCE)
    assert row.evaluate("row => row.marked")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".live .state")).to_have_text("Paused")


def test_a_node_whose_name_is_a_step_back_is_opened_and_drained(
    watched: Watched, filled: IpamdProcess
) -> None:
    assert filled.http.post("/v1/cni/add", json=call("dots", ipam={"pools": ["six"]}, node="..")).is_success
    page = watched.open("/ui/nodes")

    page.get_by_role("link", name="..", exact=True).click()
    page.get_by_role("button", name="Drain").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(".. cluster default")
    expect(page.get_by_role("button", name="End draining")).to_be_visible()


def test_a_pool_opens_within_the_tree_and_the_address_can_be_sent_on(watched: Watched) -> None:
    page = watched.open("/ui/tree")
    page.evaluate("window.marked = true")

    page.get_by_role("link", name="pods", exact=False).first.click()

    expect(page.get_by_role("group", name="Addresses of 10.64.0.0/24")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("window.marked")
    assert "open=pods" in page.url
    expect(page.locator("#o-pods")).to_be_focused()


def test_the_keyboard_alone_finds_an_address_and_releases_it(watched: Watched, filled: IpamdProcess) -> None:
    held = filled.http.post("/v1/allocations", json={"owner": "typed", "pool": "pods"}).json()
    page = watched.open("/")
    page.get_by_role("searchbox").focus()
    page.keyboard.type(held["address"])
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Release").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Release").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_text("Nobody.", exact=True)).to_be_visible(timeout=PATIENCE)
    assert not filled.allocations(owner="typed")


def test_the_keyboard_alone_ticks_all_that_is_shown_and_reads_what_became_of_each(
    watched: Watched, filled: IpamdProcess
) -> None:
    for number in range(3):
        given = {"owner": "ticked", "pool": "wide", "address": f"11.9.9.{number + 1}"}
        assert filled.http.post("/v1/allocations", json=given).is_success
    page = watched.open("/ui/allocations?owner=ticked")
    for button in ("Choose all shown", "Release what is chosen", "Release 3"):
        page.get_by_role("button", name=button).focus()
        page.keyboard.press("Enter")

    expect(page.get_by_text("3 of 3 released.")).to_be_visible(timeout=PATIENCE)
    assert page.get_by_role("cell", name="11.9.9.2").is_visible()
    assert not filled.allocations(owner="ticked")


def test_the_curve_fits_its_window_and_is_there_in_numbers_without_scripts(
    chromium: Browser, watched: Watched, filled: IpamdProcess
) -> None:
    hour = int(time.time()) // 3600 * 3600
    with closing(sqlite3.connect(filled.database, timeout=30)) as database, database:
        rows = [("pods", (hour - back * 3600) * SECOND, 100 + back) for back in range(1, 73)]
        database.executemany("INSERT INTO usage_sample (pool, at, allocated) VALUES (?, ?, ?)", rows)
    page = watched.open("/ui/pools/pods")
    curve = page.locator(".chart .uplot")
    expect(curve).to_be_visible(timeout=PATIENCE)
    expect(curve).to_have_css("width", "1000px")

    page.set_viewport_size({"width": 360, "height": 800})

    expect(curve).to_have_css("width", "344px")
    context = chromium.new_context(java_script_enabled=False)
    plain = Watched(context, filled.tcp_endpoint).open("/ui/pools/pods")
    expect(plain.locator("#zone")).to_be_hidden()
    expect(plain.locator(".live")).to_be_hidden()
    plain.get_by_text("Day by day").click()
    expect(plain.locator("details td").last).to_have_text("172")
    context.close()


def test_times_are_the_readers_and_one_click_away_from_utc(chromium: Browser, filled: IpamdProcess) -> None:
    context = chromium.new_context(timezone_id="Asia/Tokyo")
    page = Watched(context, filled.tcp_endpoint).open("/ui/history")
    time = page.locator("td time").first
    moment = time.get_attribute("datetime")
    assert moment is not None
    local = time.inner_text()

    page.get_by_role("button", name="Times in Asia/Tokyo").click()

    assert time.inner_text() == f"{moment[:10]} {moment[11:19]} UTC"
    assert (int(local[11:13]) - int(moment[11:13])) % 24 == 9
    context.close()


def test_whoever_follows_a_link_of_another_site_is_still_signed_in(chromium: Browser) -> None:
    with running_service() as service:
        made = service.http.post("/v1/tokens", json={"role": "reader", "name": "bob"}).json()
        context = chromium.new_context()
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(f"{service.tcp_endpoint}/ui/nodes")
        page.get_by_label("Token").fill(made["token"])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Nodes")).to_be_visible(timeout=PATIENCE)
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")

        elsewhere = f"<a href='{service.tcp_endpoint}/ui/history'>look</a>"
        page.route(
            "http://elsewhere.example/", lambda route: route.fulfill(content_type="text/html", body=elsewhere)
        )
        page.goto("http://elsewhere.example/")
        page.get_by_role("link", name="look").click()

        expect(page.get_by_role("heading", name="History")).to_be_visible(timeout=PATIENCE)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/ui/history", page.url)
        context.close()
