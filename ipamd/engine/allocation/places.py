"""The places of this replica's waiters in the line, and the line of all as it is seen here.

Decision 44 says why it is done so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import structlog

from ipamd.backends.interface import InDoubt, Line
from ipamd.engine.allocation.freed import FreedBell
from ipamd.engine.allocation.line import Taking, may_try, pools_of
from ipamd.engine.allocation.pulse import Pulse
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.models.errors import DomainError
from ipamd.models.instant import Instant
from ipamd.models.limits import MOST_WAITERS
from ipamd.models.waiter import Waiter

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at the line while anybody waits here."""

LOOK_UNASKED: Final = 2.0
"""Seconds between two looks while nobody does: somebody must see whose replica is gone."""

SHORTEST_PAUSE: Final = 0.05
"""Seconds between two looks, however much this process frees."""

TRY_EVERY: Final = 1.0
"""Seconds after which who is first tries again unasked: others' releases, cooldowns, changes of admins."""

TRY_AGAIN_AFTER: Final = 0.2
"""Seconds between two tries of one waiter, however much this process frees."""

RENEW_EVERY: Final = 2.0
WORD_LASTS: Final = 4.0
"""Seconds after which a replica that could not renew its waiters lets none of them try."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Place:
    """One waiter's place in the line, or where it will be: `number` is None while it has none.

    `taking` and `lacked` say what it would take and what it waits for, as `line` does; `known` is the
    revision of the catalogue by which that was found. `wake` is set when it is to look again.
    """

    taking: Taking = field(default_factory=Taking)
    lacked: tuple[str, ...] = ()
    known: int = 0
    number: int | None = None
    stood: bool = False
    tried_at: float = -TRY_EVERY
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Places:
    """Keeps them, looks at the line, and wakes whose turn it is."""

    def __init__(self, line: Line, cache: CatalogueCache, bell: FreedBell) -> None:
        self._line = line
        self._cache = cache
        self._bell = bell
        self._replica = uuid4().hex
        self._own: dict[int, Place] = {}
        self._leaving: set[int] = set()
        self._turn = asyncio.Lock()
        self._pulse = Pulse()
        self._renewed = 0.0
        self.waiters: Sequence[Waiter] = ()
        """The line as it was last seen."""

    def __len__(self) -> int:
        """How many wait on this replica."""
        return len(self._own)

    def may_be_tried(self, place: Place) -> bool:
        """Whether one's replica is known to live: else others may have removed one from the line."""
        return place.number is None or _now() - self._renewed < WORD_LASTS

    async def enter(self, place: Place, owner: str, since: Instant, until: Instant) -> bool:
        """Stand at the end of the line, unless too many do: then it is False.

        What came before is seen before one tries again. Raises Unavailable, InDoubt.
        """
        async with self._turn:
            now = _now()
            waiter = Waiter(
                replica=self._replica,
                owner=owner,
                pools=pools_of(place.taking.names),
                lacks=place.lacked,
                since=since,
                until=until,
            )
            number = await self._line.enter(waiter, MOST_WAITERS)
            if number is None:
                return False
            if not self._own:
                self._renewed = now  # the row itself is a word of this replica
            place.number, place.stood = number, True
            self._own[number] = place
        await self.look()
        self._bell.listened = True
        self._bell.rung.set()
        return True

    async def change(self, place: Place, lacked: tuple[str, ...]) -> None:
        """Note what one lacks, and tell the others if that is new to them. Raises Unavailable, InDoubt."""
        if lacked != place.lacked:
            place.lacked = lacked
            if place.number is not None:
                await self._line.change(place.number, lacked)

    def leave(self, place: Place) -> None:
        """Give a place up. Its row goes at the next look."""
        if place.number is not None:
            self._own.pop(place.number, None)
            self._leaving.add(place.number)
            self._bell.ring()

    def wake_all(self) -> None:
        """Have everybody look again."""
        for place in self._own.values():
            place.wake.set()

    async def close(self) -> None:
        """Take what is left of this replica out of the line."""
        try:
            await self._line.leave([*self._own, *self._leaving])
        except (DomainError, InDoubt) as error:
            log.warning("waiters could not leave the line: other replicas remove them", error=str(error))

    async def run(self) -> None:
        """Look at the line again and again, until cancelled."""
        silent = False
        while True:
            await self._rest()
            try:
                await self.look()
            except (DomainError, InDoubt) as error:
                if not silent:
                    log.warning("the line of waiters cannot be read; ipamd tries again", error=str(error))
                silent = True
            else:
                silent = False

    async def look(self) -> None:
        """See who is in the line, and wake those whose turn it is. Raises Unavailable, InDoubt."""
        async with self._turn:
            left = list(self._leaving)
            if left:
                await self._line.leave(left)
                self._leaving.difference_update(left)
            now = _now()
            if self._own and now - self._renewed >= RENEW_EVERY:
                await self._line.renew(self._replica)
                self._renewed = now
            found = await self._line.read()
            dead = self._pulse.dead([one for one in found if one.replica != self._replica], now)
            if dead:
                log.warning("waiters of a replica that is gone left the line", waiters=len(dead))
            # Whoever was not told its number, for the answer to a commit was lost, would stand here for ever.
            dead += [
                one.number for one in found if one.replica == self._replica and one.number not in self._own
            ]
            if dead:
                await self._line.leave(dead)
            self._see([one for one in found if one.number not in dead])

    def _see(self, waiters: Sequence[Waiter]) -> None:
        """Take in the line, and wake who is to try, or is to look again."""
        if _in_short(waiters) != _in_short(self.waiters):
            self._bell.rung_at = _now()
        self.waiters = waiters
        lost, lacked, now = dict(self._own), set[str](), _now()
        revision = self._cache.catalogue.revision
        for waiter in waiters:
            place = lost.pop(waiter.number, None)
            if place is not None:
                is_first = self._is_due(place, now) and may_try(
                    place.taking, lacked & place.taking.closes.keys()
                )
                if is_first or place.known != revision:
                    place.wake.set()
            lacked.update(waiter.lacks)
        for number, place in lost.items():
            del self._own[number]
            place.number = None
            place.wake.set()

    def _is_due(self, place: Place, now: float) -> bool:
        pause = TRY_AGAIN_AFTER if place.tried_at <= self._bell.rung_at else TRY_EVERY
        return now - place.tried_at >= pause

    async def _rest(self) -> None:
        """Wait until something was freed here or somebody came or went; not for long while anybody waits."""
        self._bell.listened = bool(self._own)
        await asyncio.sleep(SHORTEST_PAUSE)
        try:
            async with asyncio.timeout(LOOK_EVERY if self._own else LOOK_UNASKED):
                await self._bell.rung.wait()
        except TimeoutError:
            return  # time to look what others have done
        self._bell.rung.clear()


def _in_short(waiters: Sequence[Waiter]) -> list[tuple[int, tuple[str, ...]]]:
    return [(waiter.number, waiter.lacks) for waiter in waiters]


def _now() -> float:
    return asyncio.get_running_loop().time()
