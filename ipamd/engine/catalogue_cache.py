"""The catalogue of the moment: loaded when it is asked for, and looked at also while nobody asks."""

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
"""Seconds between two looks for what admins changed elsewhere, also while nobody asks for anything."""

STALE_AFTER: Final = 3.5
"""Seconds after which a catalogue says no more who may ask: what was revoked is refused within five."""

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
        """As it was last loaded."""
        return self._catalogue

    @property
    def is_stale(self) -> bool:
        """Whether the catalogue has not been compared with the database for too long."""
        return time.monotonic() - self._read_at >= STALE_AFTER

    async def refresh(self) -> Catalogue:
        """Load what admins changed since it was last loaded."""
        async with self._refreshing:
            known, began = self._catalogue, time.monotonic()
            snapshot = await self._backend.ledger.snapshot(known.snapshot)
            if snapshot.revision != known.revision:
                self._catalogue = Catalogue(snapshot, known)
            self._read_at = began
            return self._catalogue

    async def recent(self) -> Catalogue:
        """The catalogue as it stood less than `STALE_AFTER` seconds ago; raises Unavailable."""
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
        """Look again and again, until cancelled."""
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
