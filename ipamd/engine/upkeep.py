"""Notes in memory that are written now and then, never in an ADD: who called, which token was used."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from ipamd.backends.interface import Backend, InDoubt
from ipamd.engine.catalogue import StaleCatalogue
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.setting_back import set_back
from ipamd.models.errors import DomainError
from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey

UPKEEP_EVERY: Final = 30.0
"""Seconds between two rounds. A round writes contacts, and forgets old releases."""

LOOK_EVERY: Final = 20
"""Rounds between two looks for moments ahead of the clock, which another replica may have left."""

log = structlog.get_logger()


class Upkeep:
    """The notes since the last round, and the rounds."""

    def __init__(self, backend: Backend, clock: Clock, cache: CatalogueCache) -> None:
        self._backend = backend
        self._clock = clock
        self._cache = cache
        self._contacts: dict[NodeKey, Instant] = {}
        self._uses: dict[int, Instant] = {}

    def heard_from(self, node: NodeKey) -> None:
        """Note that a node called."""
        self._contacts[node] = self._clock()

    def used(self, token: int) -> None:
        """Note that a token was used."""
        self._uses[token] = self._clock()

    async def contacts(self) -> Mapping[NodeKey, Instant]:
        """When each node last called, from the database and from this process."""
        return {**await self._backend.ledger.contacts(), **self._contacts}

    async def uses(self) -> Mapping[int, Instant]:
        """When each token was last used, from the database and from this process."""
        return {**await self._backend.ledger.uses(), **self._uses}

    async def run(self) -> None:
        """Work round after round, until cancelled."""
        rounds, before = 0, self._clock()
        while True:
            if self._clock() < before or not rounds % LOOK_EVERY:
                await self._set_back()
            before, rounds = self._clock(), rounds + 1
            await asyncio.sleep(UPKEEP_EVERY)
            try:
                await self._write()
                await self._backend.forget_releases(self._clock())
            except (DomainError, InDoubt) as error:
                log.warning("upkeep failed; ipamd tries again", error=str(error), seconds=UPKEEP_EVERY)

    async def _set_back(self) -> None:
        """Set back what a clock that was ahead has left; what cannot be now is left to a later round."""
        try:
            await set_back(self._backend, await self._cache.refresh(), self._clock())
        except (DomainError, InDoubt, StaleCatalogue) as error:
            log.warning("moments ahead of the clock were not set back", error=str(error))

    async def end(self) -> None:
        """Write the notes since the last round."""
        try:
            await self._write()
        except (DomainError, InDoubt) as error:
            log.warning("the last contacts of nodes could not be written", error=str(error))

    async def _write(self) -> None:
        """Write which nodes called and which tokens were used. What cannot be written is kept for later."""
        contacts, self._contacts = self._contacts, {}
        uses, self._uses = self._uses, {}
        tokens = self._cache.catalogue.snapshot.tokens
        known = {token: used for token, used in uses.items() if token in tokens}
        try:
            if contacts:
                await self._backend.record_contacts(contacts)
            if known:
                await self._backend.record_uses(known)
        except BaseException:
            self._contacts = contacts | self._contacts
            self._uses = known | self._uses
            raise
