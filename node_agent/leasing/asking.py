"""Asks ipamd for seats, and does in the store what ipamd says."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Final

import structlog
from msgspec import Raw, structs

from cni_plugin.platform import uptime_ns
from node_agent.leasing.demand import Demand
from node_agent.leasing.former import Former
from node_agent.leasing.holding import Holding, NoStore
from node_agent.leasing.lease_calls import LeaseCalls, NotAdmitted, NotOurs, Over
from node_agent.leasing.making import Maker
from node_agent.leasing.state import State
from node_agent.relay.holding_back import UntilKnown
from node_agent.relay.upstream import Refused, Silent

_WAIT_SECONDS: Final = 10.0
"""So late a node hears at most of what ipamd ended. Of a change of the catalogue it hears at once."""
_REST_SECONDS: Final = 0.2
_OLD_NEWS_SECONDS: Final = 5.0
"""ipamd answers at once as long as a seat that it recalls is taken: so long the next asking waits."""
_SECONDS_UNTIL_KNOWN: Final = 10.0
"""So long new seats wait until the other nodes send to them, before ipamd is asked again."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_SETTLING_SECONDS: Final = 10.0
"""How long a new store waits: calls that were under way before it are over then, and ipamd knows of them."""

log = structlog.get_logger()


class Asking:
    """The conversation with ipamd. If `most`, the number of free seats, is 0, the store stays closed."""

    def __init__(
        self,
        maker: Maker,
        most: int,
        calls: LeaseCalls,
        holding: Holding,
        demand: Demand,
        former: Former,
        state: State,
        until_known: UntilKnown,
    ) -> None:
        self._maker = maker
        self._most = most
        self._calls = calls
        self._holding = holding
        self._demand = demand
        self._former = former
        self._state = state
        self._until_known = until_known
        self._opens_at = 0.0
        self._confirmed = False
        self._revision = 0

    async def keep(self) -> None:
        """Go on asking, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._ask_and_wait()
                self._state.why = None
                pause = _FIRST_PAUSE
                continue
            except NoStore as error:
                self._fail(str(error))
                self._state.there.clear()
            except Silent as silent:
                self._state.why = f"ipamd does not answer: {silent}"
            except Over as over:
                self._fail(str(over))
                await self.begin_anew()
            except (NotOurs, NotAdmitted) as refusal:
                await self.be_refused(refusal)
            except Refused as refusal:
                self._fail(str(refusal))
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - or all nodes come at once
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def begin_anew(self) -> None:
        """Give nothing until ipamd has confirmed the store under another epoch."""
        self._confirmed = False
        await self._close(is_over=True)
        self._state.over.set()
        self._state.wake.set()

    async def be_refused(self, refusal: Refused) -> None:
        """Give nothing until ipamd confirms the store: the lease is another's, or the token is refused."""
        self._fail(str(refusal))
        self._confirmed = False
        await self._close(is_over=False)

    async def _ask_and_wait(self) -> None:
        """Ask until there is no news, then wait for some: from ipamd, or of this node."""
        state = self._state
        if not await self._has_store():
            await state.wake.wait()
            state.wake.clear()
            return
        state.wake.clear()
        state.asked_at = time.monotonic()
        news = True
        while news:
            news = await self._ask(0.0)
            await asyncio.sleep(_REST_SECONDS)
        until_open = self._opens_at - time.monotonic()
        wait = min(_WAIT_SECONDS, until_open) if until_open > 0 else _WAIT_SECONDS
        asking = asyncio.create_task(self._ask(wait))
        waking = asyncio.create_task(state.wake.wait())
        began = time.monotonic()
        try:
            await asyncio.wait({asking, waking}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done() and not asking.result() and time.monotonic() < began + min(wait, 1.0):
                await asyncio.wait({waking}, timeout=_OLD_NEWS_SECONDS)
        finally:
            for task in (asking, waking):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Silent, Refused, NoStore):
                    await task

    async def _has_store(self) -> bool:
        """Find the store, or make one if seats are wanted, or given back. Raises NoStore, Silent, Refused.

        What a former store left unreported is reported first: as long as nobody asks, ipamd knows that store.
        """
        if self._state.there.is_set():
            return True
        found = await asyncio.to_thread(self._holding.find)
        await self._former.report(await asyncio.to_thread(self._holding.view) if found else None)
        if not found:
            if not self._demand.wanted(time.monotonic()) and not self._former.may_have_seats():
                return False
            await asyncio.to_thread(self._former.note_seats)
            await asyncio.to_thread(self._holding.make)
            self._opens_at = time.monotonic() + _SETTLING_SECONDS
        self._confirmed = False
        self._revision = 0
        self._state.there.set()
        return True

    async def _ask(self, wait: float) -> bool:
        """Say all, and do what ipamd says. Whether that was news.

        If the other nodes do not send to new seats yet, these are left, as if the answer had been lost: ipamd
        tells them again.
        """
        asked_at = uptime_ns()
        view = await asyncio.to_thread(self._holding.view)
        may_open = time.monotonic() >= self._opens_at
        confirm = not self._confirmed and may_open
        document = {
            "cluster": self._maker.cluster,
            "node": self._maker.node,
            "machine": self._maker.machine,
            "boot": self._maker.boot,
            "configurations": [
                {"key": each.key.hex(), "config": Raw(each.configuration), "free": each.free}
                for each in self._demand.wanted(time.monotonic())
            ],
            "confirm": confirm,
            "revision": self._revision,
            **view.document(),
        }
        told = await self._calls.ask(document, wait)
        results = [bytes(seat.result) for seat in told.seats]
        are_known = await self._until_known(results, 0.0)
        if not are_known:
            told = structs.replace(told, seats=[], grant=view.grant, revision=self._revision)
        confirmed = self._confirmed or told.identities is not None
        opens = self._most > 0 and may_open and confirmed
        news = await asyncio.to_thread(self._holding.take, told, view, asked_at, may_open=opens)
        if self._most == 0 and not view.seats and not told.seats:
            await asyncio.to_thread(self._former.forget_seats)
        self._confirmed = confirmed
        self._revision = told.revision
        now = time.monotonic()
        self._state.refused = {bytes.fromhex(key): (now, why) for key, why in told.refused.items()}
        if not are_known:
            await self._until_known(results, _SECONDS_UNTIL_KNOWN)
        return news or not are_known

    async def _close(self, *, is_over: bool) -> None:
        with contextlib.suppress(NoStore):  # then nothing is given anyway
            await asyncio.to_thread(self._holding.close, is_over=is_over)

    def _fail(self, why: str) -> None:
        if why != self._state.why:
            log.warning("the lease of this node", why=why)
        self._state.why = why
