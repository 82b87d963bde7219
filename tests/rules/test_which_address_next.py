"""Which address next: what a pool may hand out at all, and which address of a block has its turn.

A block hands out the address that has been free longest, once it has been free for the pool's cooldown. So a
used address comes back as late as possible, and no late packet for its last holder reaches the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network

import pytest

from ipamd.addressing.block import OpenBlock, count_freed_after, effective_block_length
from ipamd.addressing.gateway import default_gateway
from ipamd.addressing.mask import Mask
from ipamd.models.block import NEVER_HELD, Block
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation
from tests.rules.values import NOW, addresses, ago, block, pool, reserved, spans, table, text

COOLED = ago(60)
"""An address free since then or longer is ready, in a pool with the default cooldown."""

EVERY = (1 << 64) - 1
"""Every address of a block of 64."""


@table(
    "rules, usable",
    {
        "IPv4: all but network, broadcast and gateway": (pool(subnet="10.0.0.0/29"), "10.0.0.2-10.0.0.6"),
        "a /31 has neither network nor broadcast": (pool(subnet="10.0.0.0/31"), "10.0.0.0-10.0.0.1"),
        "a /32 is its one address": (pool(subnet="10.0.0.7/32"), "10.0.0.7"),
        "IPv6: all but subnet-router and gateway": (pool(subnet="fd00::/125"), "fd00::2-fd00::7"),
        "a /127 has no subnet-router": (pool(subnet="fd00::/127"), "fd00::-fd00::1"),
        "a /128 is its one address": (pool(subnet="fd00::7/128"), "fd00::7"),
        "without a gateway its address is free too": (
            pool(subnet="10.0.0.0/29", gateway=None),
            "10.0.0.1-10.0.0.6",
        ),
        "any address may be the gateway's": (
            pool(subnet="10.0.0.0/29", gateway="10.0.0.4"),
            "10.0.0.1-10.0.0.3, 10.0.0.5-10.0.0.6",
        ),
        "a link-local gateway lies outside the subnet": (
            pool(subnet="10.0.0.0/29", gateway="169.254.1.1"),
            "10.0.0.1-10.0.0.6",
        ),
        "no exclusion: an address, a prefix, a range": (
            pool(subnet="10.0.0.0/27", exclusions=("10.0.0.3", "10.0.0.8/30", "10.0.0.20-10.0.0.30")),
            "10.0.0.2, 10.0.0.4-10.0.0.7, 10.0.0.12-10.0.0.19",
        ),
        "nothing outside the ranges": (
            pool(subnet="10.0.0.0/24", ranges=("10.0.0.9", "10.0.0.16/30")),
            "10.0.0.9, 10.0.0.16-10.0.0.19",
        ),
        "a range does not free what the subnet keeps": (
            pool(subnet="10.0.0.0/29", ranges=("10.0.0.0-10.0.0.3",)),
            "10.0.0.2-10.0.0.3",
        ),
        "exclusions count inside ranges too": (
            pool(ranges=("10.0.0.8/29",), exclusions=("10.0.0.10-10.0.0.12",)),
            "10.0.0.8-10.0.0.9, 10.0.0.13-10.0.0.15",
        ),
        "a /8 is one span too": (pool(subnet="10.0.0.0/8"), "10.0.0.2-10.255.255.254"),
    },
)
def test_what_a_pool_may_hand_out(rules: Pool, usable: str) -> None:
    mask = Mask(rules)

    assert spans(rules.family, mask.usable) == usable
    assert mask.assignable == mask.usable


@table(
    "kept, assignable, usable",
    {
        "a reserved address goes to nobody unasked, though its holder may have it": (
            [reserved("10.0.0.3", "shop/web")],
            "10.0.0.2, 10.0.0.4-10.0.0.6",
            "10.0.0.2-10.0.0.6",
        ),
        "an address reserved for nobody goes to nobody": (
            [reserved("10.0.0.3")],
            "10.0.0.2, 10.0.0.4-10.0.0.6",
            "10.0.0.2-10.0.0.6",
        ),
        "a reserved prefix counts as far as it lies in the pool": (
            [reserved("10.0.0.4/30", owner="vm-1"), reserved("10.0.1.0/24")],
            "10.0.0.2-10.0.0.3",
            "10.0.0.2-10.0.0.6",
        ),
        "a reservation of another space counts for nothing": (
            [reserved("10.0.0.3", owner="vm-1", space="lab")],
            "10.0.0.2-10.0.0.6",
            "10.0.0.2-10.0.0.6",
        ),
        "a reservation of the gateway does not free it": (
            [reserved("10.0.0.1", owner="router")],
            "10.0.0.2-10.0.0.6",
            "10.0.0.2-10.0.0.6",
        ),
    },
)
def test_what_reservations_leave_for_everybody(
    kept: Sequence[Reservation], assignable: str, usable: str
) -> None:
    mask = Mask(pool(subnet="10.0.0.0/29"), kept)

    assert spans(4, mask.assignable) == assignable
    assert spans(4, mask.usable) == usable


@table(
    "kept, assignable",
    {
        "the first address": ("10.0.0.0", "10.0.0.1"),
        "the last address": ("10.0.0.1", "10.0.0.0"),
        "a prefix that ends with the first": ("9.255.255.254-10.0.0.0", "10.0.0.1"),
        "a prefix that begins with the last": ("10.0.0.1-10.0.0.9", "10.0.0.0"),
    },
)
def test_what_a_reservation_at_the_edge_of_a_pool_leaves(kept: str, assignable: str) -> None:
    mask = Mask(pool(subnet="10.0.0.0/31"), [reserved(kept, owner="vm-1")])

    assert spans(4, mask.assignable) == assignable


@table(
    "address, why",
    {
        "an address inside the rules may be had": ("10.0.0.20", None),
        "the network address may not": ("10.0.0.0", "network"),
        "the broadcast address may not": ("10.0.0.255", "broadcast"),
        "the gateway may not": ("10.0.0.1", "gateway"),
        "an excluded address may not": ("10.0.0.30", "excluded"),
        "an address outside the ranges may not": ("10.0.0.99", "ranges"),
        "an address outside the subnet may not": ("10.0.1.1", "outside pool"),
        "an address of the other family may not": ("fd00::1", "outside pool"),
    },
)
def test_why_nobody_may_have_an_address(address: str, why: str | None) -> None:
    mask = Mask(pool(ranges=("10.0.0.16/28",), exclusions=("10.0.0.30",)))

    said = mask.why_not(ip_address(address))

    assert said is None if why is None else why in str(said)


@table(
    "subnet, gateway",
    {
        "the first usable address of an IPv4 subnet": ("10.0.0.0/24", "10.0.0.1"),
        "the first usable address of an IPv6 subnet": ("fd00::/64", "fd00::1"),
        "a /30 has room for one": ("10.0.0.4/30", "10.0.0.5"),
        "a /31 has no room": ("10.0.0.0/31", None),
        "a /32 has no room": ("10.0.0.0/32", None),
        "a /127 has no room": ("fd00::/127", None),
        "a /128 has no room": ("fd00::/128", None),
    },
)
def test_which_gateway_a_pool_has_that_names_none(subnet: str, gateway: str | None) -> None:
    assert text(default_gateway(ip_network(subnet))) == gateway


@table(
    "subnet, asked, length",
    {
        "a /26 if nothing is asked for": ("10.0.0.0/16", None, 26),
        "a /122 in IPv6": ("fd00::/64", None, 122),
        "the length that is asked for": ("10.0.0.0/16", 28, 28),
        "a subnet smaller than a block is one block": ("10.0.0.0/29", None, 29),
        "a subnet smaller than the block that is asked for is one block": ("10.0.0.0/29", 24, 29),
        "one address is the least": ("10.0.0.0/24", 32, 32),
        "1,024 addresses are the most": ("10.0.0.0/16", 22, 22),
        "in IPv6 too": ("fd00::/64", 118, 118),
    },
)
def test_how_large_the_blocks_of_a_pool_are(subnet: str, asked: int | None, length: int) -> None:
    assert effective_block_length(ip_network(subnet), asked) == length


@table(
    "subnet, asked",
    {
        "2,048 addresses are too many": ("10.0.0.0/16", 21),
        "in IPv6 too": ("fd00::/64", 117),
        "IPv4 has no /33": ("10.0.0.0/16", 33),
        "IPv6 has no /129": ("fd00::/64", 129),
    },
)
def test_which_blocks_no_pool_can_have(subnet: str, asked: int) -> None:
    with pytest.raises(ValueError, match=f"not a /{asked}"):
        effective_block_length(ip_network(subnet), asked)


@table(
    "rules, cursor, blocks",
    {
        "all blocks, from the first on": (pool(), "10.0.0.0", "10.0.0.0 10.0.0.64 10.0.0.128 10.0.0.192"),
        "from a cursor on": (pool(), "10.0.0.128", "10.0.0.128 10.0.0.192"),
        "none behind the last": (pool(), "10.0.1.0", ""),
        "no block outside the mask": (
            pool(exclusions=("10.0.0.64-10.0.0.191",)),
            "10.0.0.0",
            "10.0.0.0 10.0.0.192",
        ),
        "a block of which one address is left": (
            pool(ranges=("10.0.0.70", "10.0.0.200")),
            "10.0.0.0",
            "10.0.0.64 10.0.0.192",
        ),
        "none of a pool without addresses": (
            pool(subnet="10.0.0.0/31", exclusions=("10.0.0.0/31",)),
            "10.0.0.0",
            "",
        ),
    },
)
def test_which_blocks_of_a_pool_are_carved(rules: Pool, cursor: str, blocks: str) -> None:
    numbers = Mask(rules).blocks_from(int(ip_address(cursor)))

    assert " ".join(str(ip_address(number)) for number in numbers) == blocks


def test_a_block_that_is_wholly_reserved_is_not_carved_until_its_holder_asks() -> None:
    mask = Mask(pool(), [reserved("10.0.0.64/26", owner="vm-1")])

    assert int(ip_address("10.0.0.64")) not in mask.blocks_from(0)
    theirs = mask.usable_within(addresses("10.0.0.64/26"))
    assert list(mask.blocks_meeting(theirs)) == [int(ip_address("10.0.0.64"))]


@table(
    "past, assignable, address",
    {
        "the lowest of the addresses that nobody has had": (block("10.0.0.0"), EVERY, "10.0.0.0"),
        "an address that nobody has had, before one that was given back": (
            block("10.0.0.0", freed={"10.0.0.0": ago(900)}),
            EVERY,
            "10.0.0.1",
        ),
        "the address free longest": (
            block("10.0.0.0", freed_all=ago(300), freed={"10.0.0.9": ago(900), "10.0.0.3": ago(800)}),
            EVERY,
            "10.0.0.9",
        ),
        "the lowest of those free equally long": (
            block("10.0.0.0", freed_all=ago(300), freed={"10.0.0.9": ago(900), "10.0.0.3": ago(900)}),
            EVERY,
            "10.0.0.3",
        ),
        "no held address": (
            block("10.0.0.0", taken=["10.0.0.0-10.0.0.4"]),
            EVERY,
            "10.0.0.5",
        ),
        "no address outside the mask, though it has been free longest": (
            block("10.0.0.0", freed_all=ago(300), freed={"10.0.0.0": ago(900)}),
            EVERY & ~1,
            "10.0.0.1",
        ),
        "an address that has just cooled down": (block("10.0.0.0", freed_all=COOLED), EVERY, "10.0.0.0"),
        "none while all cool down": (block("10.0.0.0", freed_all=COOLED + 1), EVERY, None),
        "none if all are held": (block("10.0.0.0", taken=["10.0.0.0/26"]), EVERY, None),
        "none if all lie outside the mask": (block("10.0.0.0"), 0, None),
    },
)
def test_which_address_of_a_block_is_next(past: Block, assignable: int, address: str | None) -> None:
    opened = OpenBlock(past, assignable)

    assert text(opened.take_next(COOLED)) == address


@table(
    "past, among, address",
    {
        "the requested address": (block("10.0.0.0"), "10.0.0.7", "10.0.0.7"),
        "the one of several that has been free longest": (
            block("10.0.0.0", freed_all=ago(300), freed={"10.0.0.9": ago(900)}),
            "10.0.0.8/30",
            "10.0.0.9",
        ),
        "the requested address though it cools down": (
            block("10.0.0.0", freed_all=NOW),
            "10.0.0.7",
            "10.0.0.7",
        ),
        "the requested address though nobody gets it unasked": (block("10.0.0.0"), "10.0.0.1", "10.0.0.1"),
        "none if it is held": (block("10.0.0.0", taken=["10.0.0.7"]), "10.0.0.7", None),
    },
)
def test_which_of_some_requested_addresses_is_taken(past: Block, among: str, address: str | None) -> None:
    wanted = Mask(pool(gateway=None, ranges=(among,))).usable.bits(past.first, past.size)
    opened = OpenBlock(past, EVERY & ~0b11)

    assert text(opened.take_among(wanted)) == address


def test_addresses_follow_each_other_and_none_comes_twice() -> None:
    opened = OpenBlock(block("10.0.0.0", size=4, freed={"10.0.0.0": ago(90), "10.0.0.2": ago(99)}), 0b1111)

    turns = [text(opened.take_next(COOLED)) for _ in range(5)]

    assert turns == ["10.0.0.1", "10.0.0.3", "10.0.0.2", "10.0.0.0", None]


def test_an_address_that_is_given_back_waits_behind_all_others_for_its_cooldown() -> None:
    opened = OpenBlock(block("10.0.0.0", size=4, taken=["10.0.0.0"], freed_all=ago(90)), 0b1111)

    opened.give_back(int(ip_address("10.0.0.0")), NOW)

    assert [text(opened.take_next(COOLED)) for _ in range(4)] == ["10.0.0.1", "10.0.0.2", "10.0.0.3", None]
    assert text(opened.take_next(NOW)) == "10.0.0.0"


def test_an_address_freed_by_a_clock_that_is_ahead_does_not_hide_those_that_are_ready_before_it() -> None:
    ahead = ago(-30)
    opened = OpenBlock(
        block("10.0.0.0", size=2, taken=["10.0.0.0"], freed={"10.0.0.1": ahead}, freed_all=ahead), 0b11
    )

    opened.give_back(int(ip_address("10.0.0.0")), NOW)

    assert text(opened.take_next(NOW)) == "10.0.0.0"


def test_an_address_that_nobody_holds_cannot_be_given_back_to_start_its_cooldown_anew() -> None:
    opened = OpenBlock(block("10.0.0.0", size=2), 0b11)

    opened.give_back(int(ip_address("10.0.0.0")), NOW)

    assert not opened.changed
    assert text(opened.take_next(COOLED)) == "10.0.0.0"


def test_addresses_taken_in_vain_have_their_turns_again_as_if_nobody_had_had_them() -> None:
    opened = OpenBlock(block("10.0.0.0", size=4, freed_all=ago(90), freed={"10.0.0.2": ago(99)}), 0b1111)
    first, second = opened.take_next(COOLED), opened.take_next(COOLED)
    assert first is not None
    assert second is not None

    opened.untake(first)
    opened.untake(second)

    assert [opened.take_next(COOLED), opened.take_next(COOLED)] == [first, second]


@table(
    "past, assignable, ready",
    {
        "since ever while nobody has had one of them": (block("10.0.0.0"), 0b1111, NEVER_HELD),
        "since the address free longest was given back": (
            block("10.0.0.0", size=4, freed_all=ago(5), freed={"10.0.0.2": ago(8)}),
            0b1111,
            ago(8),
        ),
        "without the addresses outside the mask": (
            block("10.0.0.0", size=4, freed_all=ago(5), freed={"10.0.0.2": ago(8)}),
            0b1011,
            ago(5),
        ),
        "never while all are held": (block("10.0.0.0", size=4, taken=["10.0.0.0/30"]), 0b1111, None),
    },
)
def test_since_when_a_block_has_an_address_for_the_search(
    past: Block, assignable: int, ready: int | None
) -> None:
    assert OpenBlock(past, assignable).close().next_free_since == ready


def test_a_requested_address_has_no_turn_any_more() -> None:
    opened = OpenBlock(block("10.0.0.0", size=4), 0b1111)

    assert text(opened.take_among(0b0001)) == "10.0.0.0"

    assert text(opened.take_next(COOLED)) == "10.0.0.1"


@table(
    "end",
    {
        "when it is given back": (OpenBlock.give_back,),
        "when it was taken in vain": (lambda opened, value, _: opened.untake(value),),
    },
)
def test_a_reserved_address_goes_to_nobody_unasked(end: Callable[[OpenBlock, int, int], None]) -> None:
    opened = OpenBlock(block("10.0.0.0", size=4), 0b1110)
    reserved_one = opened.take_among(0b0001)
    assert reserved_one is not None

    end(opened, reserved_one, ago(900))

    assert [text(opened.take_next(COOLED)) for _ in range(4)] == ["10.0.0.1", "10.0.0.2", "10.0.0.3", None]


@table(
    "past, cooling",
    {
        "the addresses that were given back since": (
            block("10.0.0.0", freed_all=ago(300), freed={"10.0.0.5": ago(59), "10.0.0.6": ago(1)}),
            2,
        ),
        "none that was given back just then": (block("10.0.0.0", freed={"10.0.0.5": COOLED}), 0),
        "none that is held": (block("10.0.0.0", taken=["10.0.0.5"]), 0),
        "none that nobody has had": (block("10.0.0.0"), 0),
        "none outside the mask": (block("10.0.0.0", freed={"10.0.0.1": NOW}), 0),
    },
)
def test_how_many_addresses_of_a_block_cool_down(past: Block, cooling: int) -> None:
    assert count_freed_after(past, EVERY & ~0b11, COOLED) == cooling


def test_a_block_counts_what_is_held_and_notes_when_it_was_last_given_something_back() -> None:
    opened = OpenBlock(block("10.0.0.0", taken=["10.0.0.5", "10.0.0.6"]), EVERY)

    opened.take_next(COOLED)
    opened.give_back(int(ip_address("10.0.0.5")), NOW)

    written = opened.close()
    assert (written.allocated, written.last_freed) == (2, NOW)
    assert opened.changed
