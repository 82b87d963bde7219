"""Sticky pools: a workload that comes back gets the address that it had, and nobody else meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

from ipamd.backends.interface import BlockOwner
from ipamd.engine.allocation.call import AllocateCall
from ipamd.engine.allocation.plan import Plan
from ipamd.engine.clock import Reading
from ipamd.models.allocation import Allocation, Workload
from ipamd.models.block import Block
from ipamd.models.former_address import FormerAddress, workload_digest
from ipamd.models.instant import SECOND
from ipamd.models.outcome import Granted, Refused
from ipamd.models.pool import Affinity, Pool, PoolState
from ipamd.models.reservation import Reservation
from tests.rules.values import (
    HERE,
    NOW,
    THERE,
    BlocksThere,
    ago,
    block,
    catalogue,
    container,
    delete,
    found,
    held,
    moment,
    pool,
    request,
    reserved,
    searched,
    table,
)

Asked = Callable[[], str]

STICKY = pool(sticky=True)
OTHER = pool("other", "10.0.1.0/24")
OF_NODES = replace(STICKY, affinity=Affinity.NODE, borrow=False)

FREED = {"10.0.0.9": ago(5)}
THEN = block("10.0.0.0", freed=FREED)
"""10.0.0.9 was free five seconds ago, when shop/web had gone."""


def had(address: str = "10.0.0.9", *, position: int = 0, seconds_ago: int = 5) -> FormerAddress:
    """What shop/web had until then."""
    freed = ago(seconds_ago)
    web = workload_digest(container(), "shop", "web")
    return FormerAddress(web, position, "pods", ip_address(address), ago(99), freed, freed + 60 * SECOND)


def becomes(
    workload: str,
    *entries: Pool | Reservation,
    there: Block = THEN,
    former: Sequence[FormerAddress] = (had(),),
    names: Sequence[str | Sequence[str]] = ("pods",),
    wants: Sequence[str] = (),
) -> str:
    """What becomes of the ADD of a new container, if there is this block and no other."""
    known = catalogue(*entries, OTHER)
    asked = request(*names, holder=container("new"), workload=workload, wants=wants)
    call = AllocateCall(asked, moment(10), asked.digest, asked.node_key)
    plan = Plan([call], found(), known, set(known.pools), Reading(NOW))
    asking = plan.workloads()
    plan.remember({one.workload: [one] for one in former if one.workload in asking})
    spots: BlocksThere = {str(ip_address(there.first)): [there], owner_of(there): [there]}
    [verdict] = searched(plan, spots).verdicts()
    match verdict:
        case Granted(grants):
            return " ".join(str(grant.address) for grant in grants)
        case Refused(error):
            return error.code
        case _:
            return type(verdict).__name__


def owner_of(there: Block) -> BlockOwner:
    """What kind of search finds a block, as seen from here."""
    if there.node is None:
        return BlockOwner.ANY
    return BlockOwner.OWN if there.node == HERE else BlockOwner.OTHER_WHILE_EMPTY


@table(
    "again",
    {
        "the workload gets the address that it had, though it cools down": (
            partial(becomes, "shop/web", STICKY),
        ),
        "and names it as well": (partial(becomes, "shop/web", STICKY, wants=["10.0.0.9"]),),
        "also if an alternative comes first": (
            partial(becomes, "shop/web", STICKY, names=[["other", "pods"]]),
        ),
        "also after the cooldown, if nobody has had it since": (
            partial(
                becomes,
                "shop/web",
                STICKY,
                there=block("10.0.0.0", freed={"10.0.0.9": ago(500)}),
                former=[had(seconds_ago=500)],
            ),
        ),
        "also if its node has the block": (
            partial(becomes, "shop/web", OF_NODES, there=replace(THEN, node=HERE, allocated=1)),
        ),
    },
)
def test_who_comes_back_has_the_address_at_once(again: Asked) -> None:
    assert again() == "10.0.0.9"


@table(
    "other",
    {
        "another workload": (partial(becomes, "shop/db", STICKY),),
        "a pool that is not sticky": (partial(becomes, "shop/web", replace(STICKY, sticky=False)),),
        "another position of the answer": (partial(becomes, "shop/web", STICKY, former=[had(position=1)]),),
        "somebody has had it since": (partial(becomes, "shop/web", STICKY, former=[had(seconds_ago=6)]),),
        "somebody has it": (
            partial(becomes, "shop/web", STICKY, there=block("10.0.0.0", taken=["10.0.0.9"])),
        ),
        "it was excluded since": (partial(becomes, "shop/web", pool(sticky=True, exclusions=["10.0.0.9"])),),
        "it was reserved for another since": (
            partial(becomes, "shop/web", STICKY, reserved("10.0.0.9", "shop/db")),
        ),
    },
)
def test_who_does_not_gets_the_one_that_is_free_longest(other: Asked) -> None:
    assert other() == "10.0.0.2"


def test_an_address_in_a_block_of_another_node_is_not_had_again() -> None:
    there = replace(THEN, node=THERE, allocated=1)
    assert becomes("shop/web", OF_NODES, there=there) == "nothing-free"


def test_a_draining_pool_gives_nothing_again() -> None:
    assert becomes("shop/web", replace(STICKY, state=PoolState.DRAINING)) == "nothing-free"


@table(
    "asked, outcome",
    {
        "another workload, within the cooldown": (
            partial(becomes, "shop/db", STICKY, wants=["10.0.0.9"]),
            "address-unavailable",
        ),
        "another workload, after the cooldown": (
            partial(
                becomes,
                "shop/db",
                STICKY,
                there=block("10.0.0.0", freed={"10.0.0.9": ago(61)}),
                wants=["10.0.0.9"],
            ),
            "10.0.0.9",
        ),
        "another workload, from a pool that is not sticky": (
            partial(becomes, "shop/db", replace(STICKY, sticky=False), wants=["10.0.0.9"]),
            "10.0.0.9",
        ),
        "the holder of its reservation": (
            partial(becomes, "shop/db", STICKY, reserved("10.0.0.9", "shop/db"), wants=["10.0.0.9"]),
            "10.0.0.9",
        ),
        "the holder of its reservation, who names no address": (
            partial(becomes, "shop/db", STICKY, reserved("10.0.0.9", "shop/db")),
            "10.0.0.9",
        ),
        "one that is held": (
            partial(
                becomes, "shop/db", STICKY, there=block("10.0.0.0", taken=["10.0.0.9"]), wants=["10.0.0.9"]
            ),
            "address-taken",
        ),
    },
)
def test_who_asks_for_an_address_that_cools_down(asked: Asked, outcome: str) -> None:
    assert asked() == outcome


WEB = Workload("shop", "web")


@table(
    "row, pools, remembered",
    {
        "a workload's, of a sticky pool": (
            held("10.0.0.9", workload=WEB, block=THEN.first),
            [STICKY],
            "10.0.0.9",
        ),
        "a workload's, of another": (held("10.0.0.9", workload=WEB, block=THEN.first), [pool()], None),
        "of a container without a name": (held("10.0.0.9", block=THEN.first), [STICKY], None),
    },
)
def test_what_is_remembered_of_an_end(row: Allocation, pools: Sequence[Pool], remembered: str | None) -> None:
    plan = Plan([delete()], found(row), catalogue(*pools), set(), Reading(NOW))
    there = block("10.0.0.0", taken=["10.0.0.9"])

    changes = searched(plan, {"10.0.0.0": [there]}).changes()

    assert [str(one.address) for one in changes.former] == ([remembered] if remembered else [])


def test_of_two_containers_of_a_workload_the_younger_one_counts() -> None:
    """A rolling restart: the new pod came before the old one was gone, and keeps what it has."""
    rows = [
        held("10.0.0.9", "old", workload=WEB, since=ago(90), block=THEN.first),
        held("10.0.0.10", "new", workload=WEB, since=ago(9), block=THEN.first),
    ]
    plan = Plan([delete("new"), delete("old")], found(*rows), catalogue(STICKY), set(), Reading(NOW))
    there = block("10.0.0.0", taken=["10.0.0.9-10.0.0.10"])

    changes = searched(plan, {"10.0.0.0": [there]}).changes()

    assert [str(one.address) for one in changes.former] == ["10.0.0.10"]
