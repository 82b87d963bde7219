"""All that is kept, as tables in memory, and what takes a unit of work back."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ipamd.backends.interface import TallyChange, TallyMoved
from ipamd.models.address import IPAddress
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.lease import Seat, SeatKey, seat_owner
from ipamd.models.node import NodeKey
from ipamd.models.quota import Quota, Tally, counted
from ipamd.models.restoration import Restoration

Change = tuple[Any, ...]
"""`(table, key, value)`, or `(table, key)` where an entry goes. Made twice it does no more than once."""


class Store:
    """Tables by name, each a mapping. An index is a table like any other."""

    def __init__(self) -> None:
        self.tables: defaultdict[str, dict[Hashable, Any]] = defaultdict(dict)
        self.changes: list[Change] = []
        self._before: list[Change] = []

    def get(self, table: str, key: Hashable, default: Any = None) -> Any:
        """One entry."""
        return self.tables[table].get(key, default)

    def values(self, table: str) -> list[Any]:
        """All entries of a table."""
        return list(self.tables[table].values())

    def put(self, table: str, key: Hashable, value: object) -> None:
        """Set an entry."""
        self._change((table, key, value))

    def drop(self, table: str, key: Hashable) -> None:
        """Remove an entry, if it is there."""
        self._change((table, key))

    def _change(self, change: Change) -> None:
        table, key = change[:2]
        known = key in self.tables[table]
        self._before.append((table, key, self.tables[table][key]) if known else (table, key))
        self.changes.append(change)
        self.make(change)

    def make(self, change: Change) -> None:
        """Make a change that is already in the journal."""
        table, key, *value = change
        if value:
            self.tables[table][key] = value[0]
        else:
            self.tables[table].pop(key, None)

    def keep(self) -> None:
        """The unit of work stands."""
        self.changes, self._before = [], []

    def undo(self) -> None:
        """Take back the unit of work, its last change first."""
        for change in reversed(self._before):
            self.make(change)
        self.keep()

    def everything(self) -> Iterator[Change]:
        """The changes that make these tables from nothing."""
        for name, table in self.tables.items():
            for key, value in table.items():
                yield name, key, value

    # What several rooms ask.

    @property
    def revision(self) -> int:
        """The catalogue's."""
        return int(self.get("number", "revision", 0))

    def write_tallies(self, tallies: Mapping[Tally, int]) -> None:
        """Write what tallies count from now on."""
        for tally, used in tallies.items():
            if used:
                self.put("tally", tally, used)
            else:
                self.drop("tally", tally)

    def change_tallies(self, changes: Mapping[Tally, TallyChange]) -> None:
        """Change what tallies count, unless one counts too much by now."""
        used = {tally: self.get("tally", tally, 0) for tally in changes}
        if any(one.most is not None and used[tally] > one.most for tally, one in changes.items()):
            raise TallyMoved
        self.write_tallies({tally: used[tally] + one.by for tally, one in changes.items()})

    def tallies_of(self, quota: str) -> dict[Tally, int]:
        """What the tallies of a quota say."""
        every: dict[Tally, int] = self.tables["tally"]  # type: ignore[assignment]  # as above
        return {tally: used for tally, used in every.items() if tally.quota == quota}

    def live_tallies(self, quota: Quota) -> dict[Tally, int]:
        """What they should say."""
        return counted(quota, (row for row in self.values("allocation") if row.until is None))

    def snapshot(self) -> Snapshot:
        """The catalogue as it stands. All of it is at hand, so that what a caller knows saves nothing."""
        return Snapshot(
            self.revision,
            dict(self.tables["pool"]),  # type: ignore[arg-type]  # a table's keys are what was put there
            dict(self.tables["reservation"]),  # type: ignore[arg-type]  # the same
            dict(self.tables["node"]),  # type: ignore[arg-type]  # the same
            dict(self.tables["token"]),  # type: ignore[arg-type]  # the same
            dict(self.tables["network"]),  # type: ignore[arg-type]  # the same
            self.get("restoration", 1, Restoration()),
            dict(self.tables["quota"]),  # type: ignore[arg-type]  # the same
            dict(self.tables["hold"]),  # type: ignore[arg-type]  # the same
        )

    def held_by(self, digest: bytes) -> list[Any]:
        """The live allocations of a holder, by position."""
        rows = [self.get("allocation", number) for number in self.get("holder", digest, ())]
        return sorted(rows, key=lambda row: row.position)

    def of_address(self, space: str, address: IPAddress) -> list[Any]:
        """The live allocations that begin with an address, by slot."""
        rows = [self.get("allocation", number) for number in self.get("owner", (space, address), ())]
        return sorted(rows, key=lambda row: row.slot)

    def having(self, space: str, address: IPAddress) -> list[Any]:
        """The live allocations of an address, by slot, also those of a prefix around it."""
        live = [row for row in self.values("allocation") if row.until is None and row.space == space]
        return sorted((row for row in live if row.addresses.contains(address)), key=lambda row: row.slot)

    def pinned(self, seat: SeatKey) -> list[Any]:
        """The live allocations of containers on a seat."""
        return [self.get("allocation", number) for number in self.get("pinned", seat, ())]

    def seats_of(self, node: NodeKey) -> list[Seat]:
        """The seats of a node, by number."""
        return sorted(
            (seat for seat in self.values("seat") if seat.node == node), key=lambda seat: seat.number
        )

    def seat_rows(self, node: NodeKey) -> list[Any]:
        """The live allocations of a node's seats."""
        keys = [SeatKey(node, seat.number) for seat in self.seats_of(node)]
        return [row for key in keys for row in (*self.held_by(seat_owner(key).digest), *self.pinned(key))]

    def blocks_of(self, pool: str) -> list[Block]:
        """The blocks of a pool, by number; copies, for a block can be changed."""
        blocks = [copy_of(block) for block in self.values("block") if block.pool == pool]
        return sorted(blocks, key=lambda block: block.first)

    def blocks_between(self, pool: str, first: int, last: int) -> list[Block]:
        """The blocks that hold any address from `first` to `last`."""
        return [
            block
            for block in self.blocks_of(pool)
            if block.first <= last and block.first + block.size > first
        ]


def copy_of(block: Block) -> Block:
    """A block that can be changed without changing this one."""
    return replace(block, free_since=array("q", block.free_since))
