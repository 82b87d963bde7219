"""Which seats a node may have: from which pools, and whether one that it has still stands. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ipamd.engine.allocation.pool_choice import alternatives, why_not_selected
from ipamd.engine.catalogue import Catalogue, RequestContext
from ipamd.models.allocation import Allocation
from ipamd.models.errors import DomainError
from ipamd.models.node import NodeKey
from ipamd.models.pool import Pool, PoolState
from ipamd.models.request import PoolNames

SCARCE: Final = 10
"""If a pool has less than one in so many addresses free, none is leased, and free seats are recalled."""


def why_not_leased(pool_names: PoolNames, network: str, node: NodeKey, catalogue: Catalogue) -> str | None:
    """Why no seat is granted for a configuration, as a sentence; None if its pools allow it."""
    if node in catalogue.draining:
        return f"node {node.name} is draining"
    context = RequestContext(node.cluster, network, node.name, None)
    for pool in _for_some_namespaces(pool_names, context, catalogue):
        return f"pool {pool.name} asks for the namespace of each pod"
    try:
        chosen = alternatives(pool_names, context, catalogue)
    except DomainError as error:
        return str(error)
    if not chosen:
        return "no pool serves this network on this node"
    for pool in (pool for pools in chosen for pool in pools):
        own = _why_pool_leases_nothing(pool, node, catalogue)
        if own is not None:
            return own
        for reservation in catalogue.reservations_in(pool):
            if reservation.name is not None:
                return f"a pod may have reservation {reservation.id} in pool {pool.name}"
    for pools in chosen:
        if all(pool.state is PoolState.DRAINING for pool in pools):
            return f"pool {pools[0].name} is draining"
    return None


def why_recalled(
    rows: Sequence[Allocation],
    pool_names: PoolNames | None,
    network: str,
    node: NodeKey,
    catalogue: Catalogue,
) -> str | None:
    """Why a seat does not stand any more, as a sentence; None if it does.

    `pool_names` are those of its configuration, None if the node does not say what they are.
    """
    if node in catalogue.draining:
        return f"node {node.name} is draining"
    if pool_names is not None:
        why = why_not_leased(pool_names, network, node, catalogue)
        if why is not None:
            return why
        allowed = {pool.name for pool in pools_for(pool_names, network, node, catalogue)}
    for row in rows:
        pool = catalogue.pools.get(row.pool)
        if pool is None or (pool_names is not None and pool.name not in allowed):
            return f"pool {row.pool} does not serve this network on this node"
        own = _why_pool_leases_nothing(pool, node, catalogue)
        if own is not None:
            return own
        if pool.state is PoolState.DRAINING:
            return f"pool {pool.name} is draining"
        mask = catalogue.mask(pool)
        if mask.reservation_of(row.address) is not None:
            return f"{row.address} is reserved"
        out = mask.why_not(row.address)
        if out is not None:
            return f"{row.address}: {out}"
    return None


def _why_pool_leases_nothing(pool: Pool, node: NodeKey, catalogue: Catalogue) -> str | None:
    """Why no address of a pool may be held in advance, whichever it is."""
    if pool.lease == 0:
        return f"pool {pool.name} leases nothing (its lease is 0)"
    if pool.sticky:
        return f"pool {pool.name} is sticky: each address of it may be kept for a workload"
    hold = catalogue.holds.about(pool.name, node.cluster)
    if hold is not None:
        return f"hold {hold.name} keeps addresses of pool {pool.name} for some workloads"
    quota = catalogue.quotas.about(pool, node.cluster)
    return None if quota is None else f"quota {quota.name} counts who has addresses of pool {pool.name}"


def pools_for(pool_names: PoolNames, network: str, node: NodeKey, catalogue: Catalogue) -> list[Pool]:
    """The pools of which a configuration may get addresses, if it may get any."""
    context = RequestContext(node.cluster, network, node.name, None)
    return [pool for pools in alternatives(pool_names, context, catalogue) for pool in pools]


def _for_some_namespaces(
    pool_names: PoolNames, context: RequestContext, catalogue: Catalogue
) -> Iterator[Pool]:
    """The pools that would serve some pods of a configuration, by their namespaces."""
    if pool_names:
        names = dict.fromkeys(name for slot in pool_names for name in slot)
        candidates = [catalogue.pools[name] for name in names if name in catalogue.pools]
    else:
        unasked = (pool for pool in catalogue.pools.values() if pool.auto_assign)
        candidates = [pool for pool in unasked if pool.prefix_length is None]
    for pool in candidates:
        for namespace in pool.selectors.namespaces[:1]:
            if why_not_selected(pool, context._replace(namespace=namespace), catalogue) is None:
                yield pool
