"""What a change of the mask means: which addresses are taken out, withdrawn from everybody, or brought in.

The mask of a pool says what may be handed out, by the pool's rules and the reservations in it. Admins change
both while addresses are held. A change is refused if it would strand a holder outside the mask. Otherwise the
blocks that it touches say anew since when they have an address ready.
"""

from __future__ import annotations

from collections.abc import Sequence

from ipamd.addressing.block import held_bits, longest_free_since
from ipamd.addressing.mask import Mask
from ipamd.engine.administration.mask_change import MaskChange
from ipamd.engine.administration.remasking import is_keeper
from ipamd.models.allocation import Allocation, Workload
from ipamd.models.block import NEVER_HELD, Block
from ipamd.models.pool import Pool, PoolState, Selectors
from ipamd.models.reservation import Reservation
from tests.rules.values import ago, block, held, owner, pool, reserved, spans, table

EIGHT = pool(subnet="10.0.0.0/29")
"""Network .0, gateway .1, broadcast .7: the addresses .2 to .6 may be handed out."""


def change(
    old: Pool, new: Pool, before: Sequence[Reservation] = (), after: Sequence[Reservation] = ()
) -> MaskChange:
    return MaskChange.between(Mask(old, before), Mask(new, after))


# Rules of the pool ----------------------------------------------------------------------------------------


@table(
    "old, new, lost, gained",
    {
        "an exclusion takes its addresses out": (
            EIGHT,
            pool(subnet="10.0.0.0/29", exclusions=("10.0.0.4/31",)),
            "10.0.0.4-10.0.0.5",
            "",
        ),
        "the end of an exclusion brings its addresses back": (
            pool(subnet="10.0.0.0/29", exclusions=("10.0.0.4/31",)),
            EIGHT,
            "",
            "10.0.0.4-10.0.0.5",
        ),
        "an exclusion of the gateway changes nothing": (
            EIGHT,
            pool(subnet="10.0.0.0/29", exclusions=("10.0.0.1",)),
            "",
            "",
        ),
        "new ranges take all addresses outside them out": (
            EIGHT,
            pool(subnet="10.0.0.0/29", ranges=("10.0.0.3-10.0.0.4",)),
            "10.0.0.2, 10.0.0.5-10.0.0.6",
            "",
        ),
        "other ranges take some out and bring some in": (
            pool(ranges=("10.0.0.10-10.0.0.19",)),
            pool(ranges=("10.0.0.15-10.0.0.24",)),
            "10.0.0.10-10.0.0.14",
            "10.0.0.20-10.0.0.24",
        ),
        "another gateway takes its address out and brings the old one in": (
            EIGHT,
            pool(subnet="10.0.0.0/29", gateway="10.0.0.6"),
            "10.0.0.6",
            "10.0.0.1",
        ),
        "a gateway outside the subnet brings the old one in": (
            EIGHT,
            pool(subnet="10.0.0.0/29", gateway="169.254.1.1"),
            "",
            "10.0.0.1",
        ),
        "a subnet that grows upwards loses its broadcast address": (
            EIGHT,
            pool(subnet="10.0.0.0/28"),
            "",
            "10.0.0.7-10.0.0.14",
        ),
        "a subnet that grows downwards loses its network address": (
            pool(subnet="10.0.0.8/29", gateway="10.0.0.9"),
            pool(subnet="10.0.0.0/28", gateway="10.0.0.9"),
            "",
            "10.0.0.1-10.0.0.8",
        ),
        "a /31 that grows to a /30 takes its first address out: it is the network's now": (
            pool(subnet="10.0.0.0/31"),
            pool(subnet="10.0.0.0/30", gateway=None),
            "10.0.0.0",
            "10.0.0.2",
        ),
        "state, cooldown, priority, auto_assign and selectors change nothing": (
            EIGHT,
            pool(
                subnet="10.0.0.0/29",
                state=PoolState.DRAINING,
                cooldown=5,
                priority=9,
                auto_assign=False,
                selectors=Selectors(nodes=("here",)),
            ),
            "",
            "",
        ),
    },
)
def test_what_a_change_of_a_pool_takes_out_and_brings_in(
    old: Pool, new: Pool, lost: str, gained: str
) -> None:
    meant = change(old, new)

    assert spans(4, meant.lost) == spans(4, meant.withdrawn) == lost
    assert spans(4, meant.gained) == gained


def test_all_that_is_taken_out_or_brought_in_has_its_blocks_looked_at() -> None:
    meant = change(pool(ranges=("10.0.0.10-10.0.0.19",)), pool(ranges=("10.0.0.15-10.0.0.24",)))

    assert spans(4, meant.touched) == "10.0.0.10-10.0.0.14, 10.0.0.20-10.0.0.24"


# Reservations ---------------------------------------------------------------------------------------------


@table(
    "before, after, withdrawn, gained",
    {
        "a new reservation withdraws its addresses from everybody": (
            [],
            [reserved("10.0.0.4/31", owner="vm-1")],
            "10.0.0.4-10.0.0.5",
            "",
        ),
        "the end of a reservation gives its addresses back": (
            [reserved("10.0.0.4/31", owner="vm-1")],
            [],
            "",
            "10.0.0.4-10.0.0.5",
        ),
        "a reservation of network and gateway changes nothing": (
            [],
            [reserved("10.0.0.0/31", owner="router")],
            "",
            "",
        ),
        "a reservation of another space changes nothing": ([], [reserved("10.0.0.4", space="lab")], "", ""),
        "a reservation outside the subnet changes nothing": ([], [reserved("10.0.0.8")], "", ""),
        "another holder of a reservation changes nothing": (
            [reserved("10.0.0.4", "shop/web")],
            [reserved("10.0.0.4", "shop/db")],
            "",
            "",
        ),
    },
)
def test_what_a_reservation_withdraws_and_gives_back(
    before: Sequence[Reservation], after: Sequence[Reservation], withdrawn: str, gained: str
) -> None:
    meant = change(EIGHT, EIGHT, before, after)

    assert spans(4, meant.lost) == "", "its holder may have them"
    assert spans(4, meant.withdrawn) == withdrawn
    assert spans(4, meant.gained) == gained


@table(
    "reservation, holder, keeps",
    {
        "its workload may": (
            reserved("10.0.0.4", "shop/web"),
            held("10.0.0.4", workload=Workload("shop", "web")),
            True,
        ),
        "another workload of the namespace may not": (
            reserved("10.0.0.4", "shop/web"),
            held("10.0.0.4", workload=Workload("shop", "db")),
            False,
        ),
        "a workload of that name in another namespace may not": (
            reserved("10.0.0.4", "shop/web"),
            held("10.0.0.4", workload=Workload("bank", "web")),
            False,
        ),
        "its owner may": (
            reserved("10.0.0.4", owner="vm-1"),
            held("10.0.0.4", holder=owner("vm-1")),
            True,
        ),
        "another owner may not": (
            reserved("10.0.0.4", owner="vm-1"),
            held("10.0.0.4", holder=owner("vm-2")),
            False,
        ),
        "nobody may if it is for nobody": (reserved("10.0.0.4"), held("10.0.0.4"), False),
    },
)
def test_who_may_hold_on_while_an_address_is_being_reserved(
    reservation: Reservation, holder: Allocation, keeps: bool
) -> None:
    assert is_keeper(reservation, holder) == keeps


# Blocks ---------------------------------------------------------------------------------------------------


@table(
    "new, past, stranded",
    {
        "the holder of an address taken out": (
            pool(exclusions=("10.0.0.8/29",)),
            block("10.0.0.0", taken=["10.0.0.5", "10.0.0.9"]),
            [9],
        ),
        "nobody if all addresses taken out are free": (
            pool(exclusions=("10.0.0.8/29",)),
            block("10.0.0.0", taken=["10.0.0.5"]),
            [],
        ),
        "nobody if the addresses taken out lie in another block": (
            pool(exclusions=("10.0.0.8/29",)),
            block("10.0.0.64", taken=["10.0.0.72"]),
            [],
        ),
        "each of several holders": (
            pool(ranges=("10.0.0.20-10.0.0.30",)),
            block("10.0.0.0", taken=["10.0.0.5", "10.0.0.25", "10.0.0.40"]),
            [5, 40],
        ),
    },
)
def test_whom_a_change_would_strand(new: Pool, past: Block, stranded: Sequence[int]) -> None:
    lost = change(pool(), new).lost.bits(past.first, past.size)

    assert [offset for offset in range(past.size) if held_bits(past) & lost & 1 << offset] == stranded


@table(
    "new, kept, past, ready",
    {
        "a block outside the mask has nothing ready": (
            pool(exclusions=("10.0.0.0/26",)),
            [],
            block("10.0.0.0"),
            None,
        ),
        "a reserved block has nothing ready": (
            pool(),
            [reserved("10.0.0.0/26", owner="vm-1")],
            block("10.0.0.0"),
            None,
        ),
        "a block that loses the address free longest has the next one ready": (
            pool(exclusions=("10.0.0.9",)),
            [],
            block("10.0.0.0", freed_all=ago(10), freed={"10.0.0.9": ago(99)}),
            ago(10),
        ),
        "a block has its one free address ready": (
            pool(),
            [],
            block("10.0.0.0", taken=["10.0.0.0-10.0.0.8", "10.0.0.10-10.0.0.63"]),
            NEVER_HELD,
        ),
    },
)
def test_what_a_block_has_ready_under_its_new_mask(
    new: Pool, kept: Sequence[Reservation], past: Block, ready: int | None
) -> None:
    assert longest_free_since(past, Mask(new, kept).assignable_in(past.first)) == ready
