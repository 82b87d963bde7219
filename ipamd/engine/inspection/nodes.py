"""Nodes as people see them: whether they are silent, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ipamd.backends.interface import Ledger
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.upkeep import Upkeep
from ipamd.models.errors import InvalidValue
from ipamd.models.holding import COUNTED_OF_EACH, COUNTED_OF_ONE, NOTHING, NodeHolding
from ipamd.models.instant import SECOND, Instant
from ipamd.models.limits import LONGEST_NAME
from ipamd.models.node import NodeKey, is_node_name

SILENT: Final = 300 * SECOND
"""An agent reports once a minute, and replicas write down twice a minute who called: so four reports are
missing, and no lost packet or restart of an agent looks like it."""


class NodeStanding(NamedTuple):
    """When a node was last heard from, whether it is silent (None: it has no agent), and what it holds."""

    heard: Instant | None
    silent: bool | None
    holding: NodeHolding


class SilentNodes(NamedTuple):
    """How many nodes are silent, and what they hold in all: of each `COUNTED_OF_EACH` addresses at most."""

    nodes: int = 0
    addresses: int = 0
    seats: int = 0
    blocks: int = 0


class NodeQueries:
    """What people ask of nodes. Each method may raise Unavailable."""

    def __init__(self, ledger: Ledger, cache: CatalogueCache, upkeep: Upkeep, clock: Clock) -> None:
        self._ledger = ledger
        self._cache = cache
        self._upkeep = upkeep
        self._clock = clock

    async def standing(self, node: NodeKey) -> NodeStanding:
        """One node."""
        contact = await self._upkeep.contact(node)
        contacts = {} if contact is None else {node: contact}
        return (await self.standings([node], contacts, COUNTED_OF_ONE))[node]

    async def standings(
        self, nodes: Sequence[NodeKey], contacts: Mapping[NodeKey, Instant], most: int = COUNTED_OF_EACH
    ) -> Mapping[NodeKey, NodeStanding]:
        """Some nodes, with the contacts that are known of them; `most` addresses of each are counted."""
        with_agent = await self._with_agent(nodes)
        silent_since = self._clock() - SILENT
        holdings = await self._ledger.holdings(nodes, self._pools_of_blocks(), most)
        return {
            node: NodeStanding(
                contacts.get(node),
                contacts.get(node, 0) <= silent_since if node in with_agent else None,
                holdings.get(node, NOTHING),
            )
            for node in nodes
        }

    async def refuse_unknown_names(self, field: str, nodes: Iterable[NodeKey]) -> None:
        """Raise InvalidValue for a name under which no plugin calls, unless there is a node that has it."""
        for node in nodes:
            if is_node_name(node.name) or node in self._cache.catalogue.snapshot.nodes:
                continue
            standing = await self.standing(node)
            if standing.heard is None and standing.holding == NOTHING:
                raise InvalidValue(
                    field,
                    f"{node.name!r} is no name of a node: write {LONGEST_NAME} bytes at most, without blanks",
                )

    async def silent(self) -> SilentNodes:
        """The nodes that were not heard from, and what they hold."""
        silent_since = self._clock() - SILENT
        heard = await self._upkeep.contacts()
        quiet = [node for node, contact in heard.items() if contact <= silent_since]
        with_agent = await self._with_agent(quiet)
        silent = [node for node in quiet if node in with_agent]
        holdings = (
            await self._ledger.holdings(silent, self._pools_of_blocks(), COUNTED_OF_EACH) if silent else {}
        )
        return SilentNodes(
            len(silent),
            sum(each.addresses for each in holdings.values()),
            sum(each.seats for each in holdings.values()),
            sum(sum(each.blocks.values()) for each in holdings.values()),
        )

    async def _with_agent(self, nodes: Sequence[NodeKey]) -> set[NodeKey]:
        """Those nodes that have an agent: without one a node calls only if a pod begins or ends."""
        known = self._cache.catalogue.snapshot.nodes
        published = {node for node in nodes if node in known and known[node].published is not None}
        others = [node for node in nodes if node not in published]
        if not others:
            return published
        one = others[0] if len(others) == 1 else None
        spoken = {census.node for census in await self._ledger.censuses(one) if census.machine}
        leased = {lease.node for lease in await self._ledger.leases(one) if lease.until}
        return published | ((spoken | leased) & set(nodes))

    def _pools_of_blocks(self) -> list[str]:
        """The pools in which blocks belong to nodes."""
        return [pool.name for pool in self._cache.catalogue.snapshot.pools_of_nodes]
