"""What former stores of this node left: seats that ipamd has for it, and events that nobody reported."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from cni_plugin.files import replace
from cni_plugin.platform import uptime_ns
from node_agent.leasing.holding import View
from node_agent.leasing.lease_calls import MOST_EVENTS, Gap, LeaseCalls, Reporter, Unacceptable
from node_agent.leasing.making import Maker
from node_agent.leasing.unreported import Event, Unreported

log = structlog.get_logger()


class Former:
    """What `unreported` has of other stores than the present one, and whether ipamd may have seats of them.

    Without the file `leased` a node that boots and is asked for nothing would never give its seats back.
    """

    def __init__(self, maker: Maker, calls: LeaseCalls, unreported: Unreported, leased: Path) -> None:
        self._maker = maker
        self._calls = calls
        self._unreported = unreported
        self._leased = leased

    def may_have_seats(self) -> bool:
        """Whether ipamd may have seats of this node."""
        return self._leased.exists()

    def note_seats(self) -> None:
        """Remember across reboots that ipamd may have seats of this node."""
        try:
            replace(str(self._leased.parent), self._leased.name, b"")
        except OSError as error:
            log.warning("that this node has a lease cannot be noted", path=str(self._leased), why=str(error))

    def forget_seats(self) -> None:
        """Note that ipamd has none."""
        try:
            self._leased.unlink(missing_ok=True)
        except OSError as error:
            log.warning("that this node has no lease cannot be noted", path=str(self._leased), why=str(error))

    async def report(self, present: View | None) -> None:
        """Report it, and forget it. Raises Silent, Refused: then it stays."""
        try:
            found = await asyncio.to_thread(self._unreported.read)
        except (OSError, ValueError) as error:
            log.warning("what a former lease left unreported is lost", why=str(error))
            await self._forget()
            return
        if found is None:
            return
        whose, events = found
        if present is not None and present.store == whose.store:
            return  # it is in the store too
        try:
            await self._report(whose, events)
        except (Gap, Unacceptable) as refusal:
            log.warning("what a former lease left unreported is lost", events=len(events), why=str(refusal))
        else:
            log.info("what a former lease left unreported is reported", events=len(events))
        await self._forget()

    async def _report(self, whose: Reporter, events: Sequence[Event]) -> None:
        for at in range(0, len(events), MOST_EVENTS):
            part = events[at : at + MOST_EVENTS]
            aged = [(self._age(whose, event), bytes(event.event)) for event in part]
            await self._calls.report(whose, part[0].number, aged)

    def _age(self, whose: Reporter, event: Event) -> int:
        """By the wall clock; what was before this boot is older than the boot whatever that clock says."""
        least = 0 if whose.boot == self._maker.boot else uptime_ns()
        return max(least, time.time_ns() - event.time)

    async def _forget(self) -> None:
        try:
            await asyncio.to_thread(self._unreported.remove)
        except OSError as error:
            log.warning("what was reported of a former lease cannot be removed", why=str(error))
