"""Which quotas count the addresses of a namespace. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ipamd.models.pool import Pool
from ipamd.models.quota import Quota, beginning_of, cluster_allowed

KEPT_MATCHES: Final = 50_000
"""So many namespaces are remembered. Whoever makes more of them up is looked up each time."""


class QuotaIndex:
    """The quotas of one revision, found by the name of a namespace and by its beginnings."""

    def __init__(self, quotas: Iterable[Quota] = ()) -> None:
        self._every = sorted(quotas, key=lambda quota: quota.name)
        self._about: dict[tuple[str, str], Quota | None] = {}
        self._by_name: dict[str, list[Quota]] = {}
        self._by_beginning: dict[str, list[Quota]] = {}
        for quota in self._every:
            for pattern in quota.patterns:
                beginning = beginning_of(pattern)
                if beginning is None:
                    self._by_name.setdefault(pattern, []).append(quota)
                else:
                    self._by_beginning.setdefault(beginning, []).append(quota)
        self._matches: dict[tuple[str, str], tuple[Quota, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._every)

    def of(self, cluster: str, namespace: str | None) -> tuple[Quota, ...]:
        """The quotas of a namespace of a cluster, by name; none of a holder without a namespace."""
        if not namespace:
            return ()
        key = cluster, namespace
        found = self._matches.get(key)
        if found is None:
            found = self._looked_up(cluster, namespace)
            if len(self._matches) < KEPT_MATCHES:
                self._matches[key] = found
        return found

    def about(self, pool: Pool, cluster: str) -> Quota | None:
        """A quota that counts addresses of a pool in some namespace of a cluster, None if none does."""
        key = pool.name, cluster
        if key not in self._about:
            counting = (each for each in self._every if each.counts(pool.name, pool.space, pool.family))
            self._about[key] = next(
                (each for each in counting if cluster_allowed(each.clusters, cluster)), None
            )
        return self._about[key]

    def _looked_up(self, cluster: str, namespace: str) -> tuple[Quota, ...]:
        matching = list(self._by_name.get(namespace, ()))
        if self._by_beginning:
            for length in range(len(namespace) + 1):
                matching += self._by_beginning.get(namespace[:length], ())
        allowed = (quota for quota in matching if cluster_allowed(quota.clusters, cluster))
        return tuple(sorted(allowed, key=lambda quota: quota.name))
