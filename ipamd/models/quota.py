"""Quotas: how many addresses namespaces may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ipamd.models.address import prefix_size
from ipamd.models.allocation import Allocation
from ipamd.models.identity import Digest, digest_of
from ipamd.models.patterns import ANY_ENDING, cluster_allowed, covers, widest


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """At most `limit` addresses of each family for each namespace that it matches.

    `namespaces` are names, or beginnings followed by `*`. Empty `clusters` are all. `family`, `pool` and
    `space` restrict what is counted if they are given. With `shared` all that it matches have one limit
    together. While it is `counting`, it does not know yet what is used, and refuses nobody.
    """

    name: str
    limit: int
    namespaces: tuple[str, ...]
    clusters: tuple[str, ...] = ()
    family: int | None = None
    pool: str | None = None
    space: str | None = None
    shared: bool = False
    counting: bool = True
    revision: int = 0

    @property
    def scope(self) -> tuple[object, ...]:
        """All that says what is counted: if it changes, what is used is to be counted anew."""
        return self.namespaces, self.clusters, self.family, self.pool, self.space, self.shared

    @property
    def matches_every_namespace(self) -> bool:
        return ANY_ENDING in self.namespaces

    @property
    def patterns(self) -> tuple[str, ...]:
        """The namespaces without those that another one of them covers: no two match the same name."""
        return widest(self.namespaces)

    def matches(self, cluster: str, namespace: str) -> bool:
        """Whether it counts addresses of a namespace."""
        return cluster_allowed(self.clusters, cluster) and any(
            covers(pattern, namespace) for pattern in self.namespaces
        )

    def counts(self, pool: str, space: str, family: int) -> bool:
        """Whether it counts addresses of a pool."""
        return self.family in (None, family) and self.pool in (None, pool) and self.space in (None, space)

    def tally(self, cluster: str, namespace: str, family: int) -> Tally:
        """Where it counts an address that it matches."""
        return Tally(self.name, family, *(("", "") if self.shared else (cluster, namespace)))


class Tally(NamedTuple):
    """What one limit counts: the addresses of a family that a namespace has, or all that share a quota.

    `cluster` and `namespace` are empty if they share it; `cluster` also if the holder is in none.
    """

    quota: str
    family: int
    cluster: str
    namespace: str

    @property
    def digest(self) -> Digest:
        return _digest(self)

    @property
    def whose(self) -> str:
        """Whose addresses it counts, as a sentence names them."""
        if not self.namespace:
            return "the namespaces that share it"
        return f"namespace {self.namespace}" + (f" of cluster {self.cluster}" if self.cluster else "")


class TallyUse(NamedTuple):
    """A tally, and how many addresses it counts."""

    tally: Tally
    used: int


@lru_cache(maxsize=4096)
def _digest(tally: Tally) -> Digest:
    return digest_of(tally.quota, str(tally.family), tally.cluster, tally.namespace)


def cluster_of(row: Allocation) -> str:
    """The cluster of an allocation as quotas read it: empty if its holder is in none."""
    return row.holder.cluster or ""


def tally_of(quota: Quota, row: Allocation) -> Tally | None:
    """Where a quota counts an allocation, None if it does not: of an owner's address it counts the owner."""
    namespace, cluster = row.workload.namespace, cluster_of(row)
    if row.slot or not namespace or not quota.matches(cluster, namespace):
        return None
    if not quota.counts(row.pool, row.space, row.address.version):
        return None
    return quota.tally(cluster, namespace, row.address.version)


def counted(quota: Quota, rows: Iterable[Allocation]) -> dict[Tally, int]:
    """How many of some live allocations a quota counts, by tally."""
    found: dict[Tally, int] = {}
    for row in rows:
        tally = tally_of(quota, row)
        if tally is not None:
            found[tally] = found.get(tally, 0) + quota_weight(row.address.version, row.prefix_length)
    return found


def quota_weight(family: int, prefix_length: int | None) -> int:
    """How much a quota counts an allocation: an IPv4 prefix as its addresses, an IPv6 one as one.

    IPv6 addresses are never scarce, and a prefix has more of them than a database can add up.
    """
    return 1 if prefix_length is None or family == 6 else prefix_size(family, prefix_length)


def fullest(tallies: Mapping[Tally, int], quota: str) -> list[TallyUse]:
    """The tallies of a quota, those that count most first."""
    uses = (TallyUse(tally, used) for tally, used in tallies.items() if tally.quota == quota)
    return sorted(uses, key=lambda use: (-use.used, use.tally))


def most_used(tallies: Mapping[Tally, int]) -> dict[str, int]:
    """What the fullest tally of each quota counts."""
    found: dict[str, int] = {}
    for tally, used in tallies.items():
        found[tally.quota] = max(found.get(tally.quota, 0), used)
    return found
