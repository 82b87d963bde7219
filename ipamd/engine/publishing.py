"""How a node joins the pod network of its cluster, and leaves it."""

from __future__ import annotations

from ipamd.engine.administration.changes import Administration
from ipamd.engine.administration.pod_networks import PodNetworks
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.allocation.pool_choice import why_not_selected
from ipamd.engine.catalogue import Catalogue, RequestContext
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.inspection.pod_network import AnnouncedNode, NetworkQueries
from ipamd.engine.upkeep import Upkeep
from ipamd.models.allocation import Ending
from ipamd.models.identity import owner_of_node
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Refused, Released
from ipamd.models.pod_network import Published
from ipamd.models.pool import Pool, PoolState
from ipamd.models.request import AllocationRequest, Release

FAMILIES = (4, 6)


class Publishing:
    """Publishes a node together with its own addresses in the pod network."""

    def __init__(
        self,
        networks: PodNetworks,
        administration: Administration,
        allocator: Allocator,
        queries: NetworkQueries,
        upkeep: Upkeep,
        cache: CatalogueCache,
    ) -> None:
        self._networks = networks
        self._administration = administration
        self._allocator = allocator
        self._queries = queries
        self._upkeep = upkeep
        self._cache = cache

    async def publish(self, key: NodeKey, published: Published) -> AnnouncedNode:
        """Publish a node. It gets an address of each family that has a pool, and so its first blocks.

        Raises InvalidValue, NodeNameTaken, NodeAddressTaken, NothingFree, Unavailable.
        """
        contacts = {each: await self._upkeep.contact(each) for each in self._networks.rivals(key, published)}
        await self._networks.publish(key, published, contacts)
        self._upkeep.heard_from(key)
        catalogue = await self._cache.refresh()
        for family in FAMILIES:
            pool = pool_of_nodes(family, key, catalogue)
            if pool is not None:
                owner = owner_of_node(key, family)
                request = AllocationRequest(holder=owner, pool_names=((pool.name,),), node=key)
                outcome = await self._allocator.submit(request)
                if isinstance(outcome, Refused):
                    raise outcome.error
        return await self._queries.node(key)

    async def forget(self, key: NodeKey, expected: int | None, by: str | None) -> None:
        """Forget a node, and free its own addresses. Raises NotFound, StaleRevision, Unavailable."""
        await self._administration.delete_node(key, expected)
        self._upkeep.forget(key)
        await self.withdraw(key, by)

    async def withdraw(self, key: NodeKey, by: str | None) -> int:
        """Free a node's own addresses. Returns how many. Raises Unavailable."""
        freed = 0
        for family in FAMILIES:
            release = Release(digest=owner_of_node(key, family).digest, ending=Ending.ADMIN, by=by)
            outcome = await self._allocator.submit(release)
            if isinstance(outcome, Refused):
                raise outcome.error
            freed += len(outcome.addresses) if isinstance(outcome, Released) else 0
        return freed

    def heard_from(self, key: NodeKey, machine: str | None) -> None:
        """Note that a node follows the changes, unless another machine has its name."""
        node = self._cache.catalogue.snapshot.nodes.get(key)
        if node is not None and node.published is not None and node.published.machine == machine:
            self._upkeep.heard_from(key)


def pool_of_nodes(family: int, key: NodeKey, catalogue: Catalogue) -> Pool | None:
    """The announced pool that gives a node its own address: of highest priority, then by name."""
    context = RequestContext(key.cluster, None, key.name, None)
    fitting = [
        pool
        for pool in catalogue.snapshot.pools_of_nodes
        if pool.family == family
        and pool.prefix_length is None
        and pool.state is PoolState.ACTIVE
        and pool.is_announced_in(key.cluster)
        and why_not_selected(pool, context, catalogue) is None
    ]
    return min(fitting, key=lambda pool: (-pool.priority, pool.name), default=None)
