"""Which pools are for somebody, as named or by selectors, and why the others are not. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ipamd.engine.allocation.address_request import Alternatives
from ipamd.engine.catalogue import KEPT_CHOICES, Catalogue, RequestContext
from ipamd.models.errors import InvalidValue, NotAllowed, PoolUnknown
from ipamd.models.identity import Identity
from ipamd.models.node import NodeKey, node_name
from ipamd.models.pool import Pool
from ipamd.models.request import AllocationRequest, PoolNames

MOST_NAMED: Final = 8
"""How many pools, or values of a selector, one sentence names."""


def context_of(request: AllocationRequest) -> RequestContext:
    """What selectors may know of who asks."""
    holder, node, namespace = request.holder, request.node, request.workload.namespace
    if request.seat is not None:
        cluster, name = request.seat.seat.node
        return RequestContext(cluster, request.seat.network, name, None)
    if isinstance(holder, Identity):
        return RequestContext(holder.cluster, holder.network, holder.node, namespace)
    return RequestContext(
        node.cluster if node else holder.cluster, None, node.name if node else None, namespace
    )


def alternatives(
    pool_names: PoolNames, context: RequestContext, catalogue: Catalogue
) -> tuple[Alternatives, ...]:
    """The pools of each address: as named, else by selectors, one address for each family that has a pool."""
    question = pool_names, context
    chosen = catalogue.choices.get(question)
    if chosen is None:
        if pool_names:
            chosen = tuple(named(slot, context, catalogue) for slot in pool_names)
        else:
            chosen = selected(context, catalogue, prefixes=False)
        if len(catalogue.choices) < KEPT_CHOICES:
            catalogue.choices[question] = chosen
    return chosen


def why_not_selected(pool: Pool, context: RequestContext, catalogue: Catalogue) -> str | None:
    """Which selector of a pool keeps somebody out, as the end of a sentence; None when all match."""
    selectors = pool.selectors
    lists = (
        ("cluster", context.cluster, selectors.clusters),
        ("network", context.network, selectors.networks),
        ("node", context.node, tuple(map(node_name, selectors.nodes))),
        ("namespace", context.namespace, selectors.namespaces),
    )
    for what, value, allowed in lists:
        if allowed and value not in allowed:
            not_this = f"not for {value}" if value else f"but this request names no {what}"
            return f"pool {pool.name} is for {what} {_either(allowed)}, {not_this}"
    if selectors.node_labels:
        labels = catalogue.labels(NodeKey(context.cluster or "", context.node or ""))
        for key, value in selectors.node_labels.items():
            if labels.get(key) != value:
                has = f"{key}={labels[key]}" if key in labels else f"no label {key}"
                return (
                    f"pool {pool.name} is for nodes with the label {key}={value}, "
                    f"but node {context.node or 'none'} has {has}"
                )
    return None


def why_not_unasked(pool: Pool, context: RequestContext, catalogue: Catalogue) -> str | None:
    """Why a pool does not serve somebody who names no pool; None when it does."""
    why = why_not_selected(pool, context, catalogue)
    if why is None and pool.prefix_length is not None:
        return no_addresses(pool)
    if why is None and not pool.auto_assign:
        return f"pool {pool.name} serves only requests that name it (its auto_assign is false)"
    return why


def no_addresses(pool: Pool) -> str:
    """That a pool gives prefixes only, as a sentence."""
    return (
        f"pool {pool.name} gives prefixes of /{pool.given_length}, and no addresses: ask for a prefix "
        "(`prefix_length`, or the annotation `ipamd.io/prefix`)"
    )


def named(
    slot: tuple[str, ...], context: RequestContext, catalogue: Catalogue, *, prefix: bool = False
) -> Alternatives:
    """The pools of these that serve somebody; those of prefixes only for a `prefix`."""
    pools: list[Pool] = []
    refusals: list[str] = []
    first: Pool | None = None
    for name in slot:
        pool = catalogue.pools.get(name)
        if pool is None:
            raise PoolUnknown(name)
        first = first or pool
        if pool.family != first.family:
            raise _mixed(first, pool)
        refusal = why_not_selected(pool, context, catalogue)
        if refusal is None and pool.prefix_length is not None and not prefix:
            refusal = no_addresses(pool)
        if refusal is None:
            pools.append(pool)
        else:
            refusals.append(refusal)
    if not pools:
        raise NotAllowed(listed(refusals))
    return tuple(pools)


def _mixed(one: Pool, other: Pool) -> InvalidValue:
    """Alternatives are for one address: whoever names pools of two families wants an address of each."""
    return InvalidValue(
        "pools",
        f"{one.name} (IPv{one.family}) and {other.name} (IPv{other.family}) cannot be alternatives of one "
        f'address: for an address of each write [["{one.name}"], ["{other.name}"]]',
    )


def selected(context: RequestContext, catalogue: Catalogue, *, prefixes: bool) -> tuple[Alternatives, ...]:
    """The pools that selectors choose, by family: those of `prefixes`, or of addresses."""
    matching = [
        pool
        for pool in catalogue.pools.values()
        if pool.auto_assign
        and (pool.prefix_length is not None) == prefixes
        and why_not_selected(pool, context, catalogue) is None
    ]
    matching.sort(key=lambda pool: (-pool.priority, pool.name))
    families = (tuple(pool for pool in matching if pool.family == family) for family in (4, 6))
    return tuple(pools for pools in families if pools)


def listed(sentences: Iterable[str], of: int | None = None) -> str:
    """Sentences as one, no more than people read; `of` is how many there are if not all are given."""
    every = list(sentences)
    more = (len(every) if of is None else of) - MOST_NAMED
    return "; ".join(every[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _either(values: tuple[str, ...]) -> str:
    more = len(values) - MOST_NAMED
    return " or ".join((*values[:MOST_NAMED], *([f"one of {more} more"] if more > 0 else [])))
