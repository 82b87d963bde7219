"""What becomes of a batch: calls that came while the one before was written are decided together, in memory.

A transaction finds what the callers hold and locks the blocks that they need. These values decide the verdict
of each call and the changes to write. A bad request fails alone, and a call that must wait leaves the batch.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from ipaddress import ip_address
from typing import cast

import pytest

from ipamd.backends.interface import (
    BlockOwner,
    BlockSearch,
    Changes,
    Ended,
    Found,
    Locked,
    RememberedRelease,
    Repeated,
    Transaction,
)
from ipamd.engine.allocation.call import Call, Contended, NeedsBlock, NeedsBlocks, ReleaseCall, Verdict
from ipamd.engine.allocation.plan import Plan
from ipamd.engine.allocation.settle import decide, settle
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.engine.clock import Reading
from ipamd.models.allocation import Allocation, Ending, Idempotency, NetworkNamespace, Workload
from ipamd.models.block import Block
from ipamd.models.identity import Digest
from ipamd.models.instant import SECOND
from ipamd.models.issued import REMEMBERED_FOR, Issued
from ipamd.models.outcome import Granted, Refused, Released, Reported
from ipamd.models.pool import Affinity, PoolState
from tests.rules.values import (
    HERE,
    NOW,
    BlocksThere,
    add,
    answer,
    block,
    catalogue,
    container,
    delete,
    found,
    held,
    moment,
    pool,
    remembered,
    searched,
    table,
)

KNOWN = catalogue(
    pool("pods", "10.0.0.0/24", priority=1),
    pool("more", "10.0.1.0/24"),
    pool("gone", "10.0.2.0/24", state=PoolState.DRAINING),
    pool("none", "10.0.3.0/24", auto_assign=False),
)
PLENTY: BlocksThere = {
    BlockOwner.ANY: [block("10.0.0.0"), block("10.0.1.0", of="more")],
    "10.0.0.0": [block("10.0.0.0", taken=["10.0.0.9", "10.0.0.10"])],
    "10.0.2.0": [block("10.0.2.0", of="gone", taken=["10.0.2.9"])],
}
"""A block with room in each pool; c1 and others hold 10.0.0.9 and 10.0.0.10 where a case says so."""

NOTHING = found()
NO_ONE: Set[BlockOwner | str] = frozenset()


def planned(
    calls: Sequence[Call],
    known: Found = NOTHING,
    there: BlocksThere = PLENTY,
    *,
    of: Catalogue = KNOWN,
    contended: Set[BlockOwner | str] = NO_ONE,
    carved_out: Set[str] = frozenset(),
) -> Plan:
    """A batch that is decided, with as many searches as that needs."""
    return searched(Plan(calls, known, of, carved_out, Reading(NOW)), there, contended)


def said(verdict: Verdict) -> str:
    """A verdict as a row says it."""
    match verdict:
        case Granted(grants, repeated):
            return ("again " if repeated else "") + " ".join(str(each.address) for each in grants)
        case Released(freed, spared):
            return " ".join(["freed", *map(str, freed), *([f"spared {spared}"] if spared else [])])
        case Reported(acknowledged, obeyed):
            return f"reported {acknowledged}" if obeyed else "not obeyed"
        case Refused(error):
            return error.code
        case NeedsBlocks(wanted):
            return "needs a block of " + " and ".join(each.pool for each in wanted)
        case Contended():
            return "contended"


def verdicts(plan: Plan) -> list[str]:
    return [said(each) for each in plan.verdicts()]


# One call -------------------------------------------------------------------------------------------------


@table(
    "call, known, verdict",
    {
        "ADD of a new container gets the next address": (add(), NOTHING, "10.0.0.2"),
        "ADD that names two pools gets an address of each": (
            add("c1", "more", "pods"),
            NOTHING,
            "10.0.1.2 10.0.0.2",
        ),
        "ADD of a holder gets the same answer again": (add(), found(held("10.0.0.9")), "again 10.0.0.9"),
        "ADD of a holder gets it though it names another pool now": (
            add("c1", "more"),
            found(held("10.0.0.9")),
            "again 10.0.0.9",
        ),
        "ADD of a holder gets it though its pool is draining": (
            add(),
            found(held("10.0.2.9", pool="gone")),
            "again 10.0.2.9",
        ),
        "ADD of a holder of two addresses gets both in their order": (
            add(),
            found(held("10.0.0.10"), held("10.0.0.9", position=1)),
            "again 10.0.0.10 10.0.0.9",
        ),
        "ADD of a holder may request the address that it has": (
            add(wants=["10.0.0.9"]),
            found(held("10.0.0.9")),
            "again 10.0.0.9",
        ),
        "ADD of a holder may not request another": (
            add(wants=["10.0.0.8"]),
            found(held("10.0.0.9")),
            "address-unavailable",
        ),
        "ADD gets nothing if a later DEL overtook it": (add(at=10), found(remembered(20)), "overtaken"),
        "ADD gets an address after an earlier DEL": (add(at=30), found(remembered(20)), "10.0.0.2"),
        "ADD gets nothing if a later DEL overtook it, even if a still later ADD was served": (
            add(at=10),
            found(held("10.0.0.9", taken=30), remembered(20)),
            "overtaken",
        ),
        "ADD gets the address that it requests": (
            add("c1", "pods", wants=["10.0.0.50"]),
            NOTHING,
            "10.0.0.50",
        ),
        "ADD does not get the address of another holder": (
            add("c1", "pods", wants=["10.0.0.9"]),
            NOTHING,
            "address-taken",
        ),
        "ADD gets nothing from a draining pool": (add("c1", "gone"), NOTHING, "nothing-free"),
        "ADD gets an address from the alternative to a draining pool": (
            add("c1", ["gone", "more"]),
            NOTHING,
            "10.0.1.2",
        ),
        "ADD gets nothing from an unknown pool": (add("c1", "fourr"), NOTHING, "pool-unknown"),
        "DEL frees its holder's address": (delete(), found(held("10.0.0.9")), "freed 10.0.0.9"),
        "DEL succeeds if nothing is held": (delete(), NOTHING, "freed"),
        "DEL spares the address of a later ADD": (
            delete(at=20),
            found(held("10.0.0.9", taken=30)),
            "freed spared 1",
        ),
        "DEL without a moment frees everything": (
            delete(at=None),
            found(held("10.0.0.9", taken=30)),
            "freed 10.0.0.9",
        ),
        "DEL frees an address of a draining pool": (
            delete(),
            found(held("10.0.2.9", pool="gone")),
            "freed 10.0.2.9",
        ),
        "undo frees the address of its own ADD": (
            delete(at=10, undo=True),
            found(held("10.0.0.9", taken=10)),
            "freed 10.0.0.9",
        ),
        "undo spares the address of another ADD": (
            delete(at=20, undo=True),
            found(held("10.0.0.9", taken=10)),
            "freed spared 1",
        ),
        "release of one allocation spares the holder's others": (
            delete(allocation=2),
            found(held("10.0.0.9", id=1), held("10.0.0.10", id=2, position=1)),
            "freed 10.0.0.10",
        ),
    },
)
def test_what_a_call_alone_is_answered(call: Call, known: Found, verdict: str) -> None:
    assert verdicts(planned([call], known)) == [verdict]


def test_an_add_that_no_pool_may_serve_is_refused_rather_than_answered_with_no_address() -> None:
    plan = planned([add()], of=catalogue(pool(auto_assign=False)))

    assert verdicts(plan) == ["nothing-free"]


# Several calls --------------------------------------------------------------------------------------------


ONE_LEFT: BlocksThere = {BlockOwner.ANY: [block("10.0.0.0", taken=["10.0.0.2-10.0.0.61"])]}
FULL: BlocksThere = {
    BlockOwner.ANY: [],
    "10.0.0.0": [block("10.0.0.0", taken=["10.0.0.0/26"])],
}
HOT = catalogue(pool("pods", "10.0.0.0/26", cooldown=0))
COOL = catalogue(pool("pods", "10.0.0.0/26"))


@table(
    "calls, of, there, answers",
    {
        "calls that share a block get one address each in their order": (
            [add("c2"), add("c3"), add("c4")],
            KNOWN,
            PLENTY,
            ["10.0.0.2", "10.0.0.3", "10.0.0.4"],
        ),
        "a bad request fails alone": (
            [add("c2"), add("c3", "fourr"), add("c4")],
            KNOWN,
            PLENTY,
            ["10.0.0.2", "pool-unknown", "10.0.0.3"],
        ),
        "the last address goes to the first call": (
            [add("c2"), add("c3")],
            COOL,
            ONE_LEFT,
            ["10.0.0.62", "nothing-free"],
        ),
        "a call gets all its addresses or none: the last one is left to the next call": (
            [add("c2", "pods", "pods"), add("c3", "pods")],
            COOL,
            ONE_LEFT,
            ["nothing-free", "10.0.0.62"],
        ),
        "releases come first: without a cooldown their addresses serve the others": (
            [add("c2"), delete("c1")],
            HOT,
            FULL,
            ["10.0.0.9", "freed 10.0.0.9"],
        ),
        "a freed address waits for its cooldown": (
            [add("c2"), delete("c1")],
            COOL,
            FULL,
            ["nothing-free", "freed 10.0.0.9"],
        ),
        "a freed address does not wait if it is requested": (
            [add("c2", "pods", wants=["10.0.0.9"]), delete("c1")],
            COOL,
            FULL,
            ["10.0.0.9", "freed 10.0.0.9"],
        ),
        "the first of two calls gets the address that both request": (
            [add("c2", "pods", wants=["10.0.0.50"]), add("c3", "pods", wants=["10.0.0.50"])],
            KNOWN,
            PLENTY,
            ["10.0.0.50", "address-taken"],
        ),
    },
)
def test_what_calls_of_one_batch_are_answered(
    calls: Sequence[Call], of: Catalogue, there: BlocksThere, answers: Sequence[str]
) -> None:
    plan = planned(calls, found(held("10.0.0.9")), there, of=of, carved_out={"pods"})

    assert verdicts(plan) == answers


# Calls that are not decided yet ---------------------------------------------------------------------------


@table(
    "calls, known, there, contended, answers",
    {
        "only calls wait whose holder another transaction has locked": (
            [add("c1"), delete("c2"), add("c3")],
            found(busy=["c1", "c2"]),
            PLENTY,
            NO_ONE,
            ["contended", "contended", "10.0.0.2"],
        ),
        "a release waits while another transaction has locked its block": (
            [delete("c1"), add("c3", "more")],
            found(held("10.0.0.9")),
            {BlockOwner.ANY: [block("10.0.1.0", of="more")]},
            {"10.0.0.0"},
            ["contended", "10.0.1.2"],
        ),
        "a request waits while others have locked all blocks with room: none is carved": (
            [add()],
            NOTHING,
            {},
            {BlockOwner.ANY},
            ["contended"],
        ),
        "a repeat needs no block": (
            [add()],
            found(held("10.0.0.9")),
            {},
            {BlockOwner.ANY},
            ["again 10.0.0.9"],
        ),
        "a request needs a block if none has room": (
            [add("c1", "pods")],
            NOTHING,
            {},
            NO_ONE,
            ["needs a block of pods"],
        ),
        "a request of two pools may need a block of each": (
            [add("c1", "pods", "more")],
            NOTHING,
            {},
            NO_ONE,
            ["needs a block of pods and more"],
        ),
        "a request takes nothing while one of its pools lacks a block: the next call gets the address": (
            [add("c1", "pods", "more"), add("c2", "pods")],
            NOTHING,
            {BlockOwner.ANY: [block("10.0.0.0")]},
            NO_ONE,
            ["needs a block of more", "10.0.0.2"],
        ),
        "a requested address needs its own block": (
            [add("c1", "pods", wants=["10.0.0.200"])],
            NOTHING,
            PLENTY,
            NO_ONE,
            ["needs a block of pods"],
        ),
        "a request that waits for others needs no block yet": (
            [add("c1", "pods", "more", wants=["10.0.0.50"])],
            NOTHING,
            {},
            {"10.0.0.0"},
            ["contended"],
        ),
        "a request is refused at once, whatever else it would wait for": (
            [add("c1", "pods", "gone")],
            NOTHING,
            {},
            {BlockOwner.ANY},
            ["nothing-free"],
        ),
    },
)
def test_which_calls_leave_a_batch_undecided(
    calls: Sequence[Call],
    known: Found,
    there: BlocksThere,
    contended: Set[BlockOwner | str],
    answers: Sequence[str],
) -> None:
    plan = planned(calls, known, there, contended=contended)

    assert verdicts(plan) == answers
    given = {
        call.digest
        for call, verdict in zip(calls, plan.verdicts(), strict=True)
        if isinstance(verdict, Granted) and not verdict.repeated
    }
    assert {row.digest for row in plan.changes().begun} == given


def test_a_block_is_carved_for_the_node_that_asks_where_blocks_belong_to_nodes() -> None:
    of_nodes = catalogue(pool(affinity=Affinity.NODE))

    plan = planned([add()], there={}, of=of_nodes)

    assert plan.verdicts() == [NeedsBlocks((NeedsBlock("pods", HERE),))]


# What is written ------------------------------------------------------------------------------------------


def test_an_address_that_is_given_is_written_with_all_that_is_known_of_its_holder() -> None:
    key = Idempotency("1 key", b"hash")
    call = add(
        "c1",
        "more",
        "pods",
        workload="shop/web",
        issued=Issued("monday", 10),
        netns=NetworkNamespace(4, 4026),
        idempotency=key,
        by="token 1",
    )

    changes = planned([call]).changes()

    first, second = changes.begun
    assert first == Allocation(
        id=None,
        space="default",
        address=ip_address("10.0.1.2"),
        pool="more",
        block=int(ip_address("10.0.1.0")),
        holder=container(),
        digest=container().digest,
        position=0,
        workload=Workload("shop", "web"),
        boot="monday",
        netns=NetworkNamespace(4, 4026),
        since=NOW,
        until=None,
        ending=None,
        generation=1,
        taken=moment(10),
        repeated=moment(10),
        idempotency=key,
        begun_by="token 1",
    )
    assert (str(second.address), second.pool, second.position) == ("10.0.0.2", "pods", 1)


@table(
    "call, known, ended, noted",
    {
        "a DEL ends the allocation, and is remembered for 15 minutes": (
            delete(at=20),
            found(held("10.0.0.9", id=7)),
            [Ended(7, NOW, Ending.RELEASED)],
            [RememberedRelease(container().digest, moment(20), False, NOW + 15 * 60 * SECOND)],
        ),
        "a DEL is remembered even if nothing was held": (
            delete(at=20),
            NOTHING,
            [],
            [RememberedRelease(container().digest, moment(20), False, NOW + REMEMBERED_FOR)],
        ),
        "a DEL is remembered even if it spared a later ADD": (
            delete(at=20),
            found(held("10.0.0.9", taken=30)),
            [],
            [RememberedRelease(container().digest, moment(20), False, NOW + REMEMBERED_FOR)],
        ),
        "an undo ends the allocation as undone, and is remembered as an undo": (
            delete(at=10, undo=True),
            found(held("10.0.0.9", taken=10, id=7)),
            [Ended(7, NOW, Ending.UNDONE)],
            [RememberedRelease(container().digest, moment(10), True, NOW + REMEMBERED_FOR)],
        ),
        "an admin's release tells by whom and why, and is not remembered": (
            delete(at=None, ending=Ending.ADMIN, by="token 1", reason="wrong"),
            found(held("10.0.0.9", id=7), held("10.0.0.10", id=8, position=1)),
            [
                Ended(7, NOW, Ending.ADMIN, "token 1", "wrong"),
                Ended(8, NOW, Ending.ADMIN, "token 1", "wrong"),
            ],
            [],
        ),
        "a GC ends the allocation as collected": (
            delete(at=20, ending=Ending.COLLECTED),
            found(held("10.0.0.9", id=7)),
            [Ended(7, NOW, Ending.COLLECTED)],
            [RememberedRelease(container().digest, moment(20), False, NOW + REMEMBERED_FOR)],
        ),
    },
)
def test_what_is_written_of_a_release(
    call: ReleaseCall, known: Found, ended: Sequence[Ended], noted: Sequence[RememberedRelease]
) -> None:
    changes = planned([call], known).changes()

    assert changes.ended == ended
    assert changes.remembered == noted
    freed = [each for each in known.held.get(call.digest, ()) if each.id in {row.id for row in ended}]
    assert [since_when(changes.blocks, row) for row in freed] == [NOW] * len(freed)


@table(
    "at, generation, latest, lives_in",
    {
        "another ADD raises generation and order, and says where the container lives now": (15, 2, 15, 4027),
        "the same ADD raises nothing, yet is written: its answer must be durable": (10, 1, 10, 4026),
        "an earlier ADD raises the generation, and nothing else": (5, 2, 10, 4026),
    },
)
def test_what_is_written_of_a_repeat(at: int, generation: int, latest: int, lives_in: int) -> None:
    row = held("10.0.0.9", taken=10, id=7, boot="monday", netns=NetworkNamespace(4, 4026))
    call = add(at=at, issued=Issued("monday", at), netns=NetworkNamespace(4, 4027))

    changes = planned([call], found(row)).changes()

    lives = NetworkNamespace(4, lives_in)
    assert changes == Changes(repeated=[Repeated(7, generation, moment(latest), "monday", lives)])


@table(
    "calls, known",
    {
        "of a refused request": ([add("c1", "fourr")], NOTHING),
        "of an overtaken ADD": ([add(at=10)], found(remembered(20))),
        "of a holder's request for another address": ([add(wants=["10.0.0.8"])], found(held("10.0.0.9"))),
        "of a contended call": ([add()], found(busy=["c1"])),
    },
)
def test_nothing_is_written(calls: Sequence[Call], known: Found) -> None:
    assert planned(calls, known).changes() == Changes()


def test_only_blocks_that_changed_are_written() -> None:
    there: BlocksThere = {BlockOwner.ANY: [block("10.0.0.0"), block("10.0.0.64")]}
    many = [add(f"c{at}", "pods") for at in range(9)]  # so many that two blocks are locked for them

    changes = planned(many, there=there).changes()

    assert [(each.first, each.allocated) for each in changes.blocks] == [(int(ip_address("10.0.0.0")), 9)]


def since_when(blocks: Sequence[Block], row: Allocation) -> int:
    """Since when an address is free, by the blocks that are to be written."""
    [its] = [each for each in blocks if (each.pool, each.first) == (row.pool, row.block)]
    return its.free_since[int(row.address) - its.first]


# The catalogue moved --------------------------------------------------------------------------------------


@table("call", {"when it calls ADD again": (add(),), "when it calls DEL": (delete(),)})
def test_a_holder_of_an_unknown_pool_shows_that_the_catalogue_has_changed(call: Call) -> None:
    with pytest.raises(StaleCatalogue):
        planned([call], found(held("10.0.9.9", pool="new")))


# Settling: the same in a transaction ----------------------------------------------------------------------


class Prepared:
    """The part of a transaction that settling uses: its answers are given, and its steps are noted."""

    def __init__(self, known: Found, there: BlocksThere, revision: int) -> None:
        self.known, self.there, self.at = known, there, revision
        self.steps: list[str] = []
        self.written = Changes()

    @property
    def transaction(self) -> Transaction:
        return cast(Transaction, self)

    async def find(self, digests: Sequence[Digest]) -> Found:
        self.steps.append(f"find {len(digests)}")
        return self.known

    async def lock(self, searches: Sequence[BlockSearch]) -> Sequence[Locked]:
        self.steps.append(f"lock {len(searches)}")
        return [answer(search, self.there, NO_ONE) for search in searches]

    async def revision(self) -> int:
        self.steps.append("revision")
        return self.at

    async def write(self, changes: Changes) -> None:
        self.steps.append(f"write by {changes.decided_at}")
        self.written = changes


@table(
    "calls, known, steps",
    {
        "find the holders, lock blocks, write by the revision that decided": (
            [add("c2"), delete("c1")],
            found(held("10.0.0.9")),
            ["find 2", "lock 2", "write by 1"],
        ),
        "lock nothing if no call needs a block": (
            [add("c1")],
            found(held("10.0.0.9")),
            ["find 1", "write by 1"],
        ),
        "lock again if a search found too little": (
            [add("c1", ["none", "more"])],
            NOTHING,
            ["find 1", "lock 1", "lock 1", "write by 1"],
        ),
    },
)
async def test_in_which_steps_a_batch_is_settled(
    calls: Sequence[Call], known: Found, steps: Sequence[str]
) -> None:
    prepared = Prepared(known, PLENTY, revision=1)

    answers, *_ = await settle(calls, prepared.transaction, KNOWN, {"none"}, Reading(NOW))

    assert prepared.steps == steps
    assert len(answers) == len(calls)
    assert prepared.written != Changes()


async def test_what_would_become_of_a_batch_is_not_told_by_another_catalogue() -> None:
    prepared = Prepared(NOTHING, PLENTY, revision=2)

    with pytest.raises(StaleCatalogue):
        await decide([add()], prepared.transaction, KNOWN, set(), Reading(NOW))

    assert prepared.steps == ["find 1", "lock 1", "revision"]


async def test_deciding_alone_writes_nothing() -> None:
    prepared = Prepared(NOTHING, PLENTY, revision=1)

    plan = await decide([add()], prepared.transaction, KNOWN, set(), Reading(NOW))

    assert verdicts(plan) == ["10.0.0.2"]
    assert prepared.steps == ["find 1", "lock 1", "revision"]
