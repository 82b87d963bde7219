"""Follows what happens in the store: reports it, and keeps as many free seats as are wanted."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from cni_plugin.platform import uptime_ns
from ipam_plugin.leases import layout
from node_agent.leasing.asking import Asking
from node_agent.leasing.demand import Demand
from node_agent.leasing.holding import Holding, NoStore, View
from node_agent.leasing.lease_calls import MOST_EVENTS, Gap, LeaseCalls, NotAdmitted, Over, Reporter
from node_agent.leasing.making import Maker
from node_agent.leasing.state import State
from node_agent.relay.upstream import Refused, Silent

_LOOK_EVERY: Final = 0.5
_WAKE_EVERY: Final = 2.0
_REFUSED_SECONDS: Final = 60.0
"""So long nobody asks again for a configuration of which ipamd leases nothing."""


class Following:
    """Looks at the store again and again, whether ipamd answers or not."""

    def __init__(
        self, maker: Maker, calls: LeaseCalls, holding: Holding, demand: Demand, asking: Asking, state: State
    ) -> None:
        self._maker = maker
        self._calls = calls
        self._holding = holding
        self._demand = demand
        self._asking = asking
        self._state = state
        self._counted = ("", 0)

    async def keep(self) -> None:
        """Report what happens, and have ipamd asked when the node lacks seats or has too many."""
        while True:
            await self._state.there.wait()
            try:
                view = self._state.view = await asyncio.to_thread(self._holding.view)
                if view.reported < view.last and view.epoch:
                    await self._report(view)
                    continue
                await self._keep_size(view)
            except NoStore as error:
                self._state.view = None
                self._state.why = str(error)
                self._state.there.clear()
                self._state.wake.set()
            except NotAdmitted as refusal:
                await self._asking.be_refused(refusal)
            except (Silent, Refused) as error:
                self._state.why = str(error)
            await asyncio.sleep(_LOOK_EVERY)

    async def _report(self, view: View) -> None:
        records = await asyncio.to_thread(self._holding.events, MOST_EVENTS)
        if not records:
            return
        self._count(view, records[-1].number, [record.event for record in records])
        now = uptime_ns()
        events = [(now - record.at, record.event) for record in records]
        reporter = Reporter(self._maker.cluster, self._maker.node, self._maker.boot, view.store, view.epoch)
        try:
            acknowledged = await self._calls.report(reporter, records[0].number, events)
        except Gap as gap:
            if gap.wanted <= records[0].number:
                await self._asking.begin_anew()  # ipamd has lost what it had acknowledged
                raise
            acknowledged = gap.wanted - 1
        except Over:
            self._state.wake.set()
            raise
        self._state.reported_at = time.time()
        await asyncio.to_thread(self._holding.acknowledge, acknowledged)

    def _count(self, view: View, last: int, events: list[bytes]) -> None:
        """Count the ADDs that the lease served, each once."""
        keys = {seat.number: seat.configuration for seat in view.seats}
        first = last - len(events) + 1
        now = time.monotonic()
        store, counted = self._counted
        if store != view.store:
            counted = 0
        for number, event in enumerate(events, first):
            if number > counted and event.startswith(b'{"kind":"begin"'):
                seat = int(event[len(b'{"kind":"begin","seat":') :].partition(b",")[0])
                if seat in keys:
                    self._demand.count(keys[seat], now)
        self._counted = (view.store, max(counted, last))

    async def _keep_size(self, view: View) -> None:
        """Give back what is too much; have more asked for if less than half of what is wanted is there."""
        state = self._state
        now = time.monotonic()
        wanted = {each.key: each.free for each in self._demand.wanted(now)}
        surplus = []
        for key in {seat.configuration for seat in view.seats}:
            free = view.free_of(key)
            enough = wanted.get(key, 0)
            if len(free) > 2 * enough:
                surplus += free[: len(free) - enough]
        if surplus:
            await asyncio.to_thread(self._holding.take_back, surplus)
            state.wake.set()
        lacks = [key for key, free in wanted.items() if 2 * len(view.free_of(key)) < free]
        may_be_had = any(now - state.refused.get(key, (0.0, ""))[0] >= _REFUSED_SECONDS for key in lacks)
        if (may_be_had or view.count(layout.RETURNING)) and now >= state.asked_at + _WAKE_EVERY:
            state.wake.set()
