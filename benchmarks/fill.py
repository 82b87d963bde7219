"""Fills a database in bulk through the backend's own schema, as if millions of ADDs had been answered."""

from __future__ import annotations

import random
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from ipamd.backends.drive import run_to_end
from ipamd.backends.sql.rows import cursor_bytes, number_bytes
from ipamd.backends.sql.sqlite.connection import SqliteSession
from ipamd.backends.sql.sqlite.deferred_terms import catch_up, merge
from ipamd.models.block import HELD, NEVER_HELD

BLOCK_SIZE: Final = 64
TAKEN_AT: Final = 1_700_000_000_000_000
"""An instant in 2023: long before whatever is measured."""

TAKEN, FREE, UNUSABLE = range(3)
"""What is known of one address: somebody has it, anybody may get it, nobody ever gets it."""

BULK_SETTINGS: Final = (
    "PRAGMA journal_mode=OFF",
    "PRAGMA synchronous=OFF",
    "PRAGMA cache_size=-1000000",
    "PRAGMA locking_mode=EXCLUSIVE",
)
INDEXES: Final = (
    "SELECT name, sql FROM sqlite_master"
    " WHERE type = 'index' AND tbl_name IN ('allocation', 'block') AND sql IS NOT NULL"
    " AND name <> 'allocation_one_answer'"
)
"""Built in one go at the end, but for the one over digests. It grows row by row, as it does in use.

Digests are random, so that its pages have room: of those that are built in one go each would split.
"""

BLOCKS: Final = (
    "INSERT INTO block (pool, first, free_since, allocated, last_freed, next_free_since)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
REACHED: Final = "INSERT OR REPLACE INTO carving (pool, reached) VALUES (?, ?)"
TERMS_AT_ONCE: Final = 100_000

NODES: Final = 100
"""Those who hold the addresses, if nothing else is said: node-0 and so on."""

COLUMNS: Final = """
  space, address, pool, place, digest, position, cluster, network, node, container_id, ifname, namespace,
  name, uid, boot, netns_device, netns_inode, since, generation,
  taken_boot, taken_uptime, repeated_boot, repeated_uptime
"""
ALLOCATIONS: Final = f"""
INSERT INTO allocation ({COLUMNS}) VALUES (
  'default', ?2, ?1, ?3, randomblob(16), 0, 'default', 'pods', 'node-' || (abs(random()) % {{nodes}}),
  lower(hex(randomblob(32))), 'eth0', 'ns-' || (abs(random()) % 20), 'pod-' || lower(hex(randomblob(5))),
  lower(hex(randomblob(16))), '5afbf9ad-2078-45d6-888a-9b7fab4c0d3e', 4, 4026532000,
  {TAKEN_AT} + abs(random()) % 1000000000, 1, 1, 1, 1, 1
)"""
HOUR: Final = 3_600_000_000
ENDED: Final = f"""
INSERT INTO allocation ({COLUMNS}, until, ending)
SELECT {COLUMNS.replace("since,", f"since - 2 * {HOUR},")}, since - {HOUR}, 'released'
FROM allocation WHERE place % 2 = 0 AND container_id IS NOT NULL AND until IS NULL"""
"""Every second address had the same holder once before."""


@dataclass(frozen=True)
class Filling:
    """The blocks of a pool from its address `first` on; `state` has a byte for each of their addresses."""

    pool: str
    first: int
    state: bytes
    family: int = 4

    @property
    def taken(self) -> int:
        """How many addresses somebody has."""
        return self.state.count(TAKEN)

    def block_rows(self) -> Iterator[tuple[object, ...]]:
        """The columns of `block` that are not empty."""
        full = bytes(BLOCK_SIZE)
        for offset in range(0, len(self.state), BLOCK_SIZE):
            piece = self.state[offset : offset + BLOCK_SIZE]
            allocated = BLOCK_SIZE if piece == full else piece.count(TAKEN)
            instants = array("q", [HELD if each == TAKEN else NEVER_HELD for each in piece])
            room = NEVER_HELD if FREE in piece else None
            first = number_bytes(self.first + offset)
            yield self.pool, first, instants.tobytes(), allocated, NEVER_HELD, room

    def address_rows(self) -> Iterator[tuple[str, bytes, int]]:
        """Pool, packed address and place in its block of each that is taken."""
        size = 4 if self.family == 4 else 16
        for offset, each in enumerate(self.state):
            if each == TAKEN:
                yield self.pool, (self.first + offset).to_bytes(size, "big"), offset % BLOCK_SIZE

    @property
    def beyond(self) -> int:
        """Where carving goes on."""
        return self.first + len(self.state)


def full_blocks(pool: str, first: int, addresses: int, family: int = 4) -> Filling:
    """Blocks that have no address left, at least so many addresses."""
    return Filling(pool, first, bytes(-(-addresses // BLOCK_SIZE) * BLOCK_SIZE), family)


def usable(subnet: IPv4Network) -> int:
    """How many addresses pods can get of a subnet with the default gateway."""
    return subnet.num_addresses - 3


def at_random(pool: str, subnet: IPv4Network, free: int) -> Filling:
    """A whole pool with the default gateway, taken but for so many addresses anywhere in it."""
    state = bytearray(subnet.num_addresses)
    state[0] = state[1] = state[-1] = UNUSABLE
    # The same addresses at every run; nothing hangs on their being hard to guess.
    for offset in random.Random(free).sample(range(2, len(state) - 1), free):
        state[offset] = FREE
    return Filling(pool, int(subnet[0]), bytes(state))


def fill_sqlite(
    database: Path, fillings: Iterable[Filling], *, past: bool = False, nodes: int = NODES
) -> None:
    """Fill a migrated database that no ipamd has open; its pools exist already, and have no blocks.

    With a `past`, every second address had a holder before.
    """
    allocations = ALLOCATIONS.format(nodes=nodes)
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        for setting in BULK_SETTINGS:
            connection.execute(setting)
        indexes = connection.execute(INDEXES).fetchall()
        connection.execute("BEGIN")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for filling in fillings:
            connection.executemany(BLOCKS, filling.block_rows())
            connection.execute(REACHED, (filling.pool, cursor_bytes(filling.beyond)))
            connection.executemany(allocations, filling.address_rows())
        if past:
            connection.execute(ENDED)
        for _, statement in indexes:
            connection.execute(statement)
        session = SqliteSession(connection)
        while run_to_end(catch_up(TERMS_AT_ONCE, session)):
            while run_to_end(merge(TERMS_AT_ONCE, session)):
                pass
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
