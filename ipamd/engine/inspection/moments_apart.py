"""Moments ahead of the clock that are neither of a block nor of an allocation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ipamd.backends.interface import Backend
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.clock import Clock
from ipamd.engine.inspection.said_moments import ahead
from ipamd.engine.setting_back import SettingBack
from ipamd.engine.token_moments import tokens_ahead
from ipamd.models.finding import Finding, FindingKind
from ipamd.models.instant import AHEAD, Instant
from ipamd.models.issued import REMEMBERED_FOR


class MomentsApart:
    """Finds them, and sets them back."""

    def __init__(
        self, backend: Backend, cache: CatalogueCache, clock: Clock, setting_back: SettingBack
    ) -> None:
        self._backend = backend
        self._cache = cache
        self._clock = clock
        self._setting_back = setting_back

    async def findings(self, *, repair: bool) -> list[Finding]:
        """One finding for each kind of moment, with how many there are. Raises Unavailable, InDoubt."""
        now = self._clock()
        said = [*await self._of_time(now), *await self._of_notes(now)]
        found = [Finding(kind=FindingKind.MOMENT_AHEAD, what=what) for what in said]
        if not found or not repair:
            return found
        await self._backend.set_time_back(now)
        if self._clock.is_behind:
            self._clock.trust()
        await self._setting_back.apart(now)
        return [replace(each, repaired=True) for each in found]

    async def _of_time(self, now: Instant) -> list[str]:
        counted = await self._backend.audit.counted()
        said = []
        if counted.until > now + AHEAD:
            said.append(
                f"time was counted to what is {ahead(counted.until, now)}: see that the clock is right"
            )
        if counted.forgotten > now + AHEAD:
            said.append(f"history may have been dropped to what was {ahead(counted.forgotten, now)}")
        return said

    async def _of_notes(self, now: Instant) -> list[str]:
        ledger, snapshot = self._backend.ledger, (await self._cache.refresh()).snapshot
        releases = await self._backend.audit.remembered_after(now + REMEMBERED_FOR + AHEAD)
        contacts = [heard for heard in (await ledger.contacts()).values() if heard > now + AHEAD]
        uses = [used for used in (await ledger.uses()).values() if used > now + AHEAD]
        tokens = [str(token.id) for token in tokens_ahead(snapshot, now)]
        return list(_told(releases, contacts, uses, tokens, now))


def _told(
    releases: int, contacts: list[Instant], uses: list[Instant], tokens: list[str], now: Instant
) -> Iterator[str]:
    if releases:
        yield f"{releases} releases are remembered for longer than ipamd remembers any"
    if contacts:
        yield f"{len(contacts)} nodes called, the last one {ahead(max(contacts), now)}"
    if uses:
        yield f"{len(uses)} tokens were used, the last one {ahead(max(uses), now)}"
    if tokens:
        yield f"{len(tokens)} tokens have moments ahead of the clock: token {', '.join(tokens[:10])}"
