"""Which address a workload had, for pools in which it gets the same again."""

from __future__ import annotations

from msgspec import Struct

from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.identity import Digest, Identity, digest_of
from ipamd.models.instant import AHEAD, Instant


class FormerAddress(Struct, frozen=True):
    """The address that an interface of a workload had last, in a sticky pool.

    `position` is that of the address in its answer. It was held from `since` until `freed`. `until` is when
    it need no longer be remembered. It is still the workload's if its block says that it is free since
    `freed`: otherwise somebody else has had it.
    """

    workload: Digest
    position: int
    pool: str
    address: IPAddress
    since: Instant
    freed: Instant
    until: Instant

    def is_kept_over(self, known: FormerAddress) -> bool:
        """Whether this one is kept of two: an older container of a workload may end after a newer one.

        One that began ahead of the present was written under a clock that was ahead.
        """
        return self.since >= known.since or known.since > self.freed + AHEAD


def workload_digest(holder: Identity, namespace: str | None, name: str) -> Digest:
    """What identifies one interface of a workload on whichever node it runs, in whichever container."""
    return digest_of(holder.cluster, namespace or "", name, holder.network, holder.ifname)


def workload_of(row: Allocation) -> Digest | None:
    """The digest of the workload that an allocation is for, None if its runtime named none."""
    if not isinstance(row.holder, Identity) or row.workload.name is None:
        return None
    return workload_digest(row.holder, row.workload.namespace, row.workload.name)
