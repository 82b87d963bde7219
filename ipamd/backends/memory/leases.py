"""Leases and seats in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from ipamd.backends.memory.journal import Journal
from ipamd.models.identity import Digest
from ipamd.models.lease import Lease, Seat, SeatKey
from ipamd.models.node import NodeKey


class Leases:
    """What nodes may give, and their seats."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.rows: dict[NodeKey, Lease] = {}
        self.seats: dict[SeatKey, Seat] = {}
        self.configurations: dict[Digest, bytes] = {}

    def of_node(self, node: NodeKey) -> list[Seat]:
        """The seats of a node, by number."""
        return [self.seats[key] for key in sorted(self.seats) if key.node == node]

    def write(
        self,
        leases: Sequence[Lease],
        seats: Sequence[Seat],
        returned: Sequence[SeatKey],
        recalled: Sequence[SeatKey],
        configurations: Mapping[Digest, bytes],
    ) -> None:
        """Write what a unit of work changes."""
        for lease in leases:
            self.journal.put(self.rows, lease.node, lease)
        for seat in seats:
            self.journal.put(self.seats, SeatKey(seat.node, seat.number), seat)
        for key in recalled:
            if key in self.seats:
                self.journal.put(self.seats, key, structs.replace(self.seats[key], is_recalled=True))
        for key in returned:
            self.journal.drop(self.seats, key)
        for digest, configuration in configurations.items():
            self.journal.put(self.configurations, digest, configuration)
