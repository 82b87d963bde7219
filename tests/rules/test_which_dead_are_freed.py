"""Which allocations are freed that a node says are dead: docs/decisions/0038-what-lives.md says why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from ipamd.engine.census.verdict import ENOUGH_OF_MANY, Look, Named, Verdict, judge
from ipamd.engine.census.word import RIVALRY, SETTLING, Speaker, released
from ipamd.engine.clock import Reading, Step
from ipamd.models.allocation import Allocation, NetworkNamespace
from ipamd.models.census import Census
from ipamd.models.errors import CensusSettling, CensusSuperseded
from ipamd.models.instant import SECOND, Instant
from ipamd.models.issued import CallOrder
from ipamd.models.node import NodeKey
from tests.rules.values import NOW, held, moment, table

NODE = NodeKey("default", "n1")
GRACE = 300 * SECOND
BOOTS = {"old": 1, "monday": 2, "tuesday": 3}
LONG_AGO = NOW - 3600 * SECOND


def row_of(number: int, boot: str | None = "monday", **more: Any) -> Allocation:
    """A row of a container that was begun an hour ago, in this boot."""
    order = CallOrder(BOOTS[boot or "monday"], 10)
    given = {"since": LONG_AGO, "netns": NetworkNamespace(4, 4000 + number), "repeated": order, **more}
    made = held(f"10.0.0.{number}", f"c{number}", id=number, boot=boot, **given)
    return structs.replace(made, taken=order)


class Node:
    """A node whose looks are judged one after another, as time passes."""

    def __init__(self, *rows: Allocation) -> None:
        self.rows = {each.stored_id: each for each in rows}
        self.census: Census | None = None
        self.now = NOW

    def wait(self, span: Instant) -> None:
        self.now += span

    def look(self, *dead: int, boot: str = "monday", machine: str = "m") -> Verdict:
        """Judge a look that names these, and free what it frees."""
        named = [Named(number, *self.seen(number)) for number in dead]
        verdict = self.judge(named, boot, machine)
        for freed in (*verdict.former, *verdict.dead):
            del self.rows[freed.stored_id]
        return verdict

    def judge(self, named: Sequence[Named], boot: str = "monday", machine: str = "m") -> Verdict:
        order = CallOrder(BOOTS[boot], 1_000_000)
        look = Look(Speaker(NODE, machine, boot), order, named)
        verdict = judge(self.census, look, self.rows, Reading(self.now), GRACE)
        self.census = verdict.census
        return verdict

    def seen(self, number: int) -> tuple[int, int]:
        known = self.rows.get(number)
        return (1, 10) if known is None else (known.generation, known.taken.uptime_ns)


def freed(verdict: Verdict) -> list[int]:
    return [each.stored_id for each in (*verdict.former, *verdict.dead)]


def test_an_allocation_is_freed_when_it_was_reported_twice_a_grace_apart() -> None:
    node = Node(row_of(1), row_of(2), row_of(3))

    assert freed(node.look(1)) == []
    node.wait(GRACE - 1)
    assert freed(node.look(1)) == []
    node.wait(1)
    assert freed(node.look(1)) == [1]


def test_a_look_that_does_not_name_it_takes_the_suspicion_back() -> None:
    node = Node(row_of(1), row_of(2), row_of(3))
    node.look(1)
    node.wait(GRACE)
    node.look()
    node.wait(GRACE)

    assert freed(node.look(1)) == []
    node.wait(GRACE)
    assert freed(node.look(1)) == [1]


@table(
    "becomes",
    {
        "another ADD was told of it": (row_of(1, generation=2),),
        "it is another ADD's, as in a database that was put back": (
            structs.replace(row_of(1), taken=CallOrder(2, 11)),
        ),
        "it was repeated after the look began": (row_of(1, repeated=CallOrder(2, 1_000_001)),),
    },
)
def test_what_is_not_as_the_node_saw_it_is_spared_and_told(becomes: Allocation) -> None:
    node = Node(row_of(1), row_of(2), row_of(3))
    node.look(1)
    node.wait(GRACE)
    node.rows[1] = becomes

    verdict = node.judge([Named(1, 1, 10)])

    assert (freed(verdict), verdict.changed, verdict.census.suspicions) == ([], [1], ())


def test_what_has_ended_or_is_anothers_is_told_as_gone() -> None:
    node = Node(row_of(1))

    assert node.look(1, 8, 9).gone == [8, 9]


@table(
    "lives_somewhere",
    {
        "its ADD told no boot": (row_of(1, boot=None),),
        "its ADD told no namespace": (row_of(1, netns=None),),
        "its boot is later than this one": (row_of(1, boot="tuesday"),),
    },
)
def test_what_cannot_be_seen_is_not_dead(lives_somewhere: Allocation) -> None:
    node = Node(lives_somewhere, row_of(2), row_of(3))
    for _ in range(8):
        assert freed(node.look(1)) == []
        node.wait(GRACE)


def test_after_a_reboot_all_of_the_former_boot_is_freed_with_the_second_report_that_counts() -> None:
    node = Node(row_of(1), row_of(2), row_of(3))
    node.look()
    node.wait(120 * SECOND)
    began = row_of(4, boot="tuesday", since=node.now)
    node.rows[4] = began

    settling = node.look(1, 2, 3, boot="tuesday")
    node.wait(SETTLING)
    counted = node.look(1, 2, 3, boot="tuesday")
    node.wait(SETTLING)

    assert isinstance(settling.refusal, CensusSettling)
    assert settling.refusal.seconds == SETTLING // SECOND
    assert freed(counted) == [1, 2, 3]
    assert set(node.rows) == {4}


def test_what_a_former_boot_began_after_this_one_spoke_needs_two_reports_like_all() -> None:
    node = Node(row_of(2, boot="tuesday"), row_of(3, boot="tuesday"))
    node.look(boot="monday")
    node.look(boot="tuesday")
    node.wait(SETTLING)
    node.rows[1] = row_of(1, since=node.now)

    assert freed(node.look(1, boot="tuesday")) == []
    node.wait(GRACE)
    assert freed(node.look(1, boot="tuesday")) == [1]


def test_of_two_machines_that_speak_as_one_node_neither_frees_what_the_others_containers_hold() -> None:
    """A clone has a boot of its own, so that all of the original's containers look dead to it."""
    node = Node(row_of(1), row_of(2), row_of(3))
    node.look()
    for _ in range(40):
        node.wait(30 * SECOND)
        assert isinstance(node.look(1, 2, 3, boot="tuesday").refusal, CensusSettling)
        node.wait(30 * SECOND)
        node.rows[9] = row_of(9, boot="old", since=LONG_AGO)
        assert freed(node.look(9)) == []

    node.wait(RIVALRY)
    assert freed(node.look(9)) == [9], "the clone is silent again"


def test_another_machine_is_not_heard_until_an_admin_says_that_the_first_is_gone() -> None:
    node = Node(row_of(1), row_of(2), row_of(3))
    node.look()
    for _ in range(3):
        node.wait(3600 * SECOND)
        verdict = node.look(1, 2, 3, boot="tuesday", machine="other")
        assert isinstance(verdict.refusal, CensusSuperseded)

    assert node.census is not None
    node.census = released(node.census.node, node.census.since, "")
    assert node.look(boot="tuesday", machine="other").refusal is None


def test_more_than_half_of_a_nodes_allocations_wait_for_three_more_reports() -> None:
    node = Node(*(row_of(number) for number in range(1, 6)))
    node.look(1, 2, 3)
    waited = []
    for _ in range(ENOUGH_OF_MANY - 2):
        node.wait(GRACE)
        waited.append(node.look(1, 2, 3))
    node.wait(GRACE)

    assert [(freed(each), each.census.waiting) for each in waited] == [([], 3)] * 3
    assert freed(node.look(1, 2, 3)) == [1, 2, 3]


def test_a_flood_of_reports_counts_as_one_in_a_grace() -> None:
    node = Node(row_of(1), row_of(2), row_of(3))
    for _ in range(500):
        assert freed(node.look(1)) == []


def test_a_clock_that_was_set_ahead_does_not_make_a_grace_pass() -> None:
    node = Node(row_of(1), row_of(2), row_of(3))
    node.look(1)
    ahead = Reading(NOW + 10 * GRACE, (Step(0, 10 * GRACE),))
    look = Look(Speaker(NODE, "m", "monday"), moment(1_000_000, 2), [Named(1, 1, 10)])

    assert freed(judge(node.census, look, node.rows, ahead, GRACE)) == []
