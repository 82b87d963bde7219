"""Holds: for whom they are, what of them an ADD gets, and what goes back to them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from ipamd.backends.interface import BlockOwner, HoldPosition, HoldSearch, LockedRows
from ipamd.backends.memory.backend import MemoryBackend
from ipamd.engine.administration.statements import validate_hold
from ipamd.engine.allocation.call import Call, Contended, ReleaseCall
from ipamd.engine.allocation.plan import Plan
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Clock, Reading
from ipamd.engine.engine import Engine
from ipamd.engine.holds import HoldIndex
from ipamd.engine.leasing.eligibility import why_not_leased
from ipamd.models.address import parse_address
from ipamd.models.allocation import Allocation, Ending, Workload
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import DomainError
from ipamd.models.hold import Hold, HoldState, position_of
from ipamd.models.instant import SECOND
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Granted, Refused, Released
from ipamd.models.pool import Affinity, Pool, PoolState
from ipamd.models.request import LeftToOthers
from tests.rules.values import (
    HERE,
    NOW,
    BlocksThere,
    add,
    ago,
    block,
    delete,
    found,
    held,
    pool,
    searched,
    table,
)

PODS = pool("pods", "10.0.0.0/24", cooldown=60)
THERE: BlocksThere = {
    BlockOwner.ANY: [block("10.0.0.0", taken=["10.0.0.2-10.0.0.9"])],
    "10.0.0.0": [block("10.0.0.0", taken=["10.0.0.2-10.0.0.9"])],
}


def hold(name: str = "eve", *namespaces: str, **more: Any) -> Hold:
    given: dict[str, Any] = {
        "size": 3,
        "pool": "pods",
        "since": ago(100),
        "seconds": 3600,
        "state": HoldState.STANDING,
    }
    return Hold(name=name, namespaces=namespaces or ("team-a",), **(given | more))


def known(*holds: Hold, pods: Pool = PODS) -> Catalogue:
    return Catalogue(Snapshot(revision=1, pools={"pods": pods}, holds={each.name: each for each in holds}))


def left(address: str, of: Hold, *, free_since: int = 0) -> Allocation:
    """An address that a hold has."""
    position = position_of(parse_address(address))
    row = held(address, position=position, free_since=free_since, hold=of.name)
    return structs.replace(row, holder=of.owner, digest=of.owner.digest)


def planned(
    calls: Sequence[Call],
    of: Catalogue,
    rows: Sequence[Allocation],
    *,
    missed: bool = False,
    there: BlocksThere = THERE,
) -> Plan:
    """A plan that has read what holds have; `missed` says that others have locked the rest."""
    has = found(*(row for row in rows if not row.is_left), calls=["c1"])
    plan = Plan(calls, has, of, {"pods"}, Reading(NOW))
    answers = []
    for search in plan.hold_searches():
        own = sorted((row for row in rows if row.digest == search.digest), key=lambda row: row.position)
        if isinstance(search, HoldPosition):
            own = [row for row in own if row.position == search.position]
        else:
            assert isinstance(search, HoldSearch)
            own = [row for row in own if (row.free_since or 0) <= search.free_before][: search.limit]
        answers.append(LockedRows(own, missed))
    plan.receive_holds(answers)
    return searched(plan, there)


def said(plan: Plan) -> str:
    [verdict] = plan.verdicts()
    match verdict:
        case Granted(grants):
            return " ".join(str(grant.address) for grant in grants)
        case Released():
            return "freed"
        case Refused(error):
            return error.code
        case Contended():
            return "contended"
    raise AssertionError(verdict)


ELSEWHERE = NodeKey("default", "elsewhere")
EVE, SOON = hold(), hold("soon", seconds=200)
OTHERS = hold("others", "team-b")
DATABASES = hold("databases", "team-*", workloads=("db-*",))
WEST = hold("west", clusters=("west",))
ENDING = hold("ending", state=HoldState.ENDING)
DRAINING = pool("pods", "10.0.0.0/24", state=PoolState.DRAINING)


@table(
    "holds, rows, asked, answer",
    {
        "the first that is left": ([EVE], [left("10.0.0.5", EVE), left("10.0.0.4", EVE)], {}, "10.0.0.4"),
        "of two holds the one that ends first": (
            [EVE, SOON],
            [left("10.0.0.4", EVE), left("10.0.0.5", SOON)],
            {},
            "10.0.0.5",
        ),
        "another namespace's is passed by": ([OTHERS], [left("10.0.0.4", OTHERS)], {}, "10.0.0.10"),
        "another workload's too": ([DATABASES], [left("10.0.0.4", DATABASES)], {}, "10.0.0.10"),
        "and another cluster's": ([WEST], [left("10.0.0.4", WEST)], {}, "10.0.0.10"),
        "by the beginning of its name": (
            [DATABASES],
            [left("10.0.0.4", DATABASES)],
            {"workload": "team-a/db-1"},
            "10.0.0.4",
        ),
        "one that ends gives nothing": ([ENDING], [left("10.0.0.4", ENDING)], {}, "10.0.0.10"),
        "what cools down waits": ([EVE], [left("10.0.0.4", EVE, free_since=ago(9))], {}, "10.0.0.10"),
        "an empty one leads to the rest": ([EVE], [], {}, "10.0.0.10"),
        "a requested one": (
            [EVE],
            [left("10.0.0.4", EVE), left("10.0.0.5", EVE)],
            {"wants": ["10.0.0.5"]},
            "10.0.0.5",
        ),
        "a requested one of others": (
            [OTHERS],
            [left("10.0.0.4", OTHERS)],
            {"wants": ["10.0.0.4"]},
            "address-taken",
        ),
    },
)
def test_what_an_add_gets(
    holds: Sequence[Hold], rows: Sequence[Allocation], asked: dict[str, Any], answer: str
) -> None:
    call = add("c1", "pods", **({"workload": "team-a/web-1"} | asked))

    assert said(planned([call], known(*holds), rows)) == answer


ALL = LeftToOthers(("pods",), ())


@table(
    "rows, left_to_others, asked, answer",
    {
        "out of a hold": ([left("10.0.0.4", EVE)], ALL, {}, "10.0.0.4"),
        "nothing of the pool": ([], ALL, {}, "nothing-free"),
        "a requested one out of a hold": ([left("10.0.0.4", EVE)], ALL, {"wants": ["10.0.0.4"]}, "10.0.0.4"),
        "not one that is free": ([left("10.0.0.4", EVE)], ALL, {"wants": ["10.0.0.20"]}, "nothing-free"),
        "nor out of a hold that others wait for": (
            [left("10.0.0.4", EVE), left("10.0.0.5", SOON)],
            LeftToOthers(("pods",), ("soon",)),
            {},
            "10.0.0.4",
        ),
        "if they wait for all holds, nothing": (
            [left("10.0.0.4", EVE), left("10.0.0.5", SOON)],
            LeftToOthers(("pods",), ("soon", "eve")),
            {},
            "nothing-free",
        ),
        "another pool's waiters leave all of this one": ([], LeftToOthers(("spare",), ()), {}, "10.0.0.10"),
    },
)
def test_what_is_had_of_a_pool_that_others_wait_for(
    rows: Sequence[Allocation], left_to_others: LeftToOthers, asked: dict[str, Any], answer: str
) -> None:
    call = add("c1", "pods", workload="team-a/web-1", left=left_to_others, **asked)

    assert said(planned([call], known(EVE, SOON), rows)) == answer


def test_where_others_have_locked_the_rest_it_is_decided_again() -> None:
    call = add("c1", "pods", workload="team-a/web-1")

    assert said(planned([call], known(EVE), [], missed=True)) == "contended"


def test_a_pool_that_drains_gives_nothing_out_of_a_hold_either() -> None:
    call = add("c1", "pods", workload="team-a/web-1")

    assert said(planned([call], known(EVE, pods=DRAINING), [left("10.0.0.4", EVE)])) == "nothing-free"


@pytest.mark.parametrize("of", [OTHERS, ENDING])
def test_a_container_that_lives_with_an_address_gets_it_whoever_it_is(of: Hold) -> None:
    row = left("10.0.0.4", of)
    call = add("c1", wants=["10.0.0.4"], adopted_in="default", workload="team-a/web-1")

    plan = planned([call], known(of, pods=DRAINING), [row])

    assert said(plan) == "10.0.0.4"
    assert [each.ending for each in plan.changes().ended] == [Ending.TAKEN]


def test_the_hold_ends_where_the_container_begins_and_no_block_changes() -> None:
    row = left("10.0.0.4", EVE)
    changes = planned([add("c1", "pods", workload="team-a/web-1")], known(EVE), [row]).changes()

    [ended], [begun] = changes.ended, changes.begun
    assert (ended.id, ended.ending, ended.until) == (row.id, Ending.TAKEN, NOW)
    assert (begun.address, begun.hold, begun.since, begun.is_left) == (row.address, "eve", NOW, False)
    assert changes.blocks == []


@pytest.mark.parametrize(("of", "back"), [([EVE], True), ([ENDING], False), ([], False)])
def test_an_address_goes_back_to_a_hold_that_stands(of: Sequence[Hold], back: bool) -> None:
    name = of[0].name if of else "eve"
    row = held("10.0.0.4", hold=name, workload=Workload("team-a", "web-1"))

    plan = planned([delete("c1")], known(*of), [row])
    changes = plan.changes()

    assert said(plan) == "freed"
    assert [each.ending for each in changes.ended] == [Ending.RELEASED]
    assert [(each.is_left, each.free_since, each.workload) for each in changes.begun] == (
        [(True, NOW, Workload())] if back else []
    )
    assert [(block.allocated, block.last_freed) for block in changes.blocks] == ([] if back else [(7, NOW)])


@pytest.mark.parametrize(("whose", "borrowed"), [(None, True), (ELSEWHERE, True), (HERE, False)])
def test_a_node_borrows_what_is_held_in_a_block_that_is_not_its_own(
    whose: NodeKey | None, borrowed: bool
) -> None:
    pods = pool("pods", "10.0.0.0/24", affinity=Affinity.NODE)
    there: BlocksThere = {"10.0.0.0": [block("10.0.0.0", node=whose, taken=["10.0.0.4"])]}
    call = add("c1", "pods", workload="team-a/web-1")

    changes = planned([call], known(EVE, pods=pods), [left("10.0.0.4", EVE)], there=there).changes()

    [begun] = changes.begun
    assert (str(begun.address), begun.borrowed) == ("10.0.0.4", borrowed)
    assert changes.blocks == []


def test_what_is_left_ends_with_its_hold_only() -> None:
    row = left("10.0.0.4", EVE)
    release = delete("c1", allocation=row.id)
    call = ReleaseCall(structs.replace(release.release, digest=row.digest), None, None)
    plan = Plan([call], found(row), known(EVE), {"pods"}, Reading(NOW))

    assert said(searched(plan, THERE)) == "held-back"
    plan = Plan([call], found(row), known(), {"pods"}, Reading(NOW))
    assert said(searched(plan, THERE)) == "freed"


def test_a_hold_that_lasts_longer_stands_though_one_replica_has_not_heard_yet() -> None:
    async def state() -> HoldState:
        now = [NOW]
        clock = Clock(lambda: now[0], lambda: now[0])
        backend = MemoryBackend()
        here, there = [await Engine.open(backend, clock=clock) for _ in range(2)]
        await here.administration.create_pool(PODS)
        await here.holds.create(hold(seconds=60))
        now[0] += 61 * SECOND
        await there.holds.edit("eve", lambda known: replace(known, seconds=600), None)
        await here.holds.finish()
        found = (await there.holds.edit("eve", lambda known: known, None)).state
        for engine in (here, there):
            await engine.close()
        return found

    assert asyncio.run(state()) is HoldState.STANDING


def test_a_hold_is_found_by_its_pool_in_any_state_and_by_workloads_while_it_stands() -> None:
    index = HoldIndex([EVE, ENDING, WEST])

    assert [each.name for each in index.of_pool("pods")] == ["ending", "eve", "west"]
    assert index.for_workload("default", "team-a", "web") == (EVE,)
    assert index.for_workload("west", "team-a", None) == (EVE, WEST)
    assert index.for_workload("default", None, "web") == ()


def test_no_lease_is_given_of_a_pool_that_has_a_hold() -> None:
    assert why_not_leased((("pods",),), "net", HERE, known()) is None
    assert why_not_leased((("pods",),), "net", HERE, known(WEST)) is None
    assert "hold ending keeps addresses" in str(why_not_leased((("pods",),), "net", HERE, known(ENDING)))


@table(
    "stated, field",
    {
        "none": ({"size": 0}, "size"),
        "too many": ({"size": 4097}, "size"),
        "no time": ({"seconds": 0}, "seconds"),
        "too long": ({"seconds": 366 * 86_400 + 1}, "seconds"),
        "for nobody": ({"namespaces": ()}, "namespaces"),
        "a * within": ({"workloads": ("a*b",)}, "workloads"),
        "a pattern for clusters": ({"clusters": ("*",)}, "clusters"),
        "a pool that lends nothing": ({"pool": "closed"}, "pool"),
        "a pool that drains": ({"pool": "draining"}, "pool"),
        "no pool": ({"pool": "none"}, None),
    },
)
def test_what_cannot_be_held(stated: dict[str, Any], field: str | None) -> None:
    pools = {
        "pods": PODS,
        "closed": pool("closed", "10.0.1.0/24", affinity=Affinity.NODE, borrow=False),
        "draining": DRAINING,
    }
    validate_hold(EVE, pools)
    given: dict[str, Any] = {"name": "x", "size": 1, "pool": "pods", "namespaces": ("a",), "since": 0}
    given |= {"seconds": 9}

    with pytest.raises(DomainError) as refused:
        validate_hold(Hold(**(given | stated)), pools)
    assert getattr(refused.value, "field", None) == field
