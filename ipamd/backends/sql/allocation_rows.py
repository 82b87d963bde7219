"""Rows to values and back: allocations."""

from __future__ import annotations

from typing import Final

from ipamd.backends.interface import Repeated
from ipamd.backends.sql.rows import Row, address_of
from ipamd.backends.sql.session import Values
from ipamd.backends.sql.statements import BEGIN_ALLOCATION, USUAL_COLUMNS
from ipamd.models.allocation import Allocation, Ending, Idempotency, NetworkNamespace, SeatPosition, Workload
from ipamd.models.identity import Identity, Owner
from ipamd.models.issued import CallOrder

OFFSET_BITS: Final = 32
LARGEST_OFFSET: Final = (1 << OFFSET_BITS) - 1
_NO_IDENTITY: Final = (None, None, None, None, None)
_NOTHING_RARE: Final = tuple(
    {"borrowed": False, "slot": 0}.get(name) for name in BEGIN_ALLOCATION.parameters[USUAL_COLUMNS:]
)


def allocation_values(allocation: Allocation) -> Values:
    """A row to add: the columns of `allocation` in their order, without `id`."""
    holder, workload = allocation.holder, allocation.workload
    owner, held_for = None, allocation.held_for
    identity: tuple[str | None, ...] = _NO_IDENTITY
    if isinstance(holder, Identity):
        identity = (holder.cluster, holder.network, holder.node, holder.container_id, holder.ifname)
    else:
        owner = holder.name
        if allocation.seat is None:
            identity, held_for = (holder.cluster, *_NO_IDENTITY[1:]), owner  # its history goes by this
    idempotency = allocation.idempotency
    return (
        allocation.space,
        allocation.address.packed,
        allocation.pool,
        place_of(int(allocation.address), allocation.block),
        allocation.digest,
        allocation.position,
        *identity,
        owner,
        workload.namespace,
        _listed_name(workload),
        workload.uid,
        allocation.boot,
        *_namespace_values(allocation.netns),
        allocation.since,
        allocation.until,
        allocation.ending.value if allocation.ending is not None else None,
        allocation.generation,
        *allocation.taken,
        *allocation.repeated,
        idempotency.key if idempotency is not None else None,
        idempotency.body if idempotency is not None else None,
        allocation.begun_by,
        allocation.ended_by,
        allocation.reason,
        allocation.borrowed,
        *(allocation.seat or (None, None)),
        allocation.free_since,
        allocation.slot,
        held_for,
        allocation.away_since,
        allocation.hold,
        allocation.prefix_length,
        None if allocation.prefix_length is None else allocation.addresses.last.packed,
    )


def has_nothing_rare(values: Values) -> bool:
    """Whether a row to add is empty behind the usual columns, as the table makes it by itself."""
    return values[USUAL_COLUMNS:] == _NOTHING_RARE


def place_of(value: int, block: int) -> int:
    """Where an address lies in its block: its offset, and how many bits are left out if not none.

    A block's number lacks the bits behind the pool's prefix length (`Pool.number_of`).
    """
    left_out = 0
    while (value >> left_out) - block > LARGEST_OFFSET:
        left_out += 1
    return (left_out << OFFSET_BITS) + (value >> left_out) - block


def _listed_name(workload: Workload) -> str | None:
    """Empty, not null, where there is a namespace: lists of one go by the name, and null has no place."""
    return workload.name or "" if workload.namespace is not None else workload.name


def allocation_of(row: Row) -> Allocation:
    """An allocation from its row, the columns of `allocation` in their order."""
    (
        row_id,
        space,
        packed,
        pool,
        place,
        digest,
        position,
        cluster,
        network,
        node,
        container_id,
        ifname,
        owner,
        namespace,
        name,
        uid,
        boot,
        netns_device,
        netns_inode,
        since,
        until,
        ending,
        generation,
        taken_boot,
        taken_uptime,
        repeated_boot,
        repeated_uptime,
        idempotency_key,
        idempotency_body,
        begun_by,
        ended_by,
        reason,
        borrowed,
        seat,
        seat_position,
        free_since,
        slot,
        held_for,
        away_since,
        hold,
        prefix_length,
    ) = row
    address = address_of(packed)
    return Allocation(
        id=row_id,
        space=space,
        address=address,
        pool=pool,
        block=(int(address) >> (place >> OFFSET_BITS)) - (place & LARGEST_OFFSET),
        holder=Identity(cluster, network, node, container_id, ifname)
        if owner is None
        else Owner(owner, digest, cluster),
        digest=digest,
        position=position,
        workload=Workload(namespace, name or None, uid),
        boot=boot,
        netns=None if netns_inode is None else NetworkNamespace(netns_device, netns_inode),
        since=since,
        until=until,
        ending=None if ending is None else Ending(ending),
        generation=generation,
        taken=CallOrder(taken_boot, taken_uptime),
        repeated=CallOrder(repeated_boot, repeated_uptime),
        idempotency=None if idempotency_key is None else Idempotency(idempotency_key, idempotency_body),
        begun_by=begun_by,
        ended_by=ended_by,
        reason=reason,
        borrowed=bool(borrowed),
        seat=None if seat is None else SeatPosition(seat, seat_position),
        free_since=free_since,
        slot=slot,
        held_for=held_for if owner is None else None,
        away_since=away_since,
        hold=hold,
        prefix_length=prefix_length,
    )


def repeat_values(repeat: Repeated) -> Values:
    """The values of a repeat, in the order of its statement."""
    return (repeat.generation, *repeat.repeated, repeat.boot, *_namespace_values(repeat.netns), repeat.id)


def _namespace_values(netns: NetworkNamespace | None) -> tuple[int | None, int | None]:
    return (None, None) if netns is None else (netns.device, netns.inode)
