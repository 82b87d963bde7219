"""Notes in memory that are written now and then, never in an ADD: who called, which token was used."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from ipamd.backends.interface import Backend, InDoubt
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.models.errors import DomainError
from ipamd.models.instant import SECOND, Instant
from ipamd.models.issued import REMEMBERED_FOR
from ipamd.models.node import NodeKey
from ipamd.models.query import ALL_CONTACTS, ContactQuery, HistoryQuery

UPKEEP_EVERY: Final = 30.0
"""Seconds between two rounds. A round writes contacts, and forgets old releases."""

COUNT_EVERY: Final = 10
"""Rounds between two notes of how far time has been counted."""

LONGEST_REST: Final = 30 * 86_400 * SECOND
"""A database in which time was never counted has rested for no longer, or the clock is ahead."""

KEPT_FOR: Final = 2 * REMEMBERED_FOR
"""How long releases are kept: clocks of replicas may differ by as much as they are needed."""

log = structlog.get_logger()


class Upkeep:
    """The notes since the last round, and the rounds."""

    def __init__(self, backend: Backend, clock: Clock, cache: CatalogueCache) -> None:
        self._backend = backend
        self._clock = clock
        self._cache = cache
        self._contacts: dict[NodeKey, Instant] = {}
        self._uses: dict[int, Instant] = {}

    async def begin(self) -> None:
        """Go on counting time from what is stored. Raises Unavailable.

        If time was never counted, the clock is believed, unless what began or called last is long ago.
        """
        counted = (await self._backend.audit.counted()).until
        if not counted:
            last = [row.since for row in await self._backend.ledger.history(HistoryQuery(), None, 1)]
            last += (await self._backend.ledger.contacts()).values()
            now = self._clock()
            latest = min(now, max(last, default=now))
            counted = now if now - latest <= LONGEST_REST else latest
        self._clock.begin_counting(counted)
        await self._backend.count_time(counted)

    def heard_from(self, node: NodeKey) -> None:
        """Note that a node called."""
        self._contacts[node] = self._clock()

    def forget(self, node: NodeKey) -> None:
        """Note nothing of a node that was forgotten."""
        self._contacts.pop(node, None)

    def used(self, token: int) -> None:
        """Note that a token was used."""
        self._uses[token] = self._clock()

    async def contacts(self, query: ContactQuery = ALL_CONTACTS) -> Mapping[NodeKey, Instant]:
        """When nodes last called, from the database and from this process."""
        now = self._clock()
        known = {**await self._backend.ledger.contacts(query), **query.picked(self._contacts)}
        return {node: min(heard, now) for node, heard in known.items()}

    async def contact(self, node: NodeKey) -> Instant | None:
        """When one node last called, None if it never did."""
        return (await self.contacts(ContactQuery(cluster=node.cluster, name=node.name))).get(node)

    async def uses(self) -> Mapping[int, Instant]:
        """When each token was last used, from the database and from this process."""
        now = self._clock()
        known = {**await self._backend.ledger.uses(), **self._uses}
        return {token: min(used, now) for token, used in known.items()}

    async def run(self) -> None:
        """Work round after round, until cancelled."""
        rounds = 0
        while True:
            await asyncio.sleep(UPKEEP_EVERY)
            rounds += 1
            try:
                await self.round()
                if not rounds % COUNT_EVERY:
                    await self._backend.count_time(self._clock.count())
            except (DomainError, InDoubt) as error:
                log.warning("upkeep failed; ipamd tries again", error=str(error), seconds=UPKEEP_EVERY)

    async def round(self) -> None:
        """Write the notes since the last round, and forget what is old. Raises Unavailable, InDoubt."""
        await self._write()
        past = self._clock.read().past(KEPT_FOR)
        await self._backend.forget_releases(past + REMEMBERED_FOR)
        while await self._backend.forget_former(past):
            pass

    async def end(self) -> None:
        """Write the notes since the last round."""
        try:
            await self._write()
            await self._backend.count_time(self._clock.count())
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
