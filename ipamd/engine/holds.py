"""Which holds are for a workload, and which are of a pool. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ipamd.engine.namespaces import NamespaceIndex
from ipamd.models.hold import Hold, HoldState
from ipamd.models.patterns import cluster_allowed


class HoldIndex(NamespaceIndex[Hold]):
    """The holds of one revision. Only those that stand are for workloads."""

    def __init__(self, holds: Iterable[Hold] = ()) -> None:
        every = list(holds)
        super().__init__(each for each in every if each.state is HoldState.STANDING)
        self._by_pool: dict[str, list[Hold]] = {}
        for hold in sorted(every, key=lambda each: each.name):
            self._by_pool.setdefault(hold.pool, []).append(hold)

    def __bool__(self) -> bool:
        return bool(self._by_pool)

    def of_pool(self, pool: str) -> Sequence[Hold]:
        """The holds of a pool by name, also those that do not stand yet, or end."""
        return self._by_pool.get(pool, ())

    def about(self, pool: str, cluster: str) -> Hold | None:
        """A hold of a pool for workloads of a cluster, None if there is none."""
        allowed = (each for each in self.of_pool(pool) if cluster_allowed(each.clusters, cluster))
        return next(allowed, None)

    def for_workload(self, cluster: str, namespace: str | None, workload: str | None) -> tuple[Hold, ...]:
        """The holds for a workload, in the order in which they end."""
        matching = (hold for hold in self.of(cluster, namespace) if hold.takes(workload))
        return tuple(sorted(matching, key=lambda hold: (hold.since + hold.span, hold.name)))
