"""What each view shows, over HTTP: without scripts, as a terminal's browser sees it."""

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from html import unescape
from pathlib import Path

import httpx
import pytest

from ipamd.web.windows import MOST_OF_ONE
from tests.api.lease_holder import LeaseHolder
from tests.service import IpamdProcess, running_service
from tests.waiting import eventually
from tests.web.conftest import HOSTILE, HOSTILE_WORD, VIEWS, Browser

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", VIEWS)
def test_each_view_answers_says_what_it_is_for_and_keeps_foreign_markup_out(page: Browser, path: str) -> None:
    answer = page.get(path)

    assert answer.status_code == 200, answer.text
    assert VIEWS[path] in answer.text
    assert HOSTILE not in answer.text
    assert HOSTILE_WORD not in answer.text
    assert "\u202e" not in answer.text
    assert not re.search(r"<script(?! src=\"/ui/static/)|\sstyle=|\son[a-z]+=|javascript:", answer.text)
    assert len(answer.content) < 500_000


def test_prefixes_are_seen_and_explained_beside_owners(page: Browser) -> None:
    explained = page.get("/ui/explain?namespace=web&pools=wide&owner=db&prefix=29").text
    assert re.search(r'It would get <strong class="ip">[0-9./]+</strong> and <strong', explained)
    assert re.search(r'<strong class="ip">11[0-9.]+/29</strong>', explained)
    refused = page.get("/ui/explain?namespace=web&pools=wide&owner=a/b").text
    assert "is not a name of an owner" in refused

    body = {"owner": "vm-of-prefix", "pool": "wide", "prefix_length": 28}
    made = page.http.post("/v1/allocations", json=body).json()
    eventually(lambda: "<dt>/28 prefixes</dt><dd>1</dd>" in page.get("/ui/pools/wide").text)
    assert page.http.delete(f"/v1/allocations/{made['id']}").is_success


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/ui/addresses/nonsense", 400, "is not an IPv4 or IPv6 address"),
        ("/ui/pools/gone", 404, "there is no pool"),
        ("/ui/pools/pods/map?at=10.65.0.0/24", 404, "10.65.0.0/24"),
        ("/ui/pools/pods/map?at=10.64.0.1/24", 400, "host bits"),
        ("/ui/pools/pods/map?address=10.65.0.1", 404, "10.65.0.1"),
        ("/ui/map?at=10.0.0.1/8", 400, "host bits"),
        ("/ui/map?at=nonsense", 400, "is not an IPv4 or IPv6 address"),
        ("/ui/nodes/default/gone", 404, "there is no node"),
        ("/ui/allocations?cursor=bent", 422, "cursor"),
        ("/ui/log?kind=weather", 422, "kind"),
        ("/ui/live?of=/ui/live?of=/", 404, "This view is not live"),
        ("/ui/live?of=/ui/tables/allocations", 404, "This view is not live"),
        ("/ui/nothing", 404, "There is nothing here"),
    ],
)
def test_a_link_to_what_is_not_there_is_a_sentence_on_the_page(
    page: Browser, path: str, status: int, says: str
) -> None:
    answer = page.get(path)

    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert says in answer.text


@pytest.mark.parametrize(
    ("words", "leads_to"),
    [
        ("10.64.0.9", "/ui/addresses/10.64.0.9?space=default"),
        (" 10.64.0.0/25 ", "/ui/pools/pods/map?at=10.64.0.0/25"),
        ("fd00::/80", "/ui/pools/six/map?at=fd00::/80"),
        ("pods", "/ui/pools/pods"),
    ],
)
def test_search_leads_to_what_alone_can_be_meant(page: Browser, words: str, leads_to: str) -> None:
    answer = page.http.get("/ui/search", params={"q": words})

    assert (answer.status_code, answer.headers["location"]) == (303, leads_to)


def test_search_finds_who_had_an_address_by_the_name_of_an_owner(page: Browser, filled: IpamdProcess) -> None:
    held = filled.http.post("/v1/allocations", json={"owner": "former", "pool": "wide"}).json()
    assert filled.http.delete(f"/v1/allocations/{held['id']}").is_success

    text = page.get("/ui/search?q=former").text

    assert f"/ui/addresses/{held['address']}" in text
    assert held["address"] in page.get("/ui/history?owner=former").text


def test_a_picture_tells_each_address_of_a_small_prefix_and_the_gaps(page: Browser) -> None:
    text = page.get("/ui/pools/pods/map?at=10.64.0.0/24").text

    states = dict(re.findall(r'aria-label="(10\.64\.0\.\d+), (\w+)"', text))
    assert len(states) == 256
    assert states["10.64.0.0"] == states["10.64.0.1"] == states["10.64.0.255"] == "excluded"
    assert states["10.64.0.9"] == "allocated"
    assert {states[f"10.64.0.{last}"] for last in range(64, 72)} == {"reserved"}
    assert list(states.values()).count("held") == 3
    assert list(states.values()).count("free") == 256 - 3 - 2 - 9 - 3
    assert re.search(r"10\.64\.0\.10</a>.*10\.64\.0\.63.*<small>54<", text)


def test_a_picture_tells_each_prefix_of_a_pool_of_prefixes(page: Browser, filled: IpamdProcess) -> None:
    filled.create_pool("routed", "10.40.0.0/16", prefix_length=24, exclusions=["10.40.9.0/24"])
    assert filled.http.post("/v1/reservations", json={"address": "10.40.8.0/24", "owner": "r"}).is_success
    given = {"owner": "r", "pool": "routed", "prefix_length": 24}
    held, kept = (
        filled.http.post("/v1/allocations", json={**given, "address": f"10.40.{third}.0"}).json()
        for third in (3, 4)
    )
    assert filled.http.delete(f"/v1/allocations/{held['id']}").is_success

    text = page.get("/ui/pools/routed").text

    cells = re.findall(r'href="/ui/addresses/(10\.40\.\d+\.0)"[^>]*aria-label="[^"]+/24, (\w+)">(\d+)<', text)
    states = {address: state for address, state, _ in cells}
    assert len(states) == 256
    assert (states[held["address"]], states[kept["address"]]) == ("cooling", "allocated")
    assert (states["10.40.8.0"], states["10.40.9.0"]) == ("reserved", "excluded")
    assert [label for _, _, label in cells] == [str(third) for third in range(256)]
    assert re.findall(r'aria-hidden="true">(10\.40\.[\d.]+)<', text)[:2] == ["10.40.0.0", "10.40.16.0"]
    assert re.search(r"10\.40\.5\.0</a>.*10\.40\.7\.255.*<small>3 of /24<", text)


def test_what_nodes_hold_in_advance_is_a_state_of_its_own(page: Browser, filled: IpamdProcess) -> None:
    filled.create_pool("held-ahead", "10.21.0.0/24")
    holder = LeaseHolder(filled.http, "held-ahead", free=2)
    holder.ask()
    first, second = sorted(holder.states)
    holder.begin(first, "c1", 10)
    holder.report()
    taken, ahead = holder.address(first), holder.address(second)

    text = page.get("/ui/pools/held-ahead").text

    states = dict(re.findall(r'aria-label="(10\.21\.0\.\d+), (\w+)"', text))
    assert (states[taken], states[ahead]) == ("allocated", "leased")
    assert re.search(r'aria-label="1 allocated, \d leased', text)
    shown = page.get(f"/ui/addresses/{ahead}").text
    assert "A node holds it in advance" in shown
    assert re.search(rf'held in advance, for <a href="[^"]+">{holder.node}</a>', shown)
    assert "lease:" not in shown
    assert "Release" not in shown
    assert "Release" in page.get(f"/ui/addresses/{taken}").text


def test_who_waits_for_room_is_shown_with_what_is_lacking_until_there_is_room(
    page: Browser, filled: IpamdProcess
) -> None:
    filled.create_pool("full", "10.22.0.0/30")
    held = filled.http.post("/v1/allocations", json={"owner": "first", "pool": "full"}).json()
    body = {"owner": HOSTILE, "pool": "full"}

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(
            page.http.post, "/v1/allocations", json=body, headers={"Prefer": "wait=60"}, timeout=90
        )
        eventually(lambda: waits(page) != "")
        row, pool = waits(page), page.get("/ui/pools/full").text
        filled.http.patch("/v1/pools/full", json={"cooldown": 0})
        filled.http.delete(f"/v1/allocations/{held['id']}")
        assert waiting.result().is_success

    assert re.search(r'<a href="/ui/pools/full">full</a>.*>pool full<', row)
    assert HOSTILE not in row
    assert '<a href="/ui/waiters">1</a>' in pool
    eventually(lambda: "Nobody waits" in page.get("/ui/waiters").text)


def waits(page: Browser) -> str:
    """The row of whoever waits first, empty if nobody does."""
    found = re.search(r'<tr id="w-.*', page.get("/ui/waiters").text)
    return found.group() if found is not None else ""


def drawn(text: str) -> dict[str, tuple[int, int, str, str]]:
    """The cells of pictures of prefixes: taken, usable, what else is said, and where they lead."""
    found = re.findall(r'href="([^"]+)" title="(\S+): (\d+) of (\d+) taken([^"]*)"', text)
    return {
        cell: (int(taken), int(usable), also, unescape(link)) for link, cell, taken, usable, also in found
    }


def test_a_whole_space_is_one_picture_and_each_cell_leads_further_in(
    page: Browser, filled: IpamdProcess
) -> None:
    for name, subnet in (("m-a", "10.0.0.0/16"), ("m-b", "10.1.0.0/24"), ("m-c", "10.1.1.0/26")):
        filled.create_pool(name, subnet, space="mapped")
    filled.create_pool("m-six", "2001:db8::/32", space="mapped")
    for address in ("10.0.2.9", "10.0.255.9", "10.1.0.9", "10.1.0.10", "10.1.1.9", "2001:db8:4200::9"):
        given = {"address": address, "owner": f"at {address}", "space": "mapped"}
        assert filled.http.post("/v1/allocations", json=given).is_success

    def shown() -> dict[str, tuple[int, int, str, str]]:
        return drawn(page.get("/ui/map?space=mapped").text)

    eventually(lambda: sum(found[0] for found in shown().values()) == 6)  # sums are good for a moment
    whole = shown()
    assert len(whole) == 128 + 1 + 256
    assert {cell: found for cell, found in whole.items() if found[0]} == {
        "10.0.2.0/23": (1, 512, ", pool m-a", "/ui/pools/m-a/map?at=10.0.2.0/23"),
        "10.0.254.0/23": (1, 511, ", pool m-a", "/ui/pools/m-a/map?at=10.0.254.0/23"),
        "10.1.0.0/23": (3, 254 + 62 - 2, ", 2 pools", "/ui/map?space=mapped&at=10.1.0.0/23"),
        "2001:db8:4200::/40": (1, 1 << 88, ", pool m-six", "/ui/pools/m-six/map?at=2001:db8:4200::/40"),
    }
    nearer = page.get(whole["10.1.0.0/23"][3]).text
    assert {cell: (found[0], found[3]) for cell, found in drawn(nearer).items()} == {
        "10.1.0.0/24": (2, "/ui/pools/m-b/map?at=10.1.0.0/24"),
        "10.1.1.0/24": (1, "/ui/pools/m-c/map?at=10.1.1.0/26"),
    }
    assert "/ui/map?space=mapped&amp;at=10.0.0.0/15" in nearer
    inside = page.get("/ui/map?space=mapped&at=10.1.1.32/28")
    assert (inside.status_code, inside.headers["location"]) == (303, "/ui/pools/m-c/map?at=10.1.1.32/28")


def test_a_range_that_is_called_free_has_nothing_reserved_and_no_address_of_the_subnet(
    page: Browser, filled: IpamdProcess
) -> None:
    made = filled.http.post(
        "/v1/pools", json={"name": "gapped", "subnet": "10.20.0.0/22", "auto_assign": False}
    )
    assert made.is_success
    kept = filled.http.post("/v1/reservations", json={"address": "10.20.1.16/28", "owner": "kept"})
    assert kept.is_success

    section = page.get("/ui/pools/gapped").text.split("<h2>Free ranges")[1].split("</section>")[0]

    ranges = re.findall(r">(10\.20\.[\d.]+)</a> . <span class=\"ip\">([\d.]+)<", section)
    assert ranges == [("10.20.0.2", "10.20.1.15"), ("10.20.1.32", "10.20.3.254")]


def test_what_is_live_is_sent_again_when_it_has_changed(page: Browser, filled: IpamdProcess) -> None:
    with page.http.stream("GET", "/ui/live", params={"of": "/ui/allocations?owner=new"}) as stream:
        lines = stream.iter_lines()
        first = next(line for line in lines if line.startswith("data: "))
        made = filled.http.post("/v1/allocations", json={"owner": "new", "pool": "pods"})
        second = next(line for line in lines if line.startswith("data: "))

    address = made.json()["address"]
    assert address not in json.loads(first[6:])
    assert f"/ui/addresses/{address}" in json.loads(second[6:])
    assert "<html" not in json.loads(second[6:])


@contextmanager
def live_window(page: Browser) -> Iterator[tuple[str, Iterator[str]]]:
    """What a live window is sent first, and the rest."""
    with page.http.stream("GET", "/ui/live", params={"of": "/ui/nodes"}) as stream:
        lines = stream.iter_lines()
        yield next(line for line in lines if line.startswith("event: ")), lines


def test_so_many_windows_are_live_at_once_and_the_next_is_told_why_it_is_not(page: Browser) -> None:
    with ExitStack() as stack:
        windows = [stack.enter_context(live_window(page)) for _ in range(MOST_OF_ONE)]
        event, rest = stack.enter_context(live_window(page))
        assert {first for first, _ in windows} == {"event: rows"}
        assert event == "event: full"
        assert "12 windows of yours are live already" in "".join(rest)

    def is_live() -> bool:
        with live_window(page) as (event, _):
            return event == "event: rows"

    eventually(is_live)


def test_shipped_files_are_those_of_the_list_and_may_be_kept(page: Browser) -> None:
    checked = subprocess.run([ROOT / "scripts/vendored", "--check"], capture_output=True, text=True)
    links = re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', page.get("/ui/pools/pods").text)
    files = {link: page.get(link) for link in links}

    assert checked.returncode == 0, checked.stderr
    assert {"htmx.min.js", "uPlot.iife.min.js", "page.css"} <= {
        link.split("/")[-1].split("?")[0] for link in links
    }
    assert {answer.status_code for answer in files.values()} == {httpx.codes.OK}
    assert all("immutable" in answer.headers["cache-control"] for answer in files.values())
    assert page.get("/ui/static/../rendering.py").status_code == 404
    assert page.get("/ui/static/list.json").status_code == 404


def test_hundreds_of_pools_are_shown_a_page_at_a_time_and_found_by_their_room() -> None:
    """Neither list repeats a pool or leaves one out, nor does the filter that looks for room."""
    with running_service() as service:
        pools = [
            {"name": f"p{number:04}", "subnet": f"10.{number // 256}.{number % 256}.0/{24 + number % 2}"}
            for number in range(300)
        ]
        assert service.http.post("/v1/apply", json={"pools": pools, "reservations": []}).is_success
        for path, row, count in (("/", "r", 300), ("/ui/tree", "t", 300), ("/ui/tree?free=200", "t", 150)):
            seen: list[str] = []
            following: str | None = path
            while following is not None:
                text = service.http.get(following).text
                seen += re.findall(f'id="{row}-(p[0-9]+)"', text)
                found = re.search(r'href="([^"]*after=[^"]*)"[^>]*>Next|rel="next" href="([^"]*)"', text)
                following = unescape(found.group(1) or found.group(2)) if found else None
            assert len(seen) == len(set(seen)) == count, path
        assert 'id="t-p0200"' in service.http.get("/ui/tree?open=p0200").text
