"""Changes of pod networks: what nodes publish, and the settings of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from ipamd.backends.interface import CatalogueChange, Undone
from ipamd.engine.administration.catalogue_writer import CatalogueWriter
from ipamd.engine.administration.remasking import blocks_of
from ipamd.engine.clock import Reading
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import InvalidValue, NodeAddressTaken, NodeNameTaken, StaleRevision
from ipamd.models.instant import AHEAD, SECOND, Instant
from ipamd.models.node import Node, NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind, PodNetwork, Published

LIVES_FOR: Final = 120 * SECOND
"""A node that was heard from within this time lives: nobody else gets its name or its address."""


class PodNetworks(CatalogueWriter):
    """When a method returns, its change is durable and announced."""

    def rivals(self, key: NodeKey, published: Published) -> list[NodeKey]:
        """The nodes of this name or this address, whose life decides whether it may be published."""
        return [
            other
            for other, node in self._cache.catalogue.snapshot.nodes.items()
            if node.published is not None
            and other.cluster == key.cluster
            and (other.name == key.name or node.published.address == published.address)
        ]

    async def publish(
        self, key: NodeKey, published: Published, contacts: Mapping[NodeKey, Instant | None]
    ) -> None:
        """Publish what a node says of itself. The first of a cluster makes its pod network.

        `contacts` says when its rivals were last heard from; one that is not in it has published just now.
        Raises InvalidValue, NodeNameTaken, NodeAddressTaken. A node that no longer lives, and had the
        address, is withdrawn.
        """
        _refuse_ambiguous(key)
        new = replace(published, at=self._clock())
        if _stands(self._cache.catalogue.snapshot, key, new):
            return

        async def publish(catalogue: CatalogueChange) -> bool | Undone[bool]:
            _, snapshot = await self._begin(catalogue)
            if _stands(snapshot, key, new):
                return Undone(False)
            living = _Living(snapshot, contacts, self._clock.read())
            living.refuse_another_machine(key, new)
            _refuse_overlap(key, new, snapshot)
            announced = {_of(key)}
            for rival in living.without(key, new):
                await catalogue.save(replace(rival, published=None))
                announced.add(_of(rival.key))
            known = snapshot.nodes.get(key) or Node(cluster=key.cluster, name=key.name)
            await catalogue.save(replace(known, published=new))
            if key.cluster not in snapshot.networks:
                await _begin_announcing(key.cluster, catalogue, snapshot)
                await catalogue.save(PodNetwork(cluster=key.cluster))
                announced.add(Announced(key.cluster, AnnouncedKind.SETTINGS))
            await catalogue.announce(announced)
            return True

        await self._change(publish)

    async def edit(
        self, cluster: str, edit: Callable[[PodNetwork], PodNetwork], expected: int | None
    ) -> PodNetwork:
        """Change the settings of a cluster, if they are at revision `expected` (None: at any).

        Raises StaleRevision, InvalidValue, and what `edit` raises.
        """

        async def change(catalogue: CatalogueChange) -> PodNetwork:
            revision, snapshot = await self._begin(catalogue)
            old = snapshot.networks.get(cluster, PodNetwork(cluster=cluster))
            if cluster not in snapshot.networks:
                await _begin_announcing(cluster, catalogue, snapshot)
            if expected is not None and old.revision != expected:
                raise StaleRevision(
                    f"the pod network of cluster {cluster!r} has changed since you read it: read it again, "
                    "then change it"
                )
            new = replace(edit(old), revision=revision)
            _refuse_other_underlay(new, snapshot)
            await catalogue.save(new)
            await catalogue.announce({Announced(cluster, AnnouncedKind.SETTINGS)})
            return new

        return await self._change(change)


class _Living:
    """Which nodes live, by when they were last heard from."""

    def __init__(
        self, snapshot: Snapshot, contacts: Mapping[NodeKey, Instant | None], clock: Reading
    ) -> None:
        self._snapshot = snapshot
        self._contacts = contacts
        self._clock = clock

    def refuse_another_machine(self, key: NodeKey, new: Published) -> None:
        """Raise NodeNameTaken if a machine that lives has published under this name."""
        node = self._snapshot.nodes.get(key)
        known = node.published if node is not None else None
        if known is not None and known.machine != new.machine and self._lives(key, known):
            raise NodeNameTaken(key.cluster, key.name, known.machine, new.machine)

    def without(self, key: NodeKey, new: Published) -> list[Node]:
        """The other nodes that published this address, none of which lives. Raises NodeAddressTaken.

        Another name on the same machine is another node too: several may run on one.
        """
        rivals = []
        for other in self._snapshot.nodes.values():
            known = other.published
            if known is None or other.cluster != key.cluster or other.name == key.name:
                continue
            if known.address == new.address:
                if self._lives(other.key, known):
                    raise NodeAddressTaken(new.address, key.name, other.name)
                rivals.append(other)
        return rivals

    def _lives(self, key: NodeKey, known: Published) -> bool:
        # A clock that was ahead would have a node live that is gone: its contacts are set back.
        published = known.at if known.at <= self._clock.now + AHEAD else 0
        return max(published, self._contacts.get(key) or 0) > self._clock.past(LIVES_FOR)


async def _begin_announcing(cluster: str, catalogue: CatalogueChange, snapshot: Snapshot) -> None:
    """Wait for the batches that have decided to announce nothing, because there was no pod network."""
    for pool in snapshot.pools_of_nodes:
        if pool.is_announced_in(cluster):
            await blocks_of(pool, catalogue)


def _of(key: NodeKey) -> Announced:
    return Announced(key.cluster, AnnouncedKind.NODE, key.name)


def _stands(snapshot: Snapshot, key: NodeKey, new: Published) -> bool:
    """Whether a node has published the same before."""
    node = snapshot.nodes.get(key)
    known = node.published if node is not None else None
    return known is not None and replace(known, at=new.at) == new


def _refuse_ambiguous(key: NodeKey) -> None:
    """The owner of a node's own address is named `node:CLUSTER/NAME`."""
    if "/" in key.cluster:
        raise InvalidValue("cluster", f"{key.cluster!r} has a slash: a cluster with a pod network has none")


def _refuse_overlap(key: NodeKey, new: Published, snapshot: Snapshot) -> None:
    """Raise InvalidValue if a node's own network and the pods' cannot be told apart."""
    network = snapshot.networks.get(key.cluster, PodNetwork(cluster=key.cluster))
    if new.address.version != network.underlay.family:
        raise InvalidValue(
            "address",
            f"{new.address} is IPv{new.address.version}, and the nodes of cluster {key.cluster} reach each "
            f"other by {network.underlay.value}: publish such an address, or change `underlay`",
        )
    for pool in snapshot.pools_of_nodes:
        if not pool.is_announced_in(key.cluster):
            continue
        if new.address in pool.subnet:
            raise InvalidValue(
                "address",
                f"node {key.name} has {new.address}, which is in pool {pool.name} ({pool.subnet}): pods and "
                "nodes need networks of their own",
            )
        for prefix in new.prefixes:
            if prefix.version == pool.family and prefix.overlaps(pool.subnet):
                raise InvalidValue(
                    "prefixes",
                    f"{prefix} of node {key.name} overlaps pool {pool.name} ({pool.subnet}): pods and nodes "
                    "need networks of their own",
                )


def _refuse_other_underlay(new: PodNetwork, snapshot: Snapshot) -> None:
    """Raise InvalidValue if nodes are published by addresses of the other family."""
    for node in snapshot.nodes.values():
        known = node.published if node.cluster == new.cluster else None
        if known is not None and known.address.version != new.underlay.family:
            raise InvalidValue(
                "underlay",
                f"node {node.name} is published as {known.address}, which is not {new.underlay.value}: "
                "change it before nodes join, or forget them first",
            )
