"""One change of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final, Protocol

from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Entry, Removable, Snapshot
from ipamd.models.change_log import LogEntry
from ipamd.models.change_request import ChangeRequest
from ipamd.models.node import Boot, NodeKey
from ipamd.models.pod_network import Announced
from ipamd.models.quota import Quota

KEPT_ANNOUNCEMENTS: Final = 1000
"""How many numbers a reader of changes may be behind before it must read all again."""


class CatalogueChange(Protocol):
    """One change of the catalogue. Changes come one after another."""

    async def raise_revision(self, by: int = 1) -> int:
        """Lock the catalogue for this change. Returns the new revision."""
        ...

    async def load(self, known: Snapshot) -> Snapshot:
        """The current catalogue. Only what changed after `known` is read.

        If `known` is later than the catalogue, or of another timeline (a database was put back), all of it is
        read.
        """
        ...

    async def save(self, entry: Entry) -> None:
        """Add or replace an entry. Its `revision` is the new one.

        Raises `ConstraintViolated` if another token has the hash of this one.
        """
        ...

    async def remove(self, entry: Removable) -> None:
        """Remove an entry.

        A pool is removed with its blocks, its cursor and its samples, a node with its contact and its
        census but not its boots, a token with its last use, a quota with its tallies. What workloads took of
        a hold is theirs alone once it is removed. History stays.
        """
        ...

    async def count(self, quotas: Sequence[Quota]) -> None:
        """Count the live allocations that quotas count, and write their tallies, and no others of them.

        It waits for the units of work that have taken one of them as counting (`Transaction.tallies`), and
        keeps others from taking it, until the change ends. It is called once in a change.
        """
        ...

    async def blocks_between(self, pool: str, first: int, last: int) -> Sequence[Block]:
        """Lock and read the blocks that contain any address from `first` to `last`, by number.

        This waits for locks.
        """
        ...

    async def rewrite(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> None:
        """Write blocks that a change touched. The cursor of the pool is lowered to `cursor`, never raised.

        Raises `ConstraintViolated` if a block does not exist.
        """
        ...

    async def holder_of(self, space: str, address: IPAddress) -> Allocation | None:
        """The live allocation of an address, or of the prefix that contains it."""
        ...

    async def boots(self, node: NodeKey) -> Sequence[Boot]:
        """The boots of a node, in the order of their numbers."""
        ...

    async def save_boot(self, node: NodeKey, boot: Boot) -> None:
        """Add a boot. Raises `ConstraintViolated` if its identity or number is known."""
        ...

    async def log(self, entries: Sequence[LogEntry]) -> None:
        """Write entries into the change log, in their order. The catalogue is locked by `raise_revision`.

        Their ids grow, and none is given again.
        """
        ...

    async def request(self, number: int) -> ChangeRequest | None:
        """A request as it stands. The catalogue is locked by `raise_revision`, and requests with it."""
        ...

    async def save_request(self, request: ChangeRequest) -> None:
        """Add or replace a request."""
        ...

    async def renew_epochs(self) -> None:
        """Begin a new epoch of the numbers of all clusters: who has read up to one reads all again.

        It locks the numbers, as `announce` does, and is called last.
        """
        ...

    async def announce(self, announced: Set[Announced]) -> None:
        """Note under the next number of each cluster what changes of its pod network. It is called last.

        The numbers of a cluster are locked until the change ends, so that they commit in their order: who
        has read up to a number has seen all changes up to it. Those of nodes that are gone may be forgotten
        after `KEPT_ANNOUNCEMENTS` further numbers.
        """
        ...
