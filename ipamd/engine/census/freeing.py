"""Frees what is dead on nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.census.spoken import Spoken
from ipamd.engine.measures import Measures
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.outcome import Refused, Released
from ipamd.models.request import Release

AT_ONCE: Final = 256
"""How many releases of one census wait in the queue: others have calls too."""

log = structlog.get_logger()


class Freeing:
    """Submits the releases of what is dead, beside the calls of others."""

    def __init__(self, allocator: Allocator, measures: Measures) -> None:
        self._allocator = allocator
        self._measures = measures

    async def free(self, spoken: Spoken, rows: Sequence[Allocation], why: str, cause: str) -> int:
        """Free rows that a node has said are dead. Returns how many addresses. Raises DomainError."""
        freed = 0
        for first in range(0, len(rows), AT_ONCE):
            releases = [
                (
                    Release(
                        digest=row.digest,
                        node=spoken.node,
                        issued=spoken.issued,
                        ending=Ending.DEAD,
                        allocation=row.stored_id,
                        generation=row.generation,
                        reason=why,
                    ),
                    row,
                )
                for row in rows[first : first + AT_ONCE]
            ]
            done = await asyncio.gather(*(self.release(release, row, cause) for release, row in releases))
            freed += sum(done)
        return freed

    async def release(self, release: Release, row: Allocation, cause: str) -> int:
        """Free one row, and count it under its cause; how many addresses."""
        outcome = await self._allocator.submit(release)
        if isinstance(outcome, Refused):
            raise outcome.error
        freed = len(outcome.addresses) if isinstance(outcome, Released) else 0
        if freed:
            self._measures.dead[cause] += freed
            log.info(
                "release",
                outcome="dead",
                allocation=row.stored_id,
                address=str(row.address),
                holder=row.held_by,
                why=release.reason,
            )
        return freed
