"""What a view takes of the database does not grow with what is stored there."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.page_views import VIEWS
from benchmarks.population import Population, running_populated
from ipamd.web import changes, curves, lists, pools, requests, transfer
from tests.counting import Cost, Counted

SMALL = Population(pools=110, reservations=1_100, addresses=14_080, nodes=30)
LARGE = Population(pools=330, reservations=3_300, addresses=42_240, nodes=120)
MOST_STATEMENTS = 14
MOST_BYTES = 500_000
SENT_BY_A_FORM = ("/ui/bulk/{what}", "/ui/requests/new", "/ui/requests/{number}/{decision}")
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
            # Twice each: once may fall together with what ipamd reads for itself.
            yield {view: min((counted.asked(view) for _ in range(2)), key=steps_of) for view in VIEWS}


def steps_of(cost: Cost) -> int:
    return cost.steps


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
    sums_of_large_pools = ("wide", "to-nodes", "/ui/tree")
    counts_so_far = ("/ui/release/",)
    for view in VIEWS:
        one, other = small[view], large[view]
        assert other.statements <= min(one.statements + 2, MOST_STATEMENTS), (view, other.ran)
        if not any(name in view for name in (*sums_of_large_pools, *counts_so_far)):
            assert other.steps <= 1.3 * one.steps + 1_500, (view, one.steps, other.steps)
        assert len(other.answer) <= MOST_BYTES, view


def test_each_view_is_counted() -> None:
    routes = [route for part in (pools, curves, lists, changes, requests, transfer) for route in part.ROUTES]
    paths = [view.partition("?")[0] for view in VIEWS]
    for route in routes:
        if route.path not in (*SENT_BY_A_FORM, PASSED_ON):
            assert any(re.fullmatch(route.path_regex, path) for path in paths), route.path
