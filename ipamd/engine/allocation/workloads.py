"""Frees all that a workload's containers hold, over networks and interfaces, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ipamd.backends.interface import Ledger
from ipamd.engine.allocation.allocator import Allocator
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.errors import NotFound, SeveralWorkloads
from ipamd.models.identity import Identity
from ipamd.models.outcome import Refused, Released
from ipamd.models.query import AllocationQuery
from ipamd.models.request import Release

PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadRelease:
    """Whose addresses are released: those of a pod by namespace and name, or of one of its lives by UID."""

    cluster: str | None
    namespace: str
    name: str
    uid: str | None
    reason: str | None
    by: str | None


class Workloads:
    """What containers of workloads hold."""

    def __init__(self, allocator: Allocator, ledger: Ledger) -> None:
        self._allocator = allocator
        self._ledger = ledger

    async def release(self, wanted: WorkloadRelease) -> Released:
        """Release all of it in one transaction.

        Raises NotFound, SeveralWorkloads if the name is of several pods and no UID is given, Unavailable.
        """
        rows = [row for row in await self._rows(wanted) if wanted.uid in (None, row.workload.uid)]
        if not rows:
            raise NotFound("allocation of workload", f"{wanted.namespace}/{wanted.name}")
        lives = {_life(row) for row in rows}
        if len(lives) > 1:
            raise SeveralWorkloads(f"{wanted.namespace}/{wanted.name}", sorted(lives))
        digests = dict.fromkeys(row.digest for row in rows)
        outcomes = await self._allocator.release_together(
            [
                Release(digest=digest, ending=Ending.ADMIN, by=wanted.by, reason=wanted.reason)
                for digest in digests
            ]
        )
        freed: list[IPAddress] = []
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                raise outcome.error
            if isinstance(outcome, Released):
                freed += outcome.addresses
        return Released(tuple(freed))

    async def _rows(self, wanted: WorkloadRelease) -> Sequence[Allocation]:
        query = AllocationQuery(cluster=wanted.cluster, namespace=wanted.namespace, name=wanted.name)
        found: list[Allocation] = []
        after: int | None = None
        while page := await self._ledger.page(query, after, PAGE):
            after = page[-1].id
            found += [row for row in page if isinstance(row.holder, Identity)]
        return found


def _life(row: Allocation) -> str:
    """One life of a pod: its cluster, and its UID if the runtime told it."""
    cluster = row.holder.cluster if isinstance(row.holder, Identity) else ""
    return f"{row.workload.uid or 'without UID'} of cluster {cluster}"
