"""Rows to values and back: addresses and numbers, remembered releases, blocks."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from ipamd.backends.interface import RememberedRelease
from ipamd.backends.sql.session import Values
from ipamd.models.address import IPAddress
from ipamd.models.block import Block
from ipamd.models.issued import CallOrder
from ipamd.models.node import NodeKey

Row = Sequence[Any]

NUMBER_BYTES: Final = 16
CURSOR_BYTES: Final = 17


def address_of(packed: bytes) -> IPAddress:
    """An address from its packed bytes."""
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def number_bytes(number: int) -> bytes:
    """A block's number, or an address's value, as bytes whose order is that of the numbers."""
    return number.to_bytes(NUMBER_BYTES, "big")


def cursor_bytes(cursor: int) -> bytes:
    """A place in a pool; one past the last address of IPv6 needs a bit more than an address."""
    return cursor.to_bytes(CURSOR_BYTES, "big")


def release_values(release: RememberedRelease) -> Values:
    """A row to add: the columns of `release` in their order, without `id`."""
    return release.digest, release.order.boot, release.order.uptime_ns, release.undo, release.until


def release_of(row: Row) -> RememberedRelease:
    """A release from its row without `id`."""
    digest, boot, uptime, undo, until = row
    return RememberedRelease(digest, CallOrder(boot, uptime), bool(undo), until)


def block_values(block: Block) -> Values:
    """The columns of `block` in their order."""
    return (
        block.pool,
        number_bytes(block.first),
        block.node.cluster if block.node is not None else None,
        block.node.name if block.node is not None else None,
        _little_endian(block.free_since).tobytes(),
        block.allocated,
        block.last_freed,
        block.next_free_since,
        block.leased,
    )


def block_of(row: Row) -> Block:
    """A block from its row."""
    pool, first, cluster, node, free_since, allocated, last_freed, next_free_since, leased = row
    instants = array("q", free_since)
    return Block(
        pool=pool,
        first=int.from_bytes(first, "big"),
        node=None if node is None else NodeKey(cluster, node),
        free_since=_little_endian(instants),
        allocated=allocated,
        last_freed=last_freed,
        next_free_since=next_free_since,
        leased=leased,
    )


def _little_endian(instants: array[int]) -> array[int]:
    """The same on most machines; swapped on the others, so that a database may move between them."""
    if sys.byteorder == "little":
        return instants
    swapped = array("q", instants)
    swapped.byteswap()
    return swapped
