"""The pod network of a cluster, as it is told to its nodes: whole, or what has changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from ipamd.backends.interface import Ledger, PodNetworkReading
from ipamd.engine.announcements import Announcements
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.turns import Turns
from ipamd.engine.upkeep import Upkeep
from ipamd.models.address import IPAddress, IPNetwork
from ipamd.models.errors import NetworkChangesTooOld, NotFound
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import (
    NO_EPOCH,
    AnnouncedKind,
    NetworkPosition,
    NodeAddress,
    PodNetwork,
    Published,
)
from ipamd.models.pool import Pool

MOST_SHARED: Final = 256
"""How many answers are kept for others who ask the same."""

SHARED_FOR: Final = 10.0
"""Seconds for which nodes that ask for all get the same bytes. Later changes they hear when they follow."""


@dataclass(frozen=True, slots=True)
class AnnouncedNode:
    """A node as the others hear of it: how it is reached, and which addresses are there."""

    name: str
    published: Published
    own: tuple[IPAddress, ...]
    blocks: tuple[IPNetwork, ...]
    borrowed: tuple[IPAddress, ...]
    heard: Instant | None


@dataclass(frozen=True, slots=True)
class _Encoded:
    """All of a pod network as bytes, and when that was begun by the event loop's clock."""

    task: asyncio.Task[bytes]
    since: float

    def is_of_use(self) -> bool:
        """Whether it may be shared: it is young, and did not fail."""
        if asyncio.get_running_loop().time() - self.since > SHARED_FOR:
            return False
        return not self.task.done() or (not self.task.cancelled() and self.task.exception() is None)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkView:
    """A pod network at a position: all of it, or what has changed since another position.

    `settings` and `pools` are None if they have not changed. `removed` are the nodes that have left.
    """

    cluster: str
    position: NetworkPosition
    settings: PodNetwork | None
    pools: tuple[Pool, ...] | None
    nodes: tuple[AnnouncedNode, ...]
    removed: tuple[str, ...]


class NetworkQueries:
    """What nodes and admins ask of pod networks. Each method may raise Unavailable."""

    def __init__(
        self, ledger: Ledger, cache: CatalogueCache, upkeep: Upkeep, announcements: Announcements
    ) -> None:
        self._ledger = ledger
        self._cache = cache
        self._upkeep = upkeep
        self._announcements = announcements
        self._shared: dict[tuple[str, NetworkPosition], asyncio.Task[NetworkView]] = {}
        self._wholes: dict[str, _Encoded] = {}
        self._turns = Turns()

    async def whole(self, cluster: str) -> NetworkView:
        """All of a cluster's pod network."""
        return await self._view(cluster, None)

    async def shared_whole(self, cluster: str, encode: Callable[[NetworkView], bytes]) -> bytes:
        """All of a cluster's pod network, as it was some seconds ago, encoded once for all who ask.

        That is enough for who follows the changes from there. `encode` runs in a thread.
        """
        known = self._wholes.get(cluster)
        if known is None or not known.is_of_use():
            if len(self._wholes) >= MOST_SHARED:
                self._wholes.clear()
            task = asyncio.create_task(self._encoded(cluster, encode))
            known = self._wholes[cluster] = _Encoded(task, asyncio.get_running_loop().time())
        return await asyncio.shield(known.task)

    async def _encoded(self, cluster: str, encode: Callable[[NetworkView], bytes]) -> bytes:
        reading = await self._reading(cluster, None)
        if reading.position.epoch == NO_EPOCH:
            self._wholes.pop(cluster, None)  # nobody can follow from there
        contacts = await self._upkeep.contacts()
        # In a cluster of thousands of nodes this takes a while, and calls must not wait for it.
        return await asyncio.to_thread(lambda: encode(view(reading, cluster, contacts, whole=True)))

    async def changes(self, cluster: str, after: NetworkPosition, seconds: float) -> NetworkView:
        """What has changed since a position; if nothing has, wait for it so long at most.

        All who wait for the same share the answer. Raises NetworkChangesTooOld.
        """
        if not seconds:
            return await self._view(cluster, after)
        if not self._announcements.follows(cluster, after):
            # A position of another database is refused at once. After a start of ipamd all ask this together.
            now = await self._shared_view(cluster, after)
            if now.position != after:
                return now
        await self._announcements.newer(cluster, after, seconds)
        found = await self._shared_view(cluster, after)
        await self._turns.next()
        return found

    async def _shared_view(self, cluster: str, after: NetworkPosition) -> NetworkView:
        key = cluster, after
        shared = self._shared.get(key)
        if shared is None or self._is_outdated(shared, cluster):
            if len(self._shared) >= MOST_SHARED:
                self._shared.clear()
            shared = self._shared[key] = asyncio.create_task(self._view(cluster, after))
        return await asyncio.shield(shared)

    def _is_outdated(self, shared: asyncio.Task[NetworkView], cluster: str) -> bool:
        if not shared.done():
            return False
        if shared.cancelled() or shared.exception() is not None:
            return True
        position = shared.result().position
        # Before this process has looked once, nobody knows what is later.
        return not self._announcements.follows(cluster, position) or self._announcements.is_later(
            cluster, position
        )

    async def members(
        self, keys: Iterable[NodeKey], contacts: Mapping[NodeKey, Instant]
    ) -> Mapping[NodeKey, AnnouncedNode]:
        """Those of some nodes that take part. It is one reading for each cluster."""
        snapshot = self._cache.catalogue.snapshot
        names: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            node = snapshot.nodes.get(key)
            if node is not None and node.published is not None:
                names[key.cluster].append(key.name)
        found: dict[NodeKey, AnnouncedNode] = {}
        for cluster, those in names.items():
            reading = await self._ledger.pod_network(cluster, snapshot, None, only=those)
            nodes = announced_nodes(reading, cluster, those, contacts)
            found |= {NodeKey(cluster, node.name): node for node in nodes}
        return found

    async def member(self, key: NodeKey) -> AnnouncedNode | None:
        """One node, if it takes part."""
        node = self._cache.catalogue.snapshot.nodes.get(key)
        return await self.node(key) if node is not None and node.published is not None else None

    async def node(self, key: NodeKey) -> AnnouncedNode:
        """One node that takes part. Raises NotFound."""
        heard = await self._upkeep.contact(key)
        found = await self.members([key], {key: heard} if heard is not None else {})
        if key in found:
            return found[key]
        raise NotFound("node of the pod network", f"{key.cluster}/{key.name}")

    async def _view(self, cluster: str, after: NetworkPosition | None) -> NetworkView:
        reading = await self._reading(cluster, after)
        return view(reading, cluster, await self._upkeep.contacts(), whole=after is None)

    async def _reading(self, cluster: str, after: NetworkPosition | None) -> PodNetworkReading:
        known = self._cache.catalogue.snapshot
        number = after.number if after is not None else None
        reading = await self._ledger.pod_network(cluster, known, number)
        if after is not None:
            try:
                refuse_too_old(reading, after)
            except NetworkChangesTooOld:
                self._wholes.pop(cluster, None)  # who reads all again must not get the same
                raise
        return reading


def refuse_too_old(reading: PodNetworkReading, after: NetworkPosition) -> None:
    """Raise NetworkChangesTooOld if changes after a position may be missing."""
    position = reading.position
    if after.epoch != position.epoch or not reading.forgotten <= after.number <= position.number:
        raise NetworkChangesTooOld(after.number, position.number)


def view(
    reading: PodNetworkReading, cluster: str, contacts: Mapping[NodeKey, Instant], *, whole: bool
) -> NetworkView:
    """A pod network as it was read."""
    kinds = {each.kind for each in reading.changed}
    snapshot = reading.snapshot
    published = {
        key.name for key, node in snapshot.nodes.items() if key.cluster == cluster and node.published
    }
    changed = {each.name for each in reading.changed if each.kind is AnnouncedKind.NODE}
    # A pool that is announced from now on brings blocks that its nodes have had for long.
    names = published if whole or AnnouncedKind.POOLS in kinds else published & changed
    pools = [pool for pool in snapshot.pools_of_nodes if pool.is_announced_in(cluster)]
    return NetworkView(
        cluster,
        reading.position,
        snapshot.networks.get(cluster, PodNetwork(cluster=cluster))
        if whole or AnnouncedKind.SETTINGS in kinds
        else None,
        tuple(pools) if whole or AnnouncedKind.POOLS in kinds else None,
        tuple(announced_nodes(reading, cluster, sorted(names), contacts)),
        () if whole else tuple(sorted(changed - published)),
    )


def announced_nodes(
    reading: PodNetworkReading, cluster: str, names: Sequence[str], contacts: Mapping[NodeKey, Instant]
) -> list[AnnouncedNode]:
    """Those of these nodes that take part, with their addresses."""
    pools = reading.snapshot.pools
    blocks: dict[str, list[IPNetwork]] = defaultdict(list)
    for node, name, first in reading.blocks:
        pool = pools[name]
        blocks[node].append(ip_network((pool.address_of(first), pool.block_length)))
    own, singles = _by_node(reading.own), _by_node([*reading.singles, *reading.own])
    found = []
    for name in names:
        key = NodeKey(cluster, name)
        known = reading.snapshot.nodes.get(key)
        if known is None or known.published is None:
            continue
        there = blocks.get(name, [])
        borrowed = [each for each in singles.get(name, ()) if not any(each in block for block in there)]
        found.append(
            AnnouncedNode(
                name,
                known.published,
                tuple(sorted(own.get(name, ()), key=_order)),
                tuple(sorted(there, key=lambda block: _order(block.network_address))),
                tuple(sorted(borrowed, key=_order)),
                contacts.get(key),
            )
        )
    return found


def _by_node(addresses: Sequence[NodeAddress]) -> dict[str, list[IPAddress]]:
    found: dict[str, list[IPAddress]] = defaultdict(list)
    for node, _, address in addresses:
        found[node].append(address)
    return found


def _order(address: IPAddress) -> tuple[int, int]:
    return address.version, int(address)
