"""What the other nodes hear of a batch: blocks that change hands, and single addresses outside own blocks.

An ADD out of a node's own block changes nothing that is announced, and neither does its DEL: so they take no
number, whatever the pod network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ipamd.backends.interface import BlockOwner, Found
from ipamd.engine.allocation.call import AllocateCall, Call, NeedsBlock
from ipamd.engine.allocation.plan import Plan
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading
from ipamd.models.block import Block
from ipamd.models.identity import owner_of_node
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import PodNetwork
from ipamd.models.pool import Affinity, Pool, Selectors
from tests.rules.values import (
    HERE,
    NOW,
    THERE,
    BlocksThere,
    add,
    answer,
    block,
    catalogue,
    delete,
    found,
    held,
    moment,
    pool,
    request,
    table,
)

OF_NODES = pool(affinity=Affinity.NODE)
ELSEWHERE = pool(affinity=Affinity.NODE, selectors=Selectors(clusters=("west",)))
NOTHING = found()
OWN, NONE, ANY = BlockOwner.OWN, BlockOwner.NONE, BlockOwner.ANY
EMPTY = BlockOwner.OTHER_WHILE_EMPTY
FOREIGN = block("10.0.0.64", node=THERE, taken=["10.0.0.64"])


def known(rules: Pool, *clusters: str) -> Catalogue:
    """A pool, and the clusters that have a pod network."""
    snapshot = catalogue(rules).snapshot
    return Catalogue(replace(snapshot, networks={each: PodNetwork(cluster=each) for each in clusters}))


def planned(
    calls: Sequence[Call],
    there: BlocksThere,
    *,
    held_before: Found = NOTHING,
    rules: Pool = OF_NODES,
    clusters: Sequence[str] = ("default",),
) -> Plan:
    plan = Plan(calls, held_before, known(rules, *clusters), {"pods"}, Reading(NOW))
    while searches := plan.searches():
        plan.receive(searches, [answer(search, there, frozenset()) for search in searches])
    assert len(plan.verdicts()) == len(calls)
    return plan


def announced(plan: Plan) -> set[str]:
    return {each.name for each in plan.changes().announced}


def own_address(node: NodeKey) -> AllocateCall:
    asked = request("pods", holder=owner_of_node(node, 4), node=node)
    return AllocateCall(asked, moment(10), asked.digest, node)


@table(
    "call, there, names",
    {
        "not an address out of the node's own block": (add(), {OWN: [block("10.0.0.64", node=HERE)]}, set()),
        "a block without a node that becomes its own": (add(), {NONE: [block("10.0.0.64")]}, {"here"}),
        "an empty block of another node, with both of them": (
            add(),
            {EMPTY: [block("10.0.0.64", node=THERE)]},
            {"here", "there"},
        ),
        "a single address out of another node's block, with the one that has it": (
            add(),
            {ANY: [FOREIGN]},
            {"here"},
        ),
        "a requested address out of another node's block": (
            add(wants=["10.0.0.70"]),
            {"10.0.0.64": [FOREIGN]},
            {"here"},
        ),
        "a node's own address": (
            own_address(HERE),
            {OWN: [block("10.0.0.64", node=HERE)]},
            {"here"},
        ),
    },
)
def test_what_is_announced_of_an_add(call: Call, there: BlocksThere, names: set[str]) -> None:
    assert announced(planned([call], there)) == names


@table(
    "borrowed, owner, names",
    {
        "not of an address in the node's own block": (False, HERE, set()),
        "of a single address": (True, THERE, {"here"}),
        "of a single address whose block has become the node's own": (True, HERE, {"here"}),
    },
)
def test_what_is_announced_of_a_del(borrowed: bool, owner: NodeKey, names: set[str]) -> None:
    holding = held("10.0.0.70", borrowed=borrowed)
    there: BlocksThere = {"10.0.0.64": [block("10.0.0.64", node=owner, taken=["10.0.0.70"])]}

    assert announced(planned([delete()], there, held_before=found(holding))) == names


@table(
    "rules, clusters",
    {
        "there is none": (OF_NODES, ()),
        "there is one of another cluster": (OF_NODES, ("west",)),
        "the pool is for another cluster now": (ELSEWHERE, ("default", "west")),
    },
)
def test_nothing_is_announced_if_no_pod_network_carries_the_pool(
    rules: Pool, clusters: Sequence[str]
) -> None:
    there: BlocksThere = {"10.0.0.64": [block("10.0.0.64", node=THERE, taken=["10.0.0.70"])]}
    holding = found(held("10.0.0.70", borrowed=True))

    assert announced(planned([delete()], there, held_before=holding, rules=rules, clusters=clusters)) == set()


def test_a_borrowed_address_is_marked_even_before_there_is_a_pod_network() -> None:
    plan = planned([add()], {ANY: [FOREIGN]}, clusters=())

    assert [row.borrowed for row in plan.changes().begun] == [True]


@table(
    "taken, calls, wanted",
    {
        "with room for more than a quarter nothing is carved": ("10.0.0.64-10.0.0.109", 1, False),
        "with the address that leaves a quarter the next is wanted": ("10.0.0.64-10.0.0.110", 1, True),
        "also if several calls of a batch pass that mark": ("10.0.0.64-10.0.0.109", 4, True),
        "later addresses do not ask again": ("10.0.0.64-10.0.0.111", 1, False),
    },
)
def test_when_the_next_block_is_wanted_ahead(taken: str, calls: int, wanted: bool) -> None:
    there: BlocksThere = {OWN: [block("10.0.0.64", node=HERE, taken=[taken])]}

    plan = planned([add(f"c{number}") for number in range(calls)], there)

    assert plan.nearly_full() == ({NeedsBlock("pods", HERE)} if wanted else set())


def test_no_block_is_wanted_ahead_if_nobody_is_told_of_it() -> None:
    almost: Block = block("10.0.0.64", node=HERE, taken=["10.0.0.64-10.0.0.110"])

    assert planned([add()], {OWN: [almost]}, clusters=()).nearly_full() == set()
