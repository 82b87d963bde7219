"""Which address next: what a pool may hand out at all, and which address of a block has its turn.

A block hands out the address that has been free longest, once it has been free for the pool's cooldown. So a
used address comes back as late as possible, and no late packet for its last holder reaches the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from ipamd.addressing.block import OpenBlock, effective_block_length
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
        "no gateway keeps nothing": (pool(subnet="10.0.0.0/29", gateway=None), "10.0.0.1-10.0.0.6"),
        "another gateway keeps its address": (
            pool(subnet="10.0.0.0/29", gateway="10.0.0.4"),
            "10.0.0.1-10.0.0.3, 10.0.0.5-10.0.0.6",
        ),
        "a link-local gateway lies outside and keeps nothing": (
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
        "a /8 is as cheap as a /29": (pool(subnet="10.0.0.0/8"), "10.0.0.2-10.255.255.254"),
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
        "so does one that is reserved for nobody": (
            [reserved("10.0.0.3")],
            "10.0.0.2, 10.0.0.4-10.0.0.6",
            "10.0.0.2-10.0.0.6",
        ),
        "a prefix that reaches beyond the pool counts inside it": (
            [reserved("10.0.0.4/30", owner="vm-1"), reserved("10.0.1.0/24")],
            "10.0.0.2-10.0.0.3",
            "10.0.0.2-10.0.0.6",
        ),
        "another space's reservation means other addresses": (
            [reserved("10.0.0.3", owner="vm-1", space="lab")],
            "10.0.0.2-10.0.0.6",
            "10.0.0.2-10.0.0.6",
        ),
        "a reservation does not open what the pool keeps": (
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
    "address, why",
    {
        "a plain one may be had": ("10.0.0.20", None),
        "not the network address": ("10.0.0.0", "network"),
        "not the broadcast address": ("10.0.0.255", "broadcast"),
        "not the gateway": ("10.0.0.1", "gateway"),
        "not an excluded one": ("10.0.0.30", "excluded"),
        "not one outside the ranges": ("10.0.0.99", "ranges"),
        "not one outside the subnet": ("10.0.1.1", "outside pool"),
        "not one of the other family": ("fd00::1", "outside pool"),
    },
)
def test_why_nobody_may_have_an_address(address: str, why: str | None) -> None:
    mask = Mask(pool(ranges=("10.0.0.16/28",), exclusions=("10.0.0.30",)))

    said = mask.why_not(ip_address(address))

    assert said is None if why is None else why in str(said)


@table(
    "subnet, gateway",
    {
        "the first usable address": ("10.0.0.0/24", "10.0.0.1"),
        "of IPv6 too": ("fd00::/64", "fd00::1"),
        "a /30 has room for one": ("10.0.0.4/30", "10.0.0.5"),
        "a /31 has none to spare": ("10.0.0.0/31", None),
        "nor has a /32": ("10.0.0.0/32", None),
        "nor a /127": ("fd00::/127", None),
        "nor a /128": ("fd00::/128", None),
    },
)
def test_which_gateway_a_pool_has_that_names_none(subnet: str, gateway: str | None) -> None:
    assert text(default_gateway(ip_network(subnet))) == gateway


@table(
    "subnet, asked, length",
    {
        "/26 unless asked otherwise": ("10.0.0.0/16", None, 26),
        "/122 in IPv6": ("fd00::/64", None, 122),
        "as asked": ("10.0.0.0/16", 28, 28),
        "a subnet smaller than a block is one block": ("10.0.0.0/29", None, 29),
        "also if a larger block was asked for": ("10.0.0.0/29", 24, 29),
        "one address is the smallest": ("10.0.0.0/24", 32, 32),
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
        "never one that is wholly outside the mask": (
            pool(exclusions=("10.0.0.64-10.0.0.191",)),
            "10.0.0.0",
            "10.0.0.0 10.0.0.192",
        ),
        "one of which a single address is left": (
            pool(ranges=("10.0.0.70", "10.0.0.200")),
            "10.0.0.0",
            "10.0.0.64 10.0.0.192",
        ),
        "a subnet of two addresses that are kept has none": (
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
        "of those nobody had, the lowest": (block("10.0.0.0"), EVERY, "10.0.0.0"),
        "one that nobody had before one that was given back": (
            block("10.0.0.0", freed={"10.0.0.0": ago(900)}),
            EVERY,
            "10.0.0.1",
        ),
        "of those that were given back, the one free longest": (
            block("10.0.0.0", freed_all=ago(300), freed={"10.0.0.9": ago(900), "10.0.0.3": ago(800)}),
            EVERY,
            "10.0.0.9",
        ),
        "of those free equally long, the lowest": (
            block("10.0.0.0", freed_all=ago(300), freed={"10.0.0.9": ago(900), "10.0.0.3": ago(900)}),
            EVERY,
            "10.0.0.3",
        ),
        "a held one is passed over": (
            block("10.0.0.0", taken=["10.0.0.0-10.0.0.4"]),
            EVERY,
            "10.0.0.5",
        ),
        "one outside the mask is passed over, though it was free longest": (
            block("10.0.0.0", freed_all=ago(300), freed={"10.0.0.0": ago(900)}),
            EVERY & ~1,
            "10.0.0.1",
        ),
        "one that has just cooled down": (block("10.0.0.0", freed_all=COOLED), EVERY, "10.0.0.0"),
        "none while all cool down": (block("10.0.0.0", freed_all=COOLED + 1), EVERY, None),
        "none when all are held": (block("10.0.0.0", taken=["10.0.0.0/26"]), EVERY, None),
        "none when the mask keeps all": (block("10.0.0.0"), 0, None),
    },
)
def test_which_address_of_a_block_is_next(past: Block, assignable: int, address: str | None) -> None:
    opened = OpenBlock(past, assignable)

    assert text(opened.take_next(COOLED)) == address


@table(
    "past, among, address",
    {
        "that one": (block("10.0.0.0"), "10.0.0.7", "10.0.0.7"),
        "of several, the one free longest": (
            block("10.0.0.0", freed_all=ago(300), freed={"10.0.0.9": ago(900)}),
            "10.0.0.8/30",
            "10.0.0.9",
        ),
        "though it cools down: it was asked for": (
            block("10.0.0.0", freed_all=NOW),
            "10.0.0.7",
            "10.0.0.7",
        ),
        "though the mask keeps it from others": (block("10.0.0.0"), "10.0.0.1", "10.0.0.1"),
        "none when it is held": (block("10.0.0.0", taken=["10.0.0.7"]), "10.0.0.7", None),
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


def test_an_address_taken_in_vain_has_its_turn_again_as_if_nobody_had_had_it() -> None:
    opened = OpenBlock(block("10.0.0.0", size=4, freed_all=ago(90)), 0b1111)
    first = opened.take_next(COOLED)
    assert first is not None

    opened.untake(first)

    assert opened.take_next(COOLED) == first


@table(
    "past, assignable, ready",
    {
        "since ever while there is one that nobody had": (block("10.0.0.0"), 0b1111, NEVER_HELD),
        "since the one free longest was given back": (
            block("10.0.0.0", size=4, freed_all=ago(5), freed={"10.0.0.2": ago(8)}),
            0b1111,
            ago(8),
        ),
        "one outside the mask does not count": (
            block("10.0.0.0", size=4, freed_all=ago(5), freed={"10.0.0.2": ago(8)}),
            0b1011,
            ago(5),
        ),
        "never when all are held": (block("10.0.0.0", size=4, taken=["10.0.0.0/30"]), 0b1111, None),
    },
)
def test_since_when_a_block_has_an_address_for_the_search(
    past: Block, assignable: int, ready: int | None
) -> None:
    assert OpenBlock(past, assignable).close().next_free_since == ready


def test_a_block_counts_what_is_held_and_notes_when_it_was_last_given_something_back() -> None:
    opened = OpenBlock(block("10.0.0.0", taken=["10.0.0.5", "10.0.0.6"]), EVERY)

    opened.take_next(COOLED)
    opened.give_back(int(ip_address("10.0.0.5")), NOW)

    written = opened.close()
    assert (written.allocated, written.last_freed) == (2, NOW)
    assert opened.changed
