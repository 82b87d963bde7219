"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.service import IpamdProcess, running_service
from tests.web.conftest import VIEWS

AXE = Path(__file__).with_name("axe") / "axe.min.js"
CHROMIUM = "/usr/bin/chromium"
PATIENCE = 60_000  # milliseconds, on a busy machine
SHAPES = [(360, "dark"), (1024, "light"), (2560, "dark")]
VIEWED = [path for path in VIEWS if not path.endswith("/samples")]
FOUND = (
    "axe.run().then(found => found.violations.map("
    "each => each.id + ': ' + each.nodes.slice(0, 3).map(node => node.target.join(' ')).join(', ')))"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


class Watched:
    """A window, and everything that it complained of or asked for elsewhere."""

    def __init__(self, context: BrowserContext, service: IpamdProcess) -> None:
        context.set_default_timeout(PATIENCE)
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self._home = service.tcp_endpoint
        self.page.on("console", lambda said: self._note(said.type in ("error", "warning"), said.text))
        self.page.on("pageerror", lambda error: self._note(True, str(error)))
        self.page.on("dialog", lambda dialog: self._note(True, f"dialog {dialog.message}"))
        self.page.on("request", lambda sent: self._note(not sent.url.startswith(self._home), sent.url))

    def _note(self, bad: bool, what: str) -> None:
        if bad:
            self.complaints.append(what)

    def open(self, path: str) -> Page:
        self.page.goto(self._home + path)
        return self.page


@pytest.fixture
def watched(chromium: Browser, filled: IpamdProcess) -> Iterator[Watched]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    made = Watched(context, filled)
    yield made
    context.close()
    assert made.complaints == []


@pytest.mark.parametrize(("width", "scheme"), SHAPES)
def test_every_view_is_accessible_fits_its_window_and_asks_nobody_else(
    chromium: Browser, filled: IpamdProcess, width: int, scheme: Any
) -> None:
    """The views are shared out, so that each is seen at one width at least, in a third of the time."""
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    seen = Watched(context, filled)
    found: dict[str, list[str]] = {}
    for path in VIEWED[SHAPES.index((width, scheme)) :: len(SHAPES)]:
        page = seen.open(path)
        found[path] = page.evaluate(f"{AXE.read_text()};{FOUND}")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found[path].append("wider than the window")
    context.close()

    assert {path: wrong for path, wrong in found.items() if wrong} == {}
    assert seen.complaints == []


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


def test_a_pool_opens_within_the_tree_and_the_address_can_be_sent_on(watched: Watched) -> None:
    page = watched.open("/ui/tree")
    page.evaluate("window.marked = true")

    page.get_by_role("link", name="pods", exact=False).first.click()

    expect(page.get_by_role("group", name="Addresses of 10.64.0.0/24")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("window.marked")
    assert "open=pods" in page.url


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


def test_times_are_the_readers_and_one_click_away_from_utc(chromium: Browser, filled: IpamdProcess) -> None:
    context = chromium.new_context(timezone_id="Asia/Tokyo")
    page = Watched(context, filled).open("/ui/history")
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
