"""Who has a node's lease: this machine in this boot with this store, or whoever comes next. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import structs

from ipamd.engine.clock import Reading
from ipamd.engine.leasing.conversation import Asking
from ipamd.models.errors import DomainError, LeaseOver, LeaseSettling, LeaseSuperseded
from ipamd.models.instant import SECOND, Instant
from ipamd.models.lease import GRACE, SETTLING, Lease
from ipamd.models.limits import LEASE_SECONDS

LONGEST: Final = LEASE_SECONDS * SECOND
"""Who waits for the end of a lease knows no shorter time: it may have been begun under another setting."""

NOBODY = ""
"""The machine of a lease that was fenced."""


class Decided(NamedTuple):
    """The lease to write, None if it stays, and why who asks has none.

    `is_lost_store`: the store of this very boot is gone, with what it did last.
    """

    lease: Lease | None
    refusal: DomainError | None = None
    is_lost_store: bool = False


def decide(
    lease: Lease | None, asking: Asking, clock: Reading, *, has_seats: bool, seconds: int = LEASE_SECONDS
) -> Decided:
    """Whether who asks has the lease, and that it may give for so many seconds."""
    node, now = asking.node, clock.now
    until = now + seconds * SECOND
    if lease is None:
        new = Lease(
            node=node,
            epoch=1,
            machine=asking.machine,
            boot=asking.boot,
            store=asking.store,
            granted=0,
            seats=0,
            until=until,
            reported=asking.reported,
            heard=now,
        )
        return Decided(new, LeaseOver(node.name) if asking.epoch is not None or asking.granted else None)
    if (lease.machine, lease.boot, lease.store) == (asking.machine, asking.boot, asking.store):
        if asking.epoch not in (None, lease.epoch) or asking.granted > lease.granted:
            return Decided(None, LeaseOver(node.name))
        renewed = _renewed(lease, until, now)
        if asking.epoch is None:  # a database that was put back may lack what it had acknowledged
            renewed = structs.replace(renewed, reported=max(lease.reported, asking.reported))
        return Decided(renewed)
    if asking.epoch is not None:
        return Decided(None, LeaseOver(node.name))
    if lease.machine not in (NOBODY, asking.machine) and has_seats:
        return Decided(None, LeaseSuperseded(node.name, asking.machine, lease.machine))
    if lease.machine == asking.machine and has_seats and not _has_settled(lease, asking, clock):
        return _noted(lease, asking, clock)
    taken_over = structs.replace(
        _renewed(lease, until, now),
        epoch=lease.epoch + 1,
        machine=asking.machine,
        boot=asking.boot,
        store=asking.store,
        granted=asking.granted,
        reported=asking.reported,
    )
    return Decided(taken_over, is_lost_store=lease.boot == asking.boot)


def fenced(lease: Lease) -> Lease:
    """A lease of which nobody may give any more."""
    return structs.replace(lease, epoch=lease.epoch + 1, machine=NOBODY, boot=NOBODY, store=NOBODY, until=0)


def without_note(lease: Lease) -> Lease:
    """A lease for which no other boot or store is noted."""
    return structs.replace(lease, noted_boot=None, noted_store=None, noted=None)


def may_give_until(lease: Lease, clock: Reading) -> Instant:
    """When the node has surely ended to give, whatever this clock or an earlier one was set to."""
    told = min(lease.until, clock.now + LONGEST)
    return clock.lasts_until(told - LONGEST, LONGEST + GRACE)


def _renewed(lease: Lease, until: Instant, now: Instant) -> Lease:
    # The node may not hear of a shorter time: what it was told before still holds then.
    until = max(until, min(lease.until, now + LONGEST))
    return without_note(structs.replace(lease, until=until, heard=now))


def _is_noted(lease: Lease, asking: Asking) -> bool:
    return (lease.noted_boot, lease.noted_store) == (asking.boot, asking.store)


def _has_settled(lease: Lease, asking: Asking, clock: Reading) -> bool:
    return _is_noted(lease, asking) and lease.noted is not None and lease.noted <= clock.past(SETTLING)


def _noted(lease: Lease, asking: Asking, clock: Reading) -> Decided:
    known = lease.noted if _is_noted(lease, asking) else None
    since = clock.now if known is None else min(known, clock.now)
    left = max(clock.lasts_until(since, SETTLING) - clock.now, 0)
    refusal = LeaseSettling(asking.node.name, -(-left // SECOND))
    if since == known:
        return Decided(None, refusal)
    noted = structs.replace(lease, noted_boot=asking.boot, noted_store=asking.store, noted=since)
    return Decided(noted, refusal)
