"""Holds: addresses that are kept for workloads which are still to come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from ipamd.models.address import IPAddress
from ipamd.models.allocation import HOLD_OWNER
from ipamd.models.identity import Owner, digest_of
from ipamd.models.instant import SECOND, Instant
from ipamd.models.patterns import cluster_allowed, covers, widest

LARGEST_HOLD: Final = 4096
"""How many addresses one hold has at most: they are taken in one transaction."""

LONGEST_HOLD: Final = 366 * 86_400
"""How many seconds a hold stands at most. What is to stay longer is a reservation."""

POSITION_BITS: Final = 62


class HoldState(StrEnum):
    """How far a hold has come."""

    FILLING = "filling"  # nothing is taken for it yet, or all of it
    STANDING = "standing"
    ENDING = "ending"  # what is left of it goes back to the pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """So many addresses of a pool for workloads that it matches, for so many seconds.

    `namespaces` and `workloads` are names, or beginnings followed by `*`. Empty `workloads` are all of these
    namespaces, empty `clusters` are all. `since` is when it was made.
    """

    name: str
    size: int
    pool: str
    namespaces: tuple[str, ...]
    workloads: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    since: Instant
    seconds: int
    state: HoldState = HoldState.FILLING
    revision: int = 0

    @property
    def owner(self) -> Owner:
        """Who has its addresses until a workload takes them. Another hold of this name is another one."""
        return _owner(self.name, self.since)

    @property
    def span(self) -> Instant:
        """For how long it stands."""
        return self.seconds * SECOND

    @property
    def patterns(self) -> tuple[str, ...]:
        """The namespaces without those that another one of them covers."""
        return widest(self.namespaces)

    def matches(self, cluster: str, namespace: str, workload: str | None) -> bool:
        """Whether it is for a workload."""
        return (
            cluster_allowed(self.clusters, cluster)
            and any(covers(pattern, namespace) for pattern in self.namespaces)
            and self.takes(workload)
        )

    def takes(self, workload: str | None) -> bool:
        """Whether it is for a workload of its namespaces."""
        return not self.workloads or (
            workload is not None and any(covers(pattern, workload) for pattern in self.workloads)
        )


class HoldUse(NamedTuple):
    """How many addresses a hold has: those that are left, and those that workloads have taken."""

    left: int = 0
    taken: int = 0


@lru_cache(maxsize=4096)
def _owner(name: str, since: Instant) -> Owner:
    return Owner(f"{HOLD_OWNER}:{name}", digest_of(HOLD_OWNER, name, str(since)))


def position_of(address: IPAddress) -> int:
    """The position of an address among those of a hold: the same each time, of IPv4 in their order.

    Those of IPv6 have more bits than a position. So two of one hold have the same with a chance of one in
    2 ** 39 at most; then it is not filled.
    """
    if address.version == 4:
        return int(address)
    return int.from_bytes(blake2b(address.packed, digest_size=8).digest()) >> (64 - POSITION_BITS)
