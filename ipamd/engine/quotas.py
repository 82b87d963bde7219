"""Which quotas count the addresses of a namespace. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ipamd.engine.namespaces import NamespaceIndex
from ipamd.models.patterns import cluster_allowed
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota


class QuotaIndex(NamespaceIndex[Quota]):
    """The quotas of one revision."""

    def __init__(self, quotas: Iterable[Quota] = ()) -> None:
        super().__init__(quotas)
        self._about: dict[tuple[str, str], Quota | None] = {}

    def about(self, pool: Pool, cluster: str) -> Quota | None:
        """A quota that counts addresses of a pool in some namespace of a cluster, None if none does."""
        key = pool.name, cluster
        if key not in self._about:
            counting = (each for each in self._every if each.counts(pool.name, pool.space, pool.family))
            self._about[key] = next(
                (each for each in counting if cluster_allowed(each.clusters, cluster)), None
            )
        return self._about[key]
