"""Sticky pools: what a workload had, it gets again, and nobody else meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from ipamd.addressing.mask import Mask
from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.clock import Reading
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import HELD, Block
from ipamd.models.errors import AddressUnavailable
from ipamd.models.former_address import FormerAddress, workload_digest, workload_of
from ipamd.models.identity import Digest, Identity
from ipamd.models.instant import SECOND, Instant, rfc3339
from ipamd.models.pool import Pool
from ipamd.models.request import AllocationRequest


def workload_that_asks(request: AllocationRequest, wanted: Sequence[AddressRequest]) -> Digest | None:
    """The workload whose former addresses count for a request; None if none do."""
    holder, workload = request.holder, request.workload
    if not isinstance(holder, Identity) or workload.name is None:
        return None
    if not any(pool.sticky for asked in wanted for pool in asked.pools):
        return None
    return workload_digest(holder, workload.namespace, workload.name)


def with_former(wanted: Sequence[AddressRequest], former: Sequence[FormerAddress]) -> list[AddressRequest]:
    """What is asked for, each with what the workload had there: at this place, or at this position."""
    by_position = {one.position: one for one in former}
    asked = []
    for position, each in enumerate(wanted):
        if each.prefix_length is not None:
            asked.append(each)  # no prefix is remembered
            continue
        there = each.place
        if there is None:
            one = by_position.get(position)
        else:
            one = next((one for one in former if there.contains(one.address)), None)
        asked.append(structs.replace(each, former=one))
    return asked


def former_of(row: Allocation, pool: Pool | None, now: Instant) -> FormerAddress | None:
    """What is remembered of an allocation that ends now, if its pool is sticky and it was a workload's."""
    workload = workload_of(row)
    if pool is None or not pool.sticky or workload is None or row.prefix_length is not None:
        return None
    return FormerAddress(
        workload, row.position, row.pool, row.address, row.since, now, now + pool.cooldown * SECOND
    )


def kept_until(
    block: Block, bits: int, request: AddressRequest, mask: Mask, clock: Reading
) -> Instant | None:
    """Until when a requested address (the one of `bits`) cools down and is not to be had. None if it may be.

    Its last workload may have it, and so may the holder of its reservation.
    """
    pool, offset = mask.pool, bits.bit_length() - 1
    if not pool.sticky or request.adopted or request.reservation is not None:
        return None
    freed = block.free_since[offset]
    if freed == HELD or freed <= clock.past(pool.cooldown * SECOND):
        return None
    own = request.former is not None and request.former.freed == freed
    if own or mask.reservation_of(pool.address_of(block.first + offset)) is not None:
        return None
    return clock.lasts_until(freed, pool.cooldown * SECOND)


def kept(address: IPAddress, pool: Pool, until: Instant) -> AddressUnavailable:
    """The refusal of an address that a sticky pool keeps for the workload that had it."""
    why = f"pool {pool.name} is sticky and keeps it until {rfc3339(until)} for the workload that had it"
    return AddressUnavailable(address, why, until)
