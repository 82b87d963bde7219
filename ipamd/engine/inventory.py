"""What a cluster's orchestrator says of its nodes: which there are, and what becomes of those that are gone.

An inventory is whole: a node that it does not name is gone, if an earlier one has named it. So it does not
matter whether one is lost, doubled or late, and nodes that the orchestrator never had are left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

import structlog

from ipamd.backends.interface import Backend, CatalogueChange
from ipamd.engine.administration.catalogue_writer import CatalogueWriter
from ipamd.engine.allocation.collection import Eviction
from ipamd.engine.announcements import Announcements
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock, Reading
from ipamd.engine.removal import Removal
from ipamd.engine.upkeep import Upkeep
from ipamd.models.errors import NodeAlive, NodeMayGive, NotFound
from ipamd.models.instant import SECOND, Instant, rfc3339
from ipamd.models.node import Node, NodeKey
from ipamd.models.query import ContactQuery

MOST_AT_ONCE: Final = 16
"""How many nodes one inventory removes at most: whoever sends it waits for the answer."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The nodes of a cluster, all of them.

    A node that is gone, and was not heard from, for `remove_after` seconds is removed; None removes nobody.
    `by` says who says so.
    """

    cluster: str
    nodes: Set[str]
    remove_after: int | None
    by: str | None


@dataclass(frozen=True, slots=True)
class Taken:
    """Which nodes are gone, which were removed, and whether so many are gone that an admin must look."""

    gone: Sequence[Node]
    removed: Sequence[str]
    too_many: bool


@dataclass(frozen=True, slots=True)
class GoneNodes:
    """How many nodes are gone, and how many of them wait for an admin."""

    gone: int = 0
    waiting: int = 0


class Inventories(CatalogueWriter):
    """The entrance for inventories."""

    def __init__(
        self,
        backend: Backend,
        cache: CatalogueCache,
        announcements: Announcements,
        clock: Clock,
        removal: Removal,
        upkeep: Upkeep,
    ) -> None:
        super().__init__(backend, cache, announcements, clock)
        self._removal = removal
        self._upkeep = upkeep

    async def take(self, inventory: Inventory) -> Taken:
        """Note which nodes there are, and remove those gone for long. Raises Unavailable, InDoubt."""
        await self._note(inventory)
        nodes = self._of(inventory.cluster)
        gone = [node for node in nodes if node.gone_since is not None]
        too_many = is_too_many(nodes)
        if inventory.remove_after is None or not gone:
            return Taken(gone, (), too_many)
        if too_many:
            log.error(
                "inventory",
                outcome="too many gone",
                cluster=inventory.cluster,
                gone=len(gone),
                todo="see that they are gone, then run `ipamctl node remove NAME --why REASON` for each",
            )
            return Taken(gone, (), too_many)
        contacts = await self._upkeep.contacts(ContactQuery(cluster=inventory.cluster))
        ready = due(gone, contacts, self._clock.read(), inventory.remove_after * SECOND)
        removed = [node.name for node in ready[:MOST_AT_ONCE] if await self._remove(node, inventory.by)]
        return Taken([node for node in gone if node.name not in removed], removed, too_many)

    def count(self) -> GoneNodes:
        """How many nodes are gone, over all clusters."""
        clusters: dict[str, list[Node]] = defaultdict(list)
        for node in self._cache.catalogue.snapshot.nodes.values():
            if node.listed:
                clusters[node.cluster].append(node)
        gone = {
            cluster: sum(node.gone_since is not None for node in nodes) for cluster, nodes in clusters.items()
        }
        waiting = sum(gone[cluster] for cluster, nodes in clusters.items() if is_too_many(nodes))
        return GoneNodes(sum(gone.values()), waiting)

    def _of(self, cluster: str) -> list[Node]:
        return [node for node in self._cache.catalogue.snapshot.nodes.values() if node.cluster == cluster]

    async def _note(self, inventory: Inventory) -> None:
        await self._cache.refresh()
        if not changed(self._of(inventory.cluster), inventory.nodes, self._clock()):
            return

        async def change(catalogue: CatalogueChange) -> list[Node]:
            _, snapshot = await self._begin(catalogue)
            known = [node for node in snapshot.nodes.values() if node.cluster == inventory.cluster]
            differing = changed(known, inventory.nodes, self._clock())
            for node in differing:
                await catalogue.save(node)
            return differing

        for node in await self._change(change):
            if node.gone_since is not None:
                log.warning("inventory", outcome="gone", cluster=node.cluster, node=node.name)

    async def _remove(self, node: Node, by: str | None) -> bool:
        """Remove a node, unless it may live after all."""
        assert node.gone_since is not None  # only what is gone is removed
        why = f"the cluster has not had it since {rfc3339(node.gone_since)}"
        try:
            removed = await self._removal.remove(
                Eviction(node=node.key, reason=why, by=by), even_if_alive=False
            )
        except (NodeAlive, NodeMayGive) as error:
            log.info("inventory", outcome="not removed yet", node=node.name, why=str(error))
            return False
        except NotFound:
            return False  # another replica has removed it
        log.warning(
            "inventory", outcome="removed", cluster=node.cluster, node=node.name, addresses=removed.released
        )
        return True


def changed(nodes: Iterable[Node], named: Set[str], now: Instant) -> list[Node]:
    """Those of a cluster's nodes of which an inventory says something new, as they are then. Pure."""
    found = []
    for node in nodes:
        if node.name in named:
            then = replace(node, listed=True, gone_since=None)
        elif node.listed and node.gone_since is None:
            then = replace(node, gone_since=now)
        else:
            continue
        if then != node:
            found.append(then)
    return found


def is_too_many(nodes: Iterable[Node]) -> bool:
    """Whether more than half of a cluster's nodes are gone: then its inventory may be wrong. Pure."""
    listed = [node for node in nodes if node.listed]
    return 2 * sum(node.gone_since is not None for node in listed) > len(listed)


def due(
    gone: Iterable[Node], contacts: Mapping[NodeKey, Instant], clock: Reading, after: Instant
) -> list[Node]:
    """The nodes that were gone for so long, and not heard from all that time. Pure."""
    before = clock.past(after)
    return [
        node
        for node in gone
        if node.gone_since is not None and max(node.gone_since, contacts.get(node.key, 0)) <= before
    ]
