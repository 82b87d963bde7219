"""What a view takes of the database does not grow with what is stored there."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from benchmarks.page_views import VIEWS
from benchmarks.population import Population, running_populated
from ipamd.models.holding import COUNTED_OF_EACH
from ipamd.web import changes, curves, lists, pools, requests, spaces, transfer
from tests.counting import Cost, Counted
from tests.service import IpamdProcess

SMALL = Population(pools=110, reservations=1_100, addresses=14_080, nodes=30)
LARGE = Population(pools=330, reservations=3_300, addresses=42_240, nodes=52)
COUNTED_OF_A_PAGE = lists.NODES * COUNTED_OF_EACH
"""So many of the addresses that nodes hold are counted for a page of them."""

MOST_STATEMENTS = 16
MOST_BYTES = 500_000
SENT_BY_A_FORM = (
    "/ui/bulk/{what}",
    "/ui/requests/new",
    "/ui/requests/{number}/{decision}",
    "/ui/nodes/{cluster:name}/{name:name}/{verb}",
)
OF_AN_OWNER = "/ui/release/owner/{cluster:name}/{namespace:name}/{name:name}"
"""It reads what one owner has, and the population has no owner."""
OWN_LOOK = re.compile(r"WHERE allocation\.id > \d+ ORDER BY allocation\.id")
"""What ipamd reads for itself after its start, a piece at a time."""

PASSED_ON = "/ui/tables/{kind}"
"""A table for a spreadsheet, sent piece by piece as REST does."""


@contextmanager
def costs(population: Population) -> Iterator[dict[str, Cost]]:
    """What each view costs."""
    with running_populated(population) as service:
        service.stop()
        counted = Counted(service)
        with counted.counting():
            service.start()
            # Several times each: one may fall together with what ipamd reads for itself.
            yield {view: least(counted, view) for view in VIEWS}


def least(counted: Counted, view: str) -> Cost:
    """The fewest statements and steps that a view was seen to take."""
    seen = [counted.asked(view) for _ in range(2)]
    fewest = min(([text for text in cost.ran if not OWN_LOOK.search(text)] for cost in seen), key=len)
    return replace(seen[0], ran=tuple(fewest), steps=min(cost.steps for cost in seen))


@pytest.fixture(scope="module")
def small() -> Iterator[dict[str, Cost]]:
    with costs(SMALL) as found:
        yield found


@pytest.fixture(scope="module")
def large() -> Iterator[dict[str, Cost]]:
    with costs(LARGE) as found:
        yield found


def test_no_view_takes_more_of_the_database_where_three_times_as_much_is_stored(
    small: dict[str, Cost], large: dict[str, Cost]
) -> None:
    sums_of_large_pools = ("wide", "to-nodes", "/ui/tree", "/ui/map")
    counts_so_far = ("/ui/release/",)
    more = {"/ui/nodes": COUNTED_OF_A_PAGE / min(SMALL.addresses, SMALL.nodes * COUNTED_OF_EACH)}
    more |= {view: LARGE.of_a_node / SMALL.of_a_node for view in VIEWS if "/default/node-1" in view}
    for view in VIEWS:
        one, other = small[view], large[view]
        assert other.statements <= min(one.statements + 2, MOST_STATEMENTS), (view, other.ran)
        if not any(name in view for name in (*sums_of_large_pools, *counts_so_far)):
            assert other.steps <= 1.3 * more.get(view, 1) * one.steps + 1_500, (view, one.steps, other.steps)
        assert len(other.answer) <= MOST_BYTES, view


def test_an_explanation_shows_the_first_pools_and_leads_to_all_that_are_listed(
    large: dict[str, Cost],
) -> None:
    some, every = (large[f"/ui/explain?node=node-1&namespace=web{also}"].answer for also in ("", "&all=1"))

    assert b"The first 50 pools of 256" in some
    assert b'href="/ui/explain?node=node-1&amp;namespace=web&amp;all=1"' in some
    assert (some.count(b'class="badge'), every.count(b'class="badge')) == (50, 256)
    assert b"The first" not in every


def test_a_page_of_nodes_has_few_for_it_counts_what_each_holds(large: dict[str, Cost]) -> None:
    answer = large["/ui/nodes"].answer

    assert answer.count(b'<tr id="r-default/') == lists.NODES < LARGE.nodes
    assert b'rel="next">Next page' in answer


ADDS_UP = re.compile(r"sum\(block\.allocated\)", re.IGNORECASE)


@pytest.mark.parametrize(
    ("views", "sums_of_first"), [(("/ui/pools/wide", "/ui/tree?open=wide", "/"), 1), (("/ui/map",), 2)]
)
def test_a_large_pool_is_added_up_once_for_all_who_look_until_one_of_them_changes_something(
    ipamd_process: IpamdProcess, views: Sequence[str], sums_of_first: int
) -> None:
    ipamd_process.create_pool("wide", "10.0.0.0/8")
    ipamd_process.stop()
    counted = Counted(ipamd_process)
    with counted.counting():
        ipamd_process.start()

    def sums(view: str) -> int:
        return len([text for text in counted.asked(view, times=1).ran if ADDS_UP.search(text)])

    assert [sums(view) for view in views] == [sums_of_first, *[0] * (len(views) - 1)]
    given = {"owner": "vm-1", "pool": "wide"}
    kind = {"Sec-Fetch-Site": "same-origin"}
    assert ipamd_process.http.post("/ui/new/allocation", data=given, headers=kind).is_redirect
    assert [sums(view) for view in views] == [sums_of_first, *[0] * (len(views) - 1)]
    assert re.search(r"[^\d]1 of \d+ taken", ipamd_process.http.get("/ui/pools/wide").text)


def test_each_view_is_counted() -> None:
    parts = (pools, curves, spaces, lists, changes, requests, transfer)
    routes = [route for part in parts for route in part.ROUTES]
    paths = [view.partition("?")[0] for view in VIEWS]
    for route in routes:
        if route.path not in (*SENT_BY_A_FORM, OF_AN_OWNER, PASSED_ON):
            assert any(re.fullmatch(route.path_regex, path) for path in paths), route.path
