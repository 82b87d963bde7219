"""Tells ipamd again and again which of this node's containers are gone."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import structlog

from cni_plugin.platform import uptime_ns
from node_agent.facts import Facts
from node_agent.machine import boot
from node_agent.machine import machine as machine_of
from node_agent.node import Node
from node_agent.relay.membership import Membership
from node_agent.relay.own_calls import OwnCalls
from node_agent.relay.upstream import Refused, Silent, Upstream
from node_agent.watching.census_calls import CensusCalls, ConflictTold, Known, Speaker, Unknown
from node_agent.watching.dead import Held
from node_agent.watching.looking import Seen, look
from node_agent.watching.receipt import KeptReceipt

LOOK_EVERY: Final = 60
"""Seconds between two looks, at most: ipamd hears of another boot of a node only if the former one is silent
for longer."""
_LEAST_REST: Final = 0.85
"""A look begins after this part of the time between two, up to all of it: or all nodes come at once."""
_ALL_EVERY: Final = 3600.0
"""Seconds after which everything is read again, should a change ever have been missed."""
_WHILE_UNKNOWN: Final = 3600.0
_BEFORE_NEXT_SHOWING: Final = 5.0

log = structlog.get_logger()


class Watching:
    """What of this node's allocations is dead. `every` is the seconds between two looks.

    `until_told` waits until ipamd knows all that the node did with its lease: else a row may be of a
    container whose seat another one has.
    """

    def __init__(
        self,
        node: Node,
        every: float,
        upstream: Upstream,
        membership: Membership,
        facts: Facts,
        until_told: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._every = every
        self._calls = CensusCalls(node, OwnCalls(upstream, membership))
        self._facts = facts
        self._until_told = until_told
        self._speaker = Speaker(machine_of(node.state_dir), boot())
        self._receipt = KeptReceipt(node.state_dir)
        self._rows: dict[int, Held] = {}
        self._timeline: str | None = None
        self._read_from = 0
        self._highest = 0
        self._told = 0
        self._all_read_at = -_ALL_EVERY
        self._looks = 0
        self._dead = 0
        self._why: str | None = None
        self._conflicts: list[str] = []

    def status(self) -> dict[str, Any]:
        """How many looks were told, how many addresses are known and dead, and what stands in the way.

        `conflicts` are the containers that use an address that is another's.
        """
        counts = {"looks": self._looks, "known": len(self._rows), "dead": self._dead}
        return {**counts, "why": self._why, "conflicts": self._conflicts}

    async def keep(self) -> None:
        """Look and tell, until cancelled."""
        while True:
            pause = self._every * random.uniform(_LEAST_REST, 1)  # noqa: S311 - see _LEAST_REST
            try:
                await self._until_told()
                await self._look_and_tell()
            except Silent as silent:
                self._why = f"ipamd does not answer: {silent}"
            except Unknown as unknown:
                self._why = str(unknown)
                pause = max(pause, _WHILE_UNKNOWN)
            except Refused as refusal:
                self._why = str(refusal)
                self._facts.fail("what is dead on this node", str(refusal))
                if refusal.seconds is not None:
                    pause = refusal.seconds
            await asyncio.sleep(pause)

    async def show_receipt_when(self, doubted: asyncio.Event) -> None:
        """Show the receipt at once each time that ipamd does not know what it knew, until cancelled.

        It may have an older database, and give to others what is used here. The next look comes too late, and
        waits until the lease is told.
        """
        unseen = Seen([], [], "nothing was looked at")
        while True:
            await doubted.wait()
            doubted.clear()
            known = Known(self._timeline or "", self._told, self._receipt.text)
            try:
                answer = await self._calls.say(self._speaker, uptime_ns(), known, unseen)
                self._receipt.keep(answer.receipt)
            except (Silent, Refused) as error:
                log.warning("ipamd was not shown what it told this node", why=str(error))
                await asyncio.sleep(_BEFORE_NEXT_SHOWING)

    async def _look_and_tell(self) -> None:
        began = uptime_ns()
        timeline = await self._read()
        seen = await asyncio.to_thread(look, list(self._rows.values()), self._speaker.boot)
        self._dead = len(seen.dead)
        self._why = seen.unseen
        known = Known(timeline, self._told, self._receipt.text)
        answer = await self._calls.say(self._speaker, began, known, seen)
        self._receipt.keep(answer.receipt)
        self._looks += 1
        for number in answer.gone:
            self._rows.pop(number, None)
        if answer.changed or answer.is_anew:
            self._read_all_again()
        if answer.adopted:
            log.warning(
                "ipamd did not know of containers that live here, and does now", adopted=answer.adopted
            )
        self._tell_conflicts(answer.conflicts)
        if answer.freed:
            log.info("containers are gone without a DEL", freed=answer.freed)
        if answer.waiting:
            self._why = f"{answer.waiting} addresses of dead containers wait for an admin"
            self._facts.fail("what is dead on this node", self._why)

    def _tell_conflicts(self, conflicts: Sequence[ConflictTold]) -> None:
        """Name each container that uses what is another's: in `status`, and once in the log."""
        before = self._conflicts
        self._conflicts = [
            f"container {each.container_id} uses {each.address}, and must not: {each.why}"
            for each in conflicts
        ]
        for sentence in self._conflicts:
            if sentence not in before:
                log.error("an address that is used here is another's", why=sentence, todo="end the container")

    async def _read(self) -> str:
        """Read what is new, and return its timeline. Rows of calls that were under way may have lower ids.

        In another timeline all is new: ipamd's database was put back, and may lack what it told before.
        """
        if time.monotonic() - self._all_read_at >= _ALL_EVERY:
            self._rows, self._read_from, self._highest = {}, 0, 0
            self._all_read_at = time.monotonic()
        told = await self._calls.held_after(self._read_from, self._timeline)
        if told.timeline != self._timeline:
            self._rows, self._read_from, self._highest, self._told = {}, 0, 0, 0
            self._timeline = told.timeline
        self._rows |= {row.id: row for row in told.rows}
        self._read_from = self._highest
        self._highest = max((row.id for row in told.rows), default=self._highest)
        self._told = max(self._told, self._highest)
        return told.timeline

    def _read_all_again(self) -> None:
        self._all_read_at = time.monotonic() - _ALL_EVERY
