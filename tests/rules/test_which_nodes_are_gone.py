"""What an inventory of a cluster says of its nodes: which are gone, and which of those may be removed."""

from dataclasses import replace

import pytest

from ipamd.engine.clock import Reading, Step
from ipamd.engine.inventory import changed, due, is_too_many
from ipamd.models.instant import SECOND
from ipamd.models.node import Node, NodeKey

NOW = 1_700_000_000 * SECOND
HOUR = 3600 * SECOND
DAY = 24 * HOUR

NEVER_NAMED = Node(cluster="default", name="a")
THERE = replace(NEVER_NAMED, listed=True)
GONE = replace(THERE, gone_since=NOW - HOUR)


@pytest.mark.parametrize(
    ("known", "is_named", "then"),
    [
        pytest.param(NEVER_NAMED, True, THERE, id="it is named for the first time"),
        pytest.param(NEVER_NAMED, False, None, id="the orchestrator never had it"),
        pytest.param(THERE, True, None, id="it is still there"),
        pytest.param(THERE, False, replace(THERE, gone_since=NOW), id="it goes"),
        pytest.param(GONE, False, None, id="it is still gone, since when it was first"),
        pytest.param(GONE, True, THERE, id="it is back"),
        pytest.param(
            replace(GONE, draining=True, labels={"a": "b"}),
            True,
            replace(THERE, draining=True, labels={"a": "b"}),
            id="what an admin said of it stays",
        ),
    ],
)
def test_what_an_inventory_changes(known: Node, is_named: bool, then: Node | None) -> None:
    assert changed([known], {"a", "b"} if is_named else {"b"}, NOW) == ([] if then is None else [then])


@pytest.mark.parametrize(
    ("there", "gone", "never_named", "too_many"),
    [
        (1, 0, 0, False),
        (0, 1, 0, True),
        (1, 1, 0, False),
        (1, 2, 0, True),
        (2, 2, 0, False),
        (50, 51, 0, True),
        (51, 49, 0, False),
        (0, 0, 5, False),
        (1, 2, 10, True),
    ],
)
def test_more_than_half_at_once_may_be_an_inventory_that_is_wrong(
    there: int, gone: int, never_named: int, too_many: bool
) -> None:
    assert is_too_many([*[THERE] * there, *[GONE] * gone, *[NEVER_NAMED] * never_named]) is too_many


@pytest.mark.parametrize(
    ("gone_for", "silent_for", "is_due"),
    [
        pytest.param(DAY, DAY + 1, True, id="gone and silent all the time"),
        pytest.param(DAY - 1, 2 * DAY, False, id="not gone for long enough"),
        pytest.param(2 * DAY, DAY - 1, False, id="heard from since it is gone"),
        pytest.param(2 * DAY, DAY, True, id="heard from since it is gone, and silent since for long enough"),
        pytest.param(DAY, None, True, id="never heard from"),
    ],
)
def test_who_is_removed_was_gone_and_silent_all_the_time(
    gone_for: int, silent_for: int | None, is_due: bool
) -> None:
    node = replace(THERE, gone_since=NOW - gone_for)
    contacts = {} if silent_for is None else {NodeKey("default", "a"): NOW - silent_for}

    assert due([node], contacts, Reading(NOW), DAY) == ([node] if is_due else [])


def test_a_clock_that_was_set_ahead_removes_nobody() -> None:
    node = replace(THERE, gone_since=NOW - DAY)

    assert due([node], {}, Reading(NOW, (Step(HOUR, 20 * HOUR),)), DAY) == []
