"""One change of what admins decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Entry, Snapshot
from ipamd.models.node import Boot, NodeKey


class CatalogueChange(Protocol):
    """One change of what admins decide; changes come one after another."""

    async def raise_revision(self) -> int:
        """Take the catalogue for this change; the new revision."""
        ...

    async def load(self, known: Snapshot) -> Snapshot:
        """The catalogue as it stands; reads only what changed after `known`.

        Where `known` is later than the catalogue (a database was put back), all of it is read.
        """
        ...

    async def save(self, entry: Entry) -> None:
        """Add or replace an entry; its `revision` is the new one.

        Raises `ConstraintViolated` for a token with the hash of another.
        """
        ...

    async def remove(self, entry: Entry) -> None:
        """Remove an entry.

        A pool goes with its blocks and cursor, a node with its contact, not its boots, a token with its last
        use. History stays.
        """
        ...

    async def blocks_between(self, pool: str, first: int, last: int) -> Sequence[Block]:
        """Lock and read the blocks that hold any address from `first` to `last`, by number, waiting."""
        ...

    async def rewrite(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> None:
        """Write back blocks that a change touched; the pool's cursor is lowered to `cursor`, never raised.

        Raises `ConstraintViolated` if a block does not exist.
        """
        ...

    async def holder_of(self, space: str, address: IPAddress) -> Allocation | None:
        """The live allocation of an address."""
        ...

    async def boots(self, node: NodeKey) -> Sequence[Boot]:
        """The boots of a node, in the order of their numbers."""
        ...

    async def save_boot(self, node: NodeKey, boot: Boot) -> None:
        """Add a boot; raises `ConstraintViolated` when its identity or number is known."""
        ...
