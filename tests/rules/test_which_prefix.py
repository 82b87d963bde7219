"""Which prefix: aligned neighbours of one block, all of which anybody may have, away from others."""

from __future__ import annotations

from collections.abc import Sequence, Set

import pytest

from ipamd.backends.interface import BlockOwner, BlocksWithFree, Found
from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.batch import Batch
from ipamd.engine.allocation.block_owners import CarvingStep
from ipamd.engine.allocation.call import carvable
from ipamd.engine.allocation.picked import NotYet
from ipamd.engine.allocation.prefix_search import order_of_prefix_steps
from ipamd.engine.allocation.reports import NO_LEASES
from ipamd.engine.allocation.selection import select
from ipamd.engine.clock import Reading
from ipamd.models.block import Block
from ipamd.models.errors import DomainError
from ipamd.models.node import NodeKey
from ipamd.models.pool import Affinity, Pool, PoolState
from ipamd.models.request import PrefixRequest
from ipamd.models.reservation import Reservation
from tests.rules.test_which_block import said
from tests.rules.values import (
    HERE,
    NOW,
    THERE,
    BlocksThere,
    addresses,
    ago,
    answer,
    block,
    catalogue,
    container,
    owner,
    pool,
    request,
    reserved,
    table,
)

OWN, NONE, ANY = BlockOwner.OWN, BlockOwner.NONE, BlockOwner.ANY
OTHER_WHILE_EMPTY, CARVE = BlockOwner.OTHER_WHILE_EMPTY, CarvingStep.CARVE
OF_NODES = pool(affinity=Affinity.NODE)
OF_ALL = pool()
STICKY = pool(sticky=True)
SIX = pool("six", "fd00::/64", block_length=122)


def pick(
    wanted: AddressRequest,
    length: int,
    there: BlocksThere,
    *kept: Reservation,
    node: NodeKey | None = HERE,
    carved_out: Set[str] = frozenset(),
    contended: Set[BlockOwner | str] = frozenset(),
) -> str:
    """What is picked, with as many searches as that needs; an error's code if there is one."""
    rules = catalogue(*wanted.pools, *kept)
    batch = Batch(Found({}, {}), rules, carved_out, Reading(NOW), NO_LEASES)
    try:
        while (picked := batch.prefixes.take(wanted, length, node)) is NotYet.SEARCHING:
            searches = batch.blocks.searches()
            batch.blocks.receive(searches, [answer(search, there, contended) for search in searches])
    except DomainError as error:
        return error.code
    return said(picked)


@table(
    "there, length, then",
    {
        "the last aligned addresses of a block": ([block("10.0.0.64")], 28, "10.0.0.112/28"),
        "those before them if one address is held": (
            [block("10.0.0.64", taken=["10.0.0.120"])],
            28,
            "10.0.0.96/28",
        ),
        "a whole block": ([block("10.0.0.64")], 26, "10.0.0.64/26"),
        "no whole block if its first address is the gateway's": ([block("10.0.0.0")], 26, "nothing-free"),
        "not the end of the pool, where the broadcast address is": (
            [block("10.0.0.192")],
            28,
            "10.0.0.224/28",
        ),
        "those that have been free longest": (
            [block("10.0.0.64", freed={"10.0.0.127": ago(900)})],
            28,
            "10.0.0.96/28",
        ),
        "the last of two blocks that nobody has had": (
            [block("10.0.0.64"), block("10.0.0.128")],
            28,
            "10.0.0.176/28",
        ),
        "none of which an address cools down": (
            [block("10.0.0.64", freed={f"10.0.0.{end}": ago(9) for end in (65, 81, 97, 127)})],
            28,
            "nothing-free",
        ),
        "two addresses": ([block("10.0.0.64")], 31, "10.0.0.126/31"),
        "none, though enough addresses are free": (
            [block("10.0.0.64", taken=[f"10.0.0.{end}" for end in range(64, 128, 16)])],
            28,
            "nothing-free",
        ),
    },
)
def test_which_prefix_anybody_gets(there: Sequence[Block], length: int, then: str) -> None:
    wanted = AddressRequest((OF_ALL,), prefix_length=length)

    assert pick(wanted, length, {ANY: there}, carved_out={carvable("pods", 1 << (32 - length))}) == then


@table(
    "rules, kept, then",
    {
        "an address in it is excluded": (pool(exclusions=["10.0.0.125"]), (), "10.0.0.96/28"),
        "an address in it is reserved": (OF_ALL, (reserved("10.0.0.125", "db/0"),), "10.0.0.96/28"),
        "it is outside the ranges": (pool(ranges=["10.0.0.64-10.0.0.126"]), (), "10.0.0.96/28"),
        "the pool drains": (pool(state=PoolState.DRAINING), (), "nothing-free"),
    },
)
def test_what_a_prefix_does_not_contain(rules: Pool, kept: Sequence[Reservation], then: str) -> None:
    wanted = AddressRequest((rules,), prefix_length=28)

    assert pick(wanted, 28, {ANY: [block("10.0.0.64")]}, *kept, carved_out={"pods 16"}) == then


@table(
    "rules, node, steps",
    {
        "with affinity: no single addresses of others": (
            OF_NODES,
            HERE,
            [OWN, NONE, CARVE, OTHER_WHILE_EMPTY],
        ),
        "with affinity, for a caller without a node": (OF_NODES, None, [NONE, CARVE]),
        "without affinity: any block, then a carved one": (OF_ALL, HERE, [ANY, CARVE]),
    },
)
def test_in_which_order_blocks_are_looked_into(
    rules: Pool, node: NodeKey | None, steps: Sequence[BlockOwner | CarvingStep]
) -> None:
    assert list(order_of_prefix_steps(rules, node)) == steps


def test_a_block_with_room_for_the_prefix_is_carved_if_there_is_none() -> None:
    wanted = AddressRequest((OF_ALL,), prefix_length=28)
    half = [block("10.0.0.64", taken=[f"10.0.0.{end}" for end in range(64, 128, 16)])]

    assert pick(wanted, 28, {ANY: half}) == "carve a block with room for 16 of pods for all"


def test_a_node_takes_no_prefix_out_of_anothers_block() -> None:
    wanted = AddressRequest((OF_NODES,), prefix_length=28)
    theirs = block("10.0.0.64", node=THERE, taken=["10.0.0.65"])

    assert pick(wanted, 28, {ANY: [theirs]}, carved_out={"pods 16"}) == "nothing-free"
    asked = AddressRequest((OF_NODES,), addresses("10.0.0.96/28"), prefix_length=28)
    assert pick(asked, 28, {"10.0.0.64": [theirs]}) == "address-unavailable"


def test_a_caller_without_a_node_takes_a_prefix_out_of_a_block_of_no_node() -> None:
    wanted = AddressRequest((OF_NODES,), prefix_length=28)

    assert pick(wanted, 28, {NONE: [block("10.0.0.64")]}, node=None) == "10.0.0.112/28"
    theirs: BlocksThere = {ANY: [block("10.0.0.64", node=THERE)]}
    assert pick(wanted, 28, theirs, node=None, carved_out={"pods 16"}) == "nothing-free"


def test_a_search_for_a_prefix_is_for_blocks_with_so_many_addresses() -> None:
    rules = catalogue(OF_ALL)
    batch = Batch(Found({}, {}), rules, set(), Reading(NOW), NO_LEASES)

    batch.prefixes.take(AddressRequest((OF_ALL,)), 28, HERE)

    [search] = batch.blocks.searches()
    assert isinstance(search, BlocksWithFree)
    assert search.most_allocated == 48


@table(
    "rules, past, kept, then",
    {
        "though it cools down": (OF_ALL, {"freed": {"10.0.0.97": ago(1)}}, (), "10.0.0.96/28"),
        "not while a sticky pool keeps an address in it": (
            STICKY,
            {"freed": {"10.0.0.97": ago(1)}},
            (),
            "address-unavailable",
        ),
        "not if an address in it is held": (OF_ALL, {"taken": ["10.0.0.100"]}, (), "address-taken"),
    },
)
def test_a_prefix_that_is_asked_for_by_its_address(
    rules: Pool, past: dict[str, object], kept: Sequence[Reservation], then: str
) -> None:
    wanted = AddressRequest((rules,), addresses("10.0.0.96/28"), prefix_length=28)

    assert pick(wanted, 28, {"10.0.0.64": [block("10.0.0.64", **past)]}, *kept) == then  # type: ignore[arg-type]


def asked(
    prefix: PrefixRequest, *rules: Pool | Reservation, names: Sequence[str] = ("pods",), by: str | None = None
) -> str:
    """Where a request looks for its prefix, or the code of what it is refused with."""
    asks = request(*names, holder=owner(by) if by else container(), workload="db/0", prefix=prefix)
    try:
        last = select(asks, catalogue(*rules))[-1]
    except DomainError as error:
        return error.code
    pools = " ".join(each.name for each in last.pools)
    return f"/{last.prefix_length} of {pools}" + (f" in {last.place}" if last.place else "")


FIRST_OF_ALL = PrefixRequest(28, ("pods",), addresses("10.0.0.16").first, alone=True)


@table(
    "prefix, rules, then",
    {
        "out of the pools of the address beside it": (PrefixRequest(28), (OF_ALL,), "/28 of pods"),
        "out of a pool that is named": (
            PrefixRequest(29, ("second",)),
            (OF_ALL, pool("second", "10.0.1.0/24")),
            "/29 of second",
        ),
        "this very one": (FIRST_OF_ALL, (OF_ALL,), "/28 of pods in 10.0.0.16/28"),
        "in the holder's own reservation": (
            PrefixRequest(28),
            (OF_ALL, reserved("10.0.0.64/27", "db/0")),
            "/28 of pods in 10.0.0.64/27",
        ),
        "not in a reservation that is too small": (
            PrefixRequest(28),
            (OF_ALL, reserved("10.0.0.64/29", "db/0")),
            "/28 of pods",
        ),
        "not over another's reservation": (
            FIRST_OF_ALL,
            (OF_ALL, reserved("10.0.0.20", "db/1")),
            "address-unavailable",
        ),
        "over its own reservation": (
            FIRST_OF_ALL,
            (OF_ALL, reserved("10.0.0.20", "db/0")),
            "/28 of pods in 10.0.0.16/28",
        ),
        "not with the gateway": (
            PrefixRequest(28, ("pods",), addresses("10.0.0.0").first, alone=True),
            (OF_ALL,),
            "address-unavailable",
        ),
        "not outside the pool": (
            PrefixRequest(28, ("pods",), addresses("10.9.0.0").first, alone=True),
            (OF_ALL,),
            "address-unavailable",
        ),
        "not one that is unaligned": (
            PrefixRequest(28, ("pods",), addresses("10.0.0.17").first, alone=True),
            (OF_ALL,),
            "invalid",
        ),
        "not as long as the pool": (PrefixRequest(24), (OF_ALL,), "invalid"),
        "not shorter than the pool": (PrefixRequest(8), (OF_ALL,), "invalid"),
        "not longer than an address": (PrefixRequest(33), (OF_ALL,), "invalid"),
        "not one address": (PrefixRequest(32), (OF_ALL,), "invalid"),
        "not of length zero": (PrefixRequest(0), (OF_ALL,), "invalid"),
        "not of a pool that there is not": (PrefixRequest(28, ("nowhere",)), (OF_ALL,), "pool-unknown"),
    },
)
def test_where_a_prefix_comes_from(
    prefix: PrefixRequest, rules: Sequence[Pool | Reservation], then: str
) -> None:
    assert asked(prefix, *rules) == then


@pytest.mark.parametrize(("length", "then"), [(28, "/28 of pods"), (124, "/124 of six"), (130, "invalid")])
def test_beside_addresses_of_both_families_the_length_says_of_which_the_prefix_is(
    length: int, then: str
) -> None:
    assert asked(PrefixRequest(length), OF_ALL, SIX, names=("pods", "six")) == then


def test_a_holder_that_asks_for_a_prefix_alone_gets_no_address_beside_it() -> None:
    asks = request("pods", prefix=PrefixRequest(28, ("pods",), alone=True))

    assert [each.prefix_length for each in select(asks, catalogue(OF_ALL))] == [28]
