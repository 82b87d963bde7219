"""Which block: whose blocks are searched in turn, when a new one is carved, and which of several serves.

With affinity `node` a node looks into its own blocks, into blocks without a node, has one carved, takes an
empty block of another node over, and at last takes single addresses out of others' blocks. Without affinity
any block will do. Routing between nodes announces the blocks of a node: this order keeps the routes few.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ipamd.backends.conformance.examples import allocation as row
from ipamd.backends.interface import BlockId, BlockOwner, BlocksWithFree, Found, Locked
from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.batch import Batch
from ipamd.engine.allocation.block_owners import CarvingStep, order_of_steps
from ipamd.engine.allocation.block_search import MOST_BLOCKS
from ipamd.engine.allocation.call import NeedsBlock
from ipamd.engine.allocation.picked import NotYet, PickedAddress
from ipamd.engine.allocation.reports import NO_LEASES
from ipamd.engine.catalogue import StaleCatalogue
from ipamd.engine.clock import Reading
from ipamd.models.allocation import written
from ipamd.models.block import Block
from ipamd.models.errors import AddressTaken, AddressUnavailable, DomainError, NothingFree
from ipamd.models.node import NodeKey
from ipamd.models.pool import Affinity, Pool, PoolState
from ipamd.models.reservation import Reservation
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
    pool,
    reserved,
    table,
)

OWN, NONE, ANY = BlockOwner.OWN, BlockOwner.NONE, BlockOwner.ANY
OTHER_WHILE_EMPTY, CARVE = BlockOwner.OTHER_WHILE_EMPTY, CarvingStep.CARVE

OF_NODES = pool(affinity=Affinity.NODE)
OF_ALL = pool()
FIRST = pool("first", "10.0.0.0/24")
SECOND = pool("second", "10.0.1.0/24")
DRAINING = pool("draining", "10.0.2.0/24", state=PoolState.DRAINING)

Picked = PickedAddress | NotYet | NeedsBlock


def batch_of(*pools: Pool, kept: Sequence[Reservation] = (), carved_out: Set[str] = frozenset()) -> Batch:
    """A batch that has locked nothing yet; of the pools in `carved_out` every block is carved."""
    return Batch(Found({}, {}), catalogue(*pools, *kept), carved_out, Reading(NOW), NO_LEASES)


def locked(rules: Pool, *these: Block) -> Batch:
    """A batch that has locked these blocks; there is no other."""
    batch = batch_of(rules, carved_out={rules.name})
    for each in these:
        batch.blocks.lacks(rules.name, each.first)
    batch.blocks.receive(batch.blocks.searches(), [Locked([each]) for each in these])
    return batch


def pick(
    batch: Batch,
    wanted: AddressRequest,
    there: BlocksThere,
    *,
    node: NodeKey | None = HERE,
    contended: Set[BlockOwner | str] = frozenset(),
) -> Picked:
    """Pick an address, with as many searches as that needs."""
    while (picked := batch.addresses.take(wanted, node)) is NotYet.SEARCHING:
        searches = batch.blocks.searches()
        batch.blocks.receive(searches, [answer(search, there, contended) for search in searches])
    return picked


def said(picked: Picked) -> str:
    """What was picked, as a row says it."""
    match picked:
        case PickedAddress(_, _, address, _, _, length):
            return written(address, length)
        case NeedsBlock(name, node, first, count):
            which = "a block" if first is None else f"block {ip_address(first)}"
            which += f" with room for {count}" if count > 1 else ""
            return f"carve {which} of {name} for {'all' if node is None else node.name}"
        case NotYet():
            return picked.name.lower()


def owners(batch: Batch) -> dict[str, str | None]:
    """Whose the blocks are that are to be written."""
    return {
        str(ip_address(each.first)): each.node.name if each.node else None for each in batch.blocks.changed()
    }


# The order ------------------------------------------------------------------------------------------------


@table(
    "affinity, node, steps",
    {
        "with affinity: own, without a node, carved, others' empty ones, single addresses of others": (
            Affinity.NODE,
            HERE,
            [OWN, NONE, CARVE, OTHER_WHILE_EMPTY, ANY],
        ),
        "with affinity, for a caller without a node: without a node, carved, single addresses": (
            Affinity.NODE,
            None,
            [NONE, CARVE, ANY],
        ),
        "without affinity: any block, then a carved one": (Affinity.ANY, HERE, [ANY, CARVE]),
    },
)
def test_in_which_order_blocks_are_looked_into(
    affinity: Affinity, node: NodeKey | None, steps: Sequence[BlockOwner | CarvingStep]
) -> None:
    assert list(order_of_steps(pool(affinity=affinity), node)) == steps


@table(
    "rules, carved_out, searched, then",
    {
        "with affinity a block is carved once two searches found none": (
            OF_NODES,
            False,
            [OWN, NONE],
            "carve a block of pods for here",
        ),
        "with affinity others' blocks are searched only once every block is carved": (
            OF_NODES,
            True,
            [OWN, NONE, OTHER_WHILE_EMPTY, ANY],
            "nothing free",
        ),
        "without affinity a block is carved for all": (OF_ALL, False, [ANY], "carve a block of pods for all"),
        "without affinity nothing is free after one search once every block is carved": (
            OF_ALL,
            True,
            [ANY],
            "nothing free",
        ),
    },
)
def test_what_is_searched_while_nothing_is_found(
    rules: Pool, carved_out: bool, searched: Sequence[BlockOwner], then: str
) -> None:
    batch = batch_of(rules, carved_out={"pods"} if carved_out else set())
    seen: list[BlockOwner] = []

    def take() -> str:
        try:
            return said(batch.addresses.take(AddressRequest((rules,)), HERE))
        except NothingFree:
            return "nothing free"

    while (outcome := take()) == "searching":
        [search] = batch.blocks.searches()
        assert isinstance(search, BlocksWithFree)
        seen.append(search.owner)
        batch.blocks.receive([search], [Locked([])])

    assert seen == searched
    assert outcome == then


@table(
    "there, address, owner",
    {
        "its own block": (
            {OWN: [block("10.0.0.64", node=HERE)], NONE: [block("10.0.0.128")]},
            "10.0.0.64",
            {"10.0.0.64": "here"},
        ),
        "else one without a node, which becomes its own": (
            {NONE: [block("10.0.0.128")], OTHER_WHILE_EMPTY: [block("10.0.0.64", node=THERE)]},
            "10.0.0.128",
            {"10.0.0.128": "here"},
        ),
        "else an empty one of another node, which changes hands": (
            {
                OTHER_WHILE_EMPTY: [block("10.0.0.64", node=THERE)],
                ANY: [block("10.0.0.128", node=THERE, taken=["10.0.0.128"])],
            },
            "10.0.0.64",
            {"10.0.0.64": "here"},
        ),
        "else a single address of another node's block, which stays the other's": (
            {ANY: [block("10.0.0.128", node=THERE, taken=["10.0.0.128"])]},
            "10.0.0.129",
            {"10.0.0.128": "there"},
        ),
    },
)
def test_from_which_block_a_node_takes_when_all_are_carved(
    there: BlocksThere, address: str, owner: dict[str, str]
) -> None:
    batch = batch_of(OF_NODES, carved_out={"pods"})

    picked = pick(batch, AddressRequest((OF_NODES,)), there)

    assert said(picked) == address
    assert owners(batch) == owner


@table(
    "rules, node, there, address, owner",
    {
        "without affinity a block stays without a node": (
            OF_ALL,
            HERE,
            {ANY: [block("10.0.0.64")]},
            "10.0.0.64",
            {"10.0.0.64": None},
        ),
        "a caller without a node leaves the block to the next node": (
            OF_NODES,
            None,
            {NONE: [block("10.0.0.64")]},
            "10.0.0.64",
            {"10.0.0.64": None},
        ),
        "a caller without a node takes single addresses of a node's block": (
            OF_NODES,
            None,
            {ANY: [block("10.0.0.64", node=THERE)]},
            "10.0.0.64",
            {"10.0.0.64": "there"},
        ),
    },
)
def test_whose_a_block_is_once_an_address_was_taken(
    rules: Pool, node: NodeKey | None, there: BlocksThere, address: str, owner: dict[str, str | None]
) -> None:
    batch = batch_of(rules, carved_out={"pods"})

    picked = pick(batch, AddressRequest((rules,)), there, node=node)

    assert said(picked) == address
    assert owners(batch) == owner


def test_a_block_that_changed_hands_in_this_batch_serves_its_new_node_and_no_other_as_its_own() -> None:
    batch = batch_of(OF_NODES)
    there: BlocksThere = {NONE: [block("10.0.0.64")]}

    first = pick(batch, AddressRequest((OF_NODES,)), there)
    second = pick(batch, AddressRequest((OF_NODES,)), there)
    stranger = pick(batch, AddressRequest((OF_NODES,)), {}, node=THERE)

    assert [said(first), said(second)] == ["10.0.0.64", "10.0.0.65"]
    assert said(stranger) == "carve a block of pods for there"


def test_another_nodes_block_is_taken_over_only_while_it_is_empty() -> None:
    batch = batch_of(OF_NODES, carved_out={"pods"})
    theirs: BlocksThere = {OWN: [block("10.0.0.64", node=THERE)]}

    pick(batch, AddressRequest((OF_NODES,)), theirs, node=THERE)
    mine = pick(batch, AddressRequest((OF_NODES,)), {})

    assert said(mine) == "10.0.0.65"
    assert owners(batch) == {"10.0.0.64": "there"}


# Of several blocks ----------------------------------------------------------------------------------------


@table(
    "rules, owner, past, address",
    {
        "without affinity the one whose next address has been free longest": (
            OF_ALL,
            None,
            [block("10.0.0.64", freed_all=ago(100)), block("10.0.0.128", freed_all=ago(200))],
            "10.0.0.128",
        ),
        "of a node's own blocks the one whose next address has been free longest": (
            OF_NODES,
            HERE,
            [block("10.0.0.64", freed_all=ago(100)), block("10.0.0.128", freed_all=ago(200))],
            "10.0.0.128",
        ),
        "of blocks without a node the one whose next address has been free longest": (
            OF_NODES,
            None,
            [block("10.0.0.64", freed_all=ago(100)), block("10.0.0.128", freed_all=ago(200))],
            "10.0.0.128",
        ),
        "of other nodes' empty blocks the one whose next address has been free longest": (
            OF_NODES,
            THERE,
            [block("10.0.0.64", freed_all=ago(100)), block("10.0.0.128", freed_all=ago(200))],
            "10.0.0.128",
        ),
        "an empty block of another node before one in use, whose address has been free longer": (
            OF_NODES,
            THERE,
            [block("10.0.0.64", freed_all=ago(100)), block("10.0.0.128", taken=["10.0.0.128"])],
            "10.0.0.64",
        ),
        "of other nodes' blocks in use the one whose next address has been free longest": (
            OF_NODES,
            THERE,
            [
                block("10.0.0.64", freed_all=ago(100), taken=["10.0.0.64"]),
                block("10.0.0.128", freed_all=ago(200), taken=["10.0.0.128"]),
            ],
            "10.0.0.129",
        ),
        "an address that nobody had counts as free longest": (
            OF_ALL,
            None,
            [block("10.0.0.64", freed_all=ago(900)), block("10.0.0.128", freed={"10.0.0.128": ago(90)})],
            "10.0.0.129",
        ),
        "a full block serves nobody": (
            OF_ALL,
            None,
            [block("10.0.0.64", taken=["10.0.0.64/26"]), block("10.0.0.128", freed_all=ago(61))],
            "10.0.0.128",
        ),
    },
)
def test_which_of_several_blocks_serves(
    rules: Pool, owner: NodeKey | None, past: Sequence[Block], address: str
) -> None:
    batch = locked(rules, *(replace(each, node=owner) for each in past))

    assert said(pick(batch, AddressRequest((rules,)), {})) == address


def test_several_blocks_take_turns_by_the_time_that_their_addresses_have_been_free() -> None:
    one = block("10.0.0.64", freed_all=NOW, freed={"10.0.0.64": ago(500), "10.0.0.65": ago(300)})
    other = block("10.0.0.128", freed_all=NOW, freed={"10.0.0.128": ago(400), "10.0.0.129": ago(200)})
    batch = locked(OF_ALL, one, other)

    turns = [said(batch.addresses.take(AddressRequest((OF_ALL,)), HERE)) for _ in range(5)]

    assert turns == ["10.0.0.64", "10.0.0.128", "10.0.0.65", "10.0.0.129", "searching"]


# How much is searched for ---------------------------------------------------------------------------------


@table(
    "requests, blocks",
    {
        "one block for one request": (1, 1),
        "one block for eight requests": (8, 1),
        "two blocks for nine requests": (9, 2),
        "32 blocks for a full batch": (256, 32),
    },
)
def test_how_many_blocks_the_first_search_of_a_batch_asks_for(requests: int, blocks: int) -> None:
    some = batch_of(OF_ALL)

    for _ in range(requests):
        some.addresses.take(AddressRequest((OF_ALL,)), HERE)

    [search] = some.blocks.searches()
    assert isinstance(search, BlocksWithFree)
    assert search.limit == blocks
    assert some.blocks.searches() == [], "what was asked is not asked again"


def test_the_second_search_asks_for_a_block_for_each_request_and_for_none_that_is_locked() -> None:
    some = batch_of(OF_ALL)
    some.addresses.take(AddressRequest((OF_ALL,)), HERE)
    some.blocks.receive(
        some.blocks.searches(), [Locked([block("10.0.0.64", taken=["10.0.0.64-10.0.0.126"])])]
    )
    pick(some, AddressRequest((OF_ALL,)), {})

    for _ in range(MOST_BLOCKS + 1):
        some.addresses.take(AddressRequest((OF_ALL,)), HERE)

    assert some.blocks.searches() == [
        BlocksWithFree(
            pool="pods",
            owner=ANY,
            node=None,
            free_before=ago(60),
            limit=MOST_BLOCKS,
            but_not=frozenset({int(ip_address("10.0.0.64"))}),
        )
    ]


@table(
    "rules, ready",
    {
        "a minute if the pool does not say": (pool(), ago(60)),
        "as long as the pool's cooldown": (pool(cooldown=300), ago(300)),
        "no time without a cooldown": (pool(cooldown=0), NOW),
    },
)
def test_since_when_an_address_must_have_been_free(rules: Pool, ready: int) -> None:
    batch = batch_of(rules)
    batch.addresses.take(AddressRequest((rules,)), HERE)

    [search] = batch.blocks.searches()

    assert isinstance(search, BlocksWithFree)
    assert search.free_before == ready


def test_two_nodes_search_their_own_blocks_apart_and_all_blocks_together() -> None:
    own, everybodys = batch_of(OF_NODES), batch_of(OF_ALL)

    for node in (HERE, THERE):
        own.addresses.take(AddressRequest((OF_NODES,)), node)
        everybodys.addresses.take(AddressRequest((OF_ALL,)), node)

    assert [each.node for each in own.blocks.searches() if isinstance(each, BlocksWithFree)] == [HERE, THERE]
    assert [each.node for each in everybodys.blocks.searches() if isinstance(each, BlocksWithFree)] == [None]


# Cooldown -------------------------------------------------------------------------------------------------


@table(
    "rules, then",
    {
        "waits for its cooldown": (pool(), "searching"),
        "is ready at once without a cooldown": (pool(cooldown=0), "10.0.0.64"),
    },
)
def test_an_address_that_is_given_back_in_the_batch(rules: Pool, then: str) -> None:
    full = block("10.0.0.64", taken=["10.0.0.64/26"])
    batch = locked(rules, full)

    batch.blocks.give_back(row(str(ip_address(full.first))))

    assert said(batch.addresses.take(AddressRequest((rules,)), HERE)) == then


def test_an_address_that_a_request_took_in_vain_serves_the_next() -> None:
    batch = batch_of(OF_ALL)
    last: BlocksThere = {ANY: [block("10.0.0.64", taken=["10.0.0.65-10.0.0.127"])]}
    picked = pick(batch, AddressRequest((OF_ALL,)), last)
    assert isinstance(picked, PickedAddress)

    batch.blocks.untake(picked)

    assert said(pick(batch, AddressRequest((OF_ALL,)), last)) == "10.0.0.64"


# Others hold blocks ---------------------------------------------------------------------------------------


@table(
    "there, contended, then",
    {
        "a request is contended if others have locked all blocks with room": ({}, {OWN}, "contended"),
        "a request is served if one block with room is not locked": (
            {OWN: [block("10.0.0.64", node=HERE)]},
            {OWN},
            "10.0.0.64",
        ),
        "a request is served if only blocks of later steps are locked": (
            {NONE: [block("10.0.0.64")]},
            {OTHER_WHILE_EMPTY, ANY},
            "10.0.0.64",
        ),
        "a request is contended, rather than have a block carved, if blocks without a node are locked": (
            {},
            {NONE},
            "contended",
        ),
    },
)
def test_what_is_contended(there: BlocksThere, contended: Set[BlockOwner | str], then: str) -> None:
    picked = pick(batch_of(OF_NODES), AddressRequest((OF_NODES,)), there, contended=contended)

    assert said(picked) == then


def test_a_pool_that_lends_nothing_refuses_once_no_block_can_be_the_nodes() -> None:
    """`borrow: false`: a node's addresses all lie in its own blocks."""
    rules = pool(affinity=Affinity.NODE, borrow=False)
    half: BlocksThere = {ANY: [block("10.0.0.64", node=THERE, taken=["10.0.0.64"])]}

    assert list(order_of_steps(rules, HERE)) == [OWN, NONE, CARVE, OTHER_WHILE_EMPTY]
    assert list(order_of_steps(rules, None)) == [NONE, CARVE]
    with pytest.raises(NothingFree):
        pick(batch_of(rules, carved_out={"pods"}), AddressRequest((rules,)), half)


# A certain address ----------------------------------------------------------------------------------------


@table(
    "there, contended, then",
    {
        "is taken from its block": ({"10.0.0.64": [block("10.0.0.64")]}, set(), "10.0.0.70"),
        "is taken though it cools down": (
            {"10.0.0.64": [block("10.0.0.64", freed_all=NOW)]},
            set(),
            "10.0.0.70",
        ),
        "is taken though its block is another node's": (
            {"10.0.0.64": [block("10.0.0.64", node=THERE)]},
            set(),
            "10.0.0.70",
        ),
        "needs its block carved": ({}, set(), "carve block 10.0.0.64 of pods for all"),
        "is contended while others hold its block": ({}, {"10.0.0.64"}, "contended"),
    },
)
def test_a_requested_address(there: BlocksThere, contended: Set[BlockOwner | str], then: str) -> None:
    wanted = AddressRequest((OF_ALL,), addresses("10.0.0.70"))

    assert said(pick(batch_of(OF_ALL), wanted, there, contended=contended)) == then


def test_a_block_keeps_its_turn_when_its_next_address_is_taken_by_request() -> None:
    past = block("10.0.0.64", freed_all=NOW, freed={"10.0.0.70": ago(500), "10.0.0.80": ago(300)})
    batch = locked(OF_ALL, past)

    requested = batch.addresses.take(AddressRequest((OF_ALL,), addresses("10.0.0.70")), HERE)

    assert said(requested) == "10.0.0.70"
    assert said(batch.addresses.take(AddressRequest((OF_ALL,)), HERE)) == "10.0.0.80"


def test_the_block_of_a_requested_address_is_carved_for_its_node() -> None:
    wanted = AddressRequest((OF_NODES,), addresses("10.0.0.70"))

    assert said(pick(batch_of(OF_NODES), wanted, {})) == "carve block 10.0.0.64 of pods for here"


@table(
    "borrow, there, then, owner",
    {
        "the node's own block": (False, block("10.0.0.64", node=HERE), "10.0.0.70", "here"),
        "a block without a node, which becomes its own": (True, block("10.0.0.64"), "10.0.0.70", "here"),
        "another's block, which stays the other's": (
            True,
            block("10.0.0.64", node=THERE),
            "10.0.0.70",
            "there",
        ),
        "another's block that is empty, which changes hands if the pool lends nothing": (
            False,
            block("10.0.0.64", node=THERE),
            "10.0.0.70",
            "here",
        ),
        "another's block in use, if the pool lends nothing": (
            False,
            block("10.0.0.64", node=THERE, taken=["10.0.0.64"]),
            "10.0.0.70 is not available: it is in a block of node there, and pool pods lends no single "
            "addresses (its borrow is false): ask for it on that node, or set borrow",
            None,
        ),
    },
)
def test_whose_block_a_requested_address_leaves(
    borrow: bool, there: Block, then: str, owner: str | None
) -> None:
    rules = pool(affinity=Affinity.NODE, borrow=borrow)
    batch = batch_of(rules)
    wanted = AddressRequest((rules,), addresses("10.0.0.70"))

    try:
        outcome = said(pick(batch, wanted, {"10.0.0.64": [there]}))
    except AddressUnavailable as refused:
        outcome = str(refused)

    assert outcome == then
    assert owners(batch) == ({"10.0.0.64": owner} if owner is not None else {})


def test_an_address_in_use_is_adopted_whoever_has_its_block() -> None:
    rules = pool(affinity=Affinity.NODE, borrow=False)
    wanted = AddressRequest((rules,), addresses("10.0.0.70"), adopted=True)

    picked = pick(
        batch_of(rules), wanted, {"10.0.0.64": [block("10.0.0.64", node=THERE, taken=["10.0.0.64"])]}
    )

    assert said(picked) == "10.0.0.70"


@table(
    "place, there, refusal",
    {
        "somebody holds it": (
            "10.0.0.70",
            {"10.0.0.64": [block("10.0.0.64", taken=["10.0.0.70"])]},
            AddressTaken,
        ),
        "nobody may have it": ("10.0.0.1", {}, AddressUnavailable),
        "somebody holds all of the reserved prefix": (
            "10.0.0.70/31",
            {"10.0.0.64": [block("10.0.0.64", taken=["10.0.0.70/31"])]},
            AddressTaken,
        ),
    },
)
def test_when_a_certain_address_is_refused(
    place: str, there: BlocksThere, refusal: type[DomainError]
) -> None:
    with pytest.raises(refusal):
        pick(batch_of(OF_ALL), AddressRequest((OF_ALL,), addresses(place)), there)


def test_a_refusal_names_the_first_address_that_lies_in_the_pool() -> None:
    with pytest.raises(AddressUnavailable, match="network") as refused:
        pick(batch_of(SECOND), AddressRequest((SECOND,), addresses("10.0.0.200-10.0.1.1")), {})

    assert str(refused.value.address) == "10.0.1.0"


@table(
    "there, then",
    {
        "from its first block": (
            {"10.0.0.64": [block("10.0.0.64")], "10.0.0.128": [block("10.0.0.128")]},
            "10.0.0.64",
        ),
        "from the next block if the first is full": (
            {
                "10.0.0.64": [block("10.0.0.64", taken=["10.0.0.64/26"])],
                "10.0.0.128": [block("10.0.0.128", taken=["10.0.0.128"])],
            },
            "10.0.0.129",
        ),
        "from a carved block if the others are full": (
            {"10.0.0.64": [block("10.0.0.64", taken=["10.0.0.64/26"])]},
            "carve block 10.0.0.128 of pods for all",
        ),
    },
)
def test_an_address_of_a_reserved_prefix_over_two_blocks_comes(there: BlocksThere, then: str) -> None:
    prefix = "10.0.0.64-10.0.0.191"
    batch = batch_of(OF_ALL, kept=[reserved(prefix, owner="vm-1")])

    assert said(pick(batch, AddressRequest((OF_ALL,), addresses(prefix)), there)) == then


def test_a_reserved_address_goes_to_nobody_who_did_not_ask_for_it() -> None:
    batch = batch_of(OF_ALL, kept=[reserved("10.0.0.64/31", owner="vm-1")])

    picked = pick(batch, AddressRequest((OF_ALL,)), {ANY: [block("10.0.0.64")]})

    assert said(picked) == "10.0.0.66"


# One pool after another -----------------------------------------------------------------------------------


@table(
    "pools, carved_out, then",
    {
        "from the first while it has blocks to carve": (
            [FIRST, SECOND],
            set(),
            "carve a block of first for all",
        ),
        "from the second once the first is exhausted": (
            [FIRST, SECOND],
            {"first"},
            "carve a block of second for all",
        ),
        "from the second while the first is draining": (
            [DRAINING, SECOND],
            set(),
            "carve a block of second for all",
        ),
    },
)
def test_from_which_of_its_alternatives_an_address_comes(
    pools: Sequence[Pool], carved_out: Set[str], then: str
) -> None:
    batch = batch_of(*pools, carved_out=carved_out)

    assert said(pick(batch, AddressRequest(tuple(pools)), {})) == then


@table(
    "wanted",
    {
        "a draining pool gives nothing new": (AddressRequest((DRAINING,)),),
        "a draining pool does not give a requested address": (
            AddressRequest((DRAINING,), addresses("10.0.2.9")),
        ),
        "all alternatives are exhausted": (AddressRequest((FIRST, SECOND)),),
    },
)
def test_when_nothing_is_free(wanted: AddressRequest) -> None:
    batch = batch_of(*wanted.pools, carved_out={"first", "second"})

    with pytest.raises(NothingFree) as refused:
        pick(batch, wanted, {})

    assert refused.value.pools == tuple(each.name for each in wanted.pools)


def test_a_draining_pool_lets_a_holder_keep_the_address_that_it_uses_already() -> None:
    wanted = AddressRequest((DRAINING,), addresses("10.0.2.9"), adopted=True)

    picked = pick(batch_of(DRAINING), wanted, {"10.0.2.0": [block("10.0.2.0", of="draining")]})

    assert said(picked) == "10.0.2.9"


# The catalogue moved --------------------------------------------------------------------------------------


@table(
    "unknown",
    {
        "a block of an unknown pool": (block("10.0.0.64", of="new"),),
        "a block above the subnet: it has grown since": (block("10.0.1.0"),),
        "a block below the subnet": (block("9.255.255.192"),),
        "a block of another size: its pool was made anew": (block("10.0.0.64", size=32),),
    },
)
def test_what_shows_that_the_catalogue_has_changed(unknown: Block) -> None:
    batch = batch_of(OF_ALL)
    batch.addresses.take(AddressRequest((OF_ALL,)), HERE)

    with pytest.raises(StaleCatalogue):
        batch.blocks.receive(batch.blocks.searches(), [Locked([unknown])])


def test_the_last_address_of_a_pool_may_be_a_block_of_its_own() -> None:
    rules = pool(subnet="10.0.0.0/31", block_length=32)

    picked = pick(batch_of(rules), AddressRequest((rules,)), {ANY: [block("10.0.0.1", size=1)]})

    assert said(picked) == "10.0.0.1"


@table(
    "there, contended, lacks",
    {
        "nothing, once it is locked": ({"10.0.0.64": [block("10.0.0.64")]}, set(), None),
        "that others let it go": ({}, {"10.0.0.64"}, NotYet.CONTENDED),
    },
)
def test_what_a_release_lacks_of_its_block(
    there: BlocksThere, contended: Set[BlockOwner | str], lacks: NotYet | None
) -> None:
    batch, number = batch_of(OF_ALL), int(ip_address("10.0.0.64"))
    assert batch.blocks.lacks("pods", number) is NotYet.SEARCHING
    searches = batch.blocks.searches()
    assert searches == [BlockId("pods", number)]

    batch.blocks.receive(searches, [answer(search, there, contended) for search in searches])

    assert batch.blocks.lacks("pods", number) is lacks


def test_a_held_address_without_a_block_shows_that_its_pool_was_made_anew() -> None:
    batch, number = batch_of(OF_ALL), int(ip_address("10.0.0.64"))
    batch.blocks.lacks("pods", number)

    batch.blocks.receive(batch.blocks.searches(), [Locked([])])

    with pytest.raises(StaleCatalogue):
        batch.blocks.lacks("pods", number)
