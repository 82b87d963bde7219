"""The current catalogue: it is loaded on demand, and checked regularly too."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from ipamd.backends.interface import Backend
from ipamd.engine.catalogue import Catalogue
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import DomainError

LOOK_EVERY: Final = 1.5
"""Seconds between two checks for changes that other replicas made."""

STALE_AFTER: Final = 3.5
"""Seconds after which the catalogue must not decide who may ask: a revoked token is refused within five."""

log = structlog.get_logger()


class CatalogueCache:
    """Follows the catalogue in the database."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._catalogue = Catalogue(Snapshot())
        self._refreshing = asyncio.Lock()
        self._read_at = -STALE_AFTER
        self._looking: asyncio.Task[Catalogue] | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue as it was last loaded."""
        return self._catalogue

    @property
    def is_stale(self) -> bool:
        """Whether the last comparison with the database is too long ago."""
        return time.monotonic() - self._read_at >= STALE_AFTER

    async def refresh(self) -> Catalogue:
        """Load what has changed since the last time."""
        async with self._refreshing:
            known, began = self._catalogue, time.monotonic()
            snapshot = await self._backend.ledger.snapshot(known.snapshot)
            if snapshot.revision != known.revision:
                self._catalogue = Catalogue(snapshot, known)
            self._read_at = began
            return self._catalogue

    async def recent(self) -> Catalogue:
        """The catalogue, at most `STALE_AFTER` seconds old. Raises Unavailable."""
        if self.is_stale:
            # One look for all who wait: they must not queue for a database that does not answer.
            if self._looking is None:
                self._looking = asyncio.create_task(self.refresh())
                self._looking.add_done_callback(self._looked)
            await asyncio.shield(self._looking)
        return self._catalogue

    def _looked(self, look: asyncio.Task[Catalogue]) -> None:
        self._looking = None
        if not look.cancelled():
            look.exception()  # it is told to those who wait, if there still are any

    async def run(self) -> None:
        """Check again and again, until cancelled."""
        silent = False
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.refresh()
            except DomainError as error:
                if not silent:
                    log.warning("the catalogue cannot be read; ipamd tries again", error=str(error))
                silent = True
            else:
                silent = False
