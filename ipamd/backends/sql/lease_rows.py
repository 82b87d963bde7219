"""Rows to values and back: leases and their seats."""

from __future__ import annotations

from ipamd.backends.sql.rows import Row
from ipamd.backends.sql.session import Values
from ipamd.models.lease import Lease, Seat
from ipamd.models.node import NodeKey


def lease_values(lease: Lease) -> Values:
    """The columns of `lease` in their order."""
    return (
        *lease.node,
        lease.epoch,
        lease.machine,
        lease.boot,
        lease.store,
        lease.granted,
        lease.seats,
        lease.until,
        lease.reported,
        lease.heard,
        lease.noted_boot,
        lease.noted_store,
        lease.noted,
        lease.recalled,
    )


def lease_of(row: Row) -> Lease:
    """A lease from its row."""
    cluster, node, epoch, machine, boot, store, granted, seats, until, reported, heard, *noted, recalled = row
    noted_boot, noted_store, noted_at = noted
    return Lease(
        node=NodeKey(cluster, node),
        epoch=epoch,
        machine=machine,
        boot=boot,
        store=store,
        granted=granted,
        seats=seats,
        until=until,
        reported=reported,
        heard=heard,
        noted_boot=noted_boot,
        noted_store=noted_store,
        noted=noted_at,
        recalled=recalled,
    )


def seat_values(seat: Seat) -> Values:
    """The columns of `seat` in their order."""
    return (
        *seat.node,
        seat.number,
        seat.key,
        seat.configuration,
        seat.network,
        seat.void_in,
        seat.is_recalled,
    )


def seat_of(row: Row) -> Seat:
    """A seat from its row."""
    cluster, node, number, key, configuration, network, void_in, recalled = row
    return Seat(
        node=NodeKey(cluster, node),
        number=number,
        key=key,
        configuration=configuration,
        network=network,
        void_in=void_in,
        is_recalled=bool(recalled),
    )
