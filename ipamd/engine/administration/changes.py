"""Changes of pools, reservations and nodes: one after another, each whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ipamd.backends.interface import CatalogueChange, Undone
from ipamd.engine.administration.applying import Applied, DesiredState, apply
from ipamd.engine.administration.catalogue_writer import CatalogueWriter
from ipamd.engine.administration.editing import Editing
from ipamd.engine.administration.statements import validate
from ipamd.models.address import AddressRange
from ipamd.models.errors import NotFound, PoolUnknown, StaleRevision
from ipamd.models.node import Node, NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation


class Administration(CatalogueWriter):
    """The changes that admins may make.

    When a method returns, its change is durable, and every later batch sees it.
    """

    async def create_pool(self, pool: Pool) -> Pool:
        """Create a pool. Raises InvalidValue, PoolExists, PoolOverlaps, ReservationConflicts."""
        validate(pool)

        async def create(catalogue: CatalogueChange) -> Pool:
            editing = await self._edit(catalogue)
            made = await editing.create_pool(pool)
            editing.agree()
            await editing.announce()
            return made

        return await self._change(create)

    async def edit_pool(self, name: str, edit: Callable[[Pool], Pool], expected: int | None) -> Pool:
        """Replace a pool by the result of `edit`, if it is at revision `expected` (None: at any).

        Raises NotFound, StaleRevision, InvalidValue, PoolOverlaps, WouldStrand, ReservationConflicts, and
        what `edit` raises.
        """

        async def change(catalogue: CatalogueChange) -> Pool:
            editing = await self._edit(catalogue)
            changed = await editing.edit_pool(_entry(editing.pools.get(name), "pool", name, expected), edit)
            editing.agree()
            await editing.announce()
            return changed

        return await self._change(change)

    async def delete_pool(self, name: str, expected: int | None) -> None:
        """Delete a pool of which nothing is held, and for which no quota is.

        Raises NotFound, StaleRevision, PoolInUse.
        """

        async def delete(catalogue: CatalogueChange) -> None:
            editing = await self._edit(catalogue)
            await editing.delete_pool(_entry(editing.pools.get(name), "pool", name, expected))
            editing.agree()
            await editing.announce()

        await self._change(delete)

    async def create_reservation(self, reservation: Reservation) -> Reservation:
        """Reserve addresses for a holder, and give the reservation its id.

        Raises InvalidValue, ReservationConflicts.
        """

        async def create(catalogue: CatalogueChange) -> Reservation:
            editing = await self._edit(catalogue)
            made = await editing.create_reservation(reservation)
            editing.agree()
            return made

        return await self._change(create)

    async def reserve_prefix(
        self, pool: str, length: int, make: Callable[[AddressRange], Reservation]
    ) -> Reservation:
        """Reserve the next free prefix of a pool for a holder.

        Raises PoolUnknown, InvalidValue, ReservationConflicts.
        """

        async def create(catalogue: CatalogueChange) -> Reservation:
            editing = await self._edit(catalogue)
            known = editing.pools.get(pool)
            if known is None:
                raise PoolUnknown(pool)
            made = await editing.reserve_prefix(known, length, make)
            editing.agree()
            return made

        return await self._change(create)

    async def delete_reservation(self, reservation: int, expected: int | None = None) -> None:
        """End a reservation. Raises NotFound, StaleRevision."""

        async def delete(catalogue: CatalogueChange) -> None:
            editing = await self._edit(catalogue)
            entry = editing.reservations.get(reservation)
            await editing.delete_reservation(_entry(entry, "reservation", str(reservation), expected))

        await self._change(delete)

    async def apply(self, wanted: DesiredState, *, prune: bool, dry_run: bool) -> Applied:
        """Create and change pools, reservations and quotas as a file says: all of it, or nothing.

        With `prune` what the file does not name is deleted. With `dry_run` nothing changes, and the answer
        says what would change. If nothing differs, nothing is written. Raises NotApplied.
        """

        async def change(catalogue: CatalogueChange) -> Applied | Undone[Applied]:
            editing = await self._edit(catalogue)
            applied = await apply(wanted, editing, prune=prune)
            await editing.announce()
            return Undone(applied) if dry_run or not applied.changes else applied

        return await self._change(change)

    async def save_node(self, node: Node, expected: int | None = None) -> Node:
        """Set the labels of a node. Raises StaleRevision."""

        async def save(catalogue: CatalogueChange) -> Node:
            revision, snapshot = await self._begin(catalogue)
            if expected is not None:
                _entry(snapshot.nodes.get(node.key), "node", node.name, expected)
            known = snapshot.nodes.get(node.key)
            known = known or Node(cluster=node.cluster, name=node.name)
            saved = replace(known, labels=node.labels, revision=revision)
            await catalogue.save(saved)
            return saved

        return await self._change(save)

    async def drain_node(self, key: NodeKey, *, draining: bool) -> None:
        """Have the containers of a node get nothing new, or get addresses again."""

        async def save(catalogue: CatalogueChange) -> Undone[None] | None:
            _, snapshot = await self._begin(catalogue)
            known = snapshot.nodes.get(key) or Node(cluster=key.cluster, name=key.name)
            if known.draining == draining:
                return Undone(None)
            await catalogue.save(replace(known, draining=draining))
            return None

        await self._change(save)

    async def delete_node(self, key: NodeKey, expected: int | None = None) -> None:
        """Forget a node: its labels, that it joined, what it published, its tokens.

        Raises NotFound, StaleRevision.
        """

        async def delete(catalogue: CatalogueChange) -> None:
            _, snapshot = await self._begin(catalogue)
            tokens = [token for token in snapshot.tokens.values() if token.node_key == key]
            node = snapshot.nodes.get(key)
            if node is not None or not tokens or expected is not None:
                await catalogue.remove(_entry(node, "node", key.name, expected))
            for token in tokens:
                await catalogue.remove(token)
            if node is not None and node.published is not None:
                await catalogue.announce({Announced(key.cluster, AnnouncedKind.NODE, key.name)})

        await self._change(delete)

    async def _edit(self, catalogue: CatalogueChange) -> Editing:
        return Editing(catalogue, *await self._begin(catalogue))


Entry = TypeVar("Entry", Pool, Reservation, Node)


def _entry(entry: Entry | None, what: str, name: str, expected: int | None) -> Entry:
    """An entry that must exist, at the revision that its editor has read."""
    if entry is None:
        raise NotFound(what, name)
    if expected is not None and entry.revision != expected:
        raise StaleRevision(f"{what} {name!r} has changed since you read it: read it again, then change it")
    return entry
