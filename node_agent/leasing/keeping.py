"""Keeps this node's lease: seats for what it is asked for, and ipamd and the store in agreement."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from msgspec import Raw, Struct

from cni_plugin.configuration import Configuration, check, decode
from cni_plugin.failure import Failure
from cni_plugin.files import replace
from cni_plugin.platform import uptime_ns
from ipam_plugin import leases
from ipam_plugin.leases import asked, layout
from node_agent.facts import Facts
from node_agent.leasing.centre import Centre, Gap, NotOurs, Over, Refused
from node_agent.leasing.demand import Demand
from node_agent.leasing.holding import Holding, NoStore, View
from node_agent.leasing.making import Maker
from node_agent.node import Node
from node_agent.pod_network import files
from node_agent.relay.membership import Membership
from node_agent.relay.upstream import Silent, Upstream

KEPT: Final = Path(leases.PATH).with_name("configurations")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_LOOK_EVERY: Final = 0.5
_WAIT_SECONDS: Final = 10.0
"""So late a node hears at most of what ipamd ended. Of a change of the catalogue it hears at once."""
_REST_SECONDS: Final = 0.2
_OLD_NEWS_SECONDS: Final = 5.0
"""ipamd answers at once as long as a seat that it recalls is taken: so long the next asking waits."""
_WHILE_NOT_ALONE: Final = 1.0
_WAKE_EVERY: Final = 2.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_EVENTS: Final = 500
_SETTLING_SECONDS: Final = 10.0
"""How long a new store waits: calls that were under way before it are over then, and ipamd knows of them."""
_REFUSED_SECONDS: Final = 60.0
"""So long nobody asks again for a configuration of which ipamd leases nothing."""

log = structlog.get_logger()


class _Call(Struct):
    cluster: str
    node: str
    config: Raw
    args: str = ""


_CALL: Final = msgspec.json.Decoder(_Call)


class Leasing:
    """The lease of this node. `most` is how many free seats it may have; with 0 it gives back what it has."""

    def __init__(
        self, node: Node, most: int, upstream: Upstream, membership: Membership, facts: Facts
    ) -> None:
        self._node = node
        self._most = most
        self._centre = Centre(upstream, membership)
        self._facts = facts
        self._demand = Demand(most)
        boot = _BOOT.read_text().strip()
        self._machine = files.machine(node.state_dir)
        self._maker = Maker(node.cluster, node.name, boot, self._machine)
        self._holding = Holding(Path(leases.PATH), self._maker)
        self._wake = asyncio.Event()
        self._there = asyncio.Event()
        self._opens_at = 0.0
        self._confirmed = False
        self._revision = 0
        self._refused: dict[bytes, tuple[float, str]] = {}
        self._counted = 0
        self._asked_at = 0.0
        self._why: str | None = None
        self._view: View | None = None

    def saw(self, body: bytes) -> None:
        """Notice an ADD that went to ipamd: the next one like it may be the lease's."""
        found = _configuration_of(body, self._node)
        if found is None or self._most == 0:
            return
        configuration, network, version = found
        section = configuration.text_of("ipam")
        key = layout.configuration_key(network, version, section)
        head = msgspec.json.encode({"cniVersion": version, "name": network})
        is_new = self._demand.know(key, head[:-1] + b',"ipam":' + section + b"}")
        self._demand.count(key, time.monotonic())
        if is_new:
            self._keep_configurations()
            self._wake.set()

    def status(self) -> dict[str, Any]:
        """How the lease is, for `ipamd-agent status`."""
        view = self._view
        if view is None:
            return {"open": False, "seats": None, "why": self._why, "refused": self._refusals()}
        return {
            "open": view.is_open and view.until > uptime_ns(),
            "seats": {
                "free": view.count(layout.FREE),
                "taken": view.count(layout.HELD),
                "returning": view.count(layout.RETURNING),
            },
            "unreported": view.last - view.reported,
            "seconds_left": max(0, (view.until - uptime_ns()) // 1_000_000_000),
            "why": self._why,
            "refused": self._refusals(),
        }

    async def keep(self) -> None:
        """Keep the lease, until cancelled. What stands in the store stays there, and is given."""
        if self._most == 0 and not leases.are_here():
            return
        try:
            await self._wait_for_others()
            self._read_configurations()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_asking())
                tasks.create_task(self._keep_following())
        finally:
            self._holding.let_go()

    async def _wait_for_others(self) -> None:
        """Wait until no other agent keeps this lease, as in an update that starts the new one first."""
        while True:
            try:
                if self._holding.is_ours():
                    return
                self._why = "another agent keeps the lease of this node"
            except NoStore as error:
                self._fail(str(error))
            await asyncio.sleep(_WHILE_NOT_ALONE)

    def _keep_configurations(self) -> None:
        """Write down what seats are wanted for, in this boot: an agent that begins has seen nothing yet."""
        try:
            KEPT.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(str(KEPT.parent), KEPT.name, self._demand.encode())
        except OSError as error:
            self._facts.fail(f"{KEPT} cannot be written", str(error))

    def _read_configurations(self) -> None:
        try:
            self._demand.read(KEPT.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._facts.fail(f"{KEPT} cannot be read", str(error))

    def _refusals(self) -> list[str]:
        return sorted({why for _, why in self._refused.values()})

    async def _keep_asking(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._ask_and_wait()
                self._why = None
                pause = _FIRST_PAUSE
                continue
            except NoStore as error:
                self._fail(str(error))
                self._there.clear()
            except Silent as silent:
                self._why = f"ipamd does not answer: {silent}"
            except Over as over:
                self._fail(str(over))
                await self._begin_anew()
            except NotOurs as refusal:
                self._fail(str(refusal))
                self._confirmed = False
                await self._close(is_over=False)
            except Refused as refusal:
                self._fail(str(refusal))
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - or all nodes come at once
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _ask_and_wait(self) -> None:
        """Ask until there is no news, then wait for some: from ipamd, or of this node."""
        if not await self._has_store():
            await self._wake.wait()
            self._wake.clear()
            return
        self._wake.clear()
        self._asked_at = time.monotonic()
        news = True
        while news:
            news = await self._ask(0.0)
            await asyncio.sleep(_REST_SECONDS)
        until_open = self._opens_at - time.monotonic()
        wait = min(_WAIT_SECONDS, until_open) if until_open > 0 else _WAIT_SECONDS
        asking = asyncio.create_task(self._ask(wait))
        waking = asyncio.create_task(self._wake.wait())
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
        """Find the store, or make one if seats are wanted. Raises NoStore."""
        if self._there.is_set():
            return True
        if not await asyncio.to_thread(self._holding.find):
            if not self._demand.wanted(time.monotonic()):
                return False
            await asyncio.to_thread(self._holding.make)
            self._opens_at = time.monotonic() + _SETTLING_SECONDS
            self._counted = 0
        self._confirmed = False
        self._revision = 0
        self._there.set()
        return True

    async def _ask(self, wait: float) -> bool:
        """Say all, and do what ipamd says. Whether that was news."""
        asked_at = uptime_ns()
        view = await asyncio.to_thread(self._holding.view)
        may_open = time.monotonic() >= self._opens_at
        confirm = not self._confirmed and may_open
        wanted = self._demand.wanted(time.monotonic())
        document = {
            "cluster": self._node.cluster,
            "node": self._node.name,
            "machine": self._machine,
            "boot": self._maker.boot,
            "configurations": [
                {"key": each.key.hex(), "config": Raw(each.configuration), "free": each.free}
                for each in wanted
            ],
            "confirm": confirm,
            "revision": self._revision,
            **view.document(),
        }
        told = await self._centre.ask(document, wait)
        confirmed = self._confirmed or told.identities is not None
        opens = self._most > 0 and may_open and confirmed
        news = await asyncio.to_thread(self._holding.take, told, asked_at, may_open=opens)
        self._confirmed = confirmed
        self._revision = told.revision
        now = time.monotonic()
        self._refused = {bytes.fromhex(key): (now, why) for key, why in told.refused.items()}
        return news

    async def _begin_anew(self) -> None:
        """Give nothing until ipamd has confirmed the store under another epoch."""
        self._confirmed = False
        await self._close(is_over=True)
        self._wake.set()

    async def _close(self, *, is_over: bool) -> None:
        with contextlib.suppress(NoStore):  # then nothing is given anyway
            await asyncio.to_thread(self._holding.close, is_over=is_over)

    async def _keep_following(self) -> None:
        """Report what happens, and have ipamd asked when the node lacks seats or has too many."""
        while True:
            await self._there.wait()
            try:
                self._view = await asyncio.to_thread(self._holding.view)
                if self._view.reported < self._view.last and self._view.epoch:
                    await self._report(self._view)
                    continue
                await self._keep_size(self._view)
            except NoStore as error:
                self._view = None
                self._fail(str(error))
                self._there.clear()
                self._wake.set()
            except (Silent, Refused) as error:
                self._why = str(error)
            await asyncio.sleep(_LOOK_EVERY)

    async def _report(self, view: View) -> None:
        records = await asyncio.to_thread(self._holding.events, _EVENTS)
        if not records:
            return
        self._count(view, records[-1].number, [record.event for record in records])
        now = uptime_ns()
        events = [b'{"age_ns":%d,' % max(0, now - record.at) + record.event[1:] for record in records]
        document = {
            "cluster": self._node.cluster,
            "node": self._node.name,
            "boot": self._maker.boot,
            "store": view.store,
            "epoch": view.epoch,
            "first": records[0].number,
        }
        try:
            acknowledged = await self._centre.report(document, events)
        except Gap as gap:
            if gap.wanted <= records[0].number:
                await self._begin_anew()  # ipamd has lost what it had acknowledged
                raise
            acknowledged = gap.wanted - 1
        except Over:
            self._wake.set()
            raise
        await asyncio.to_thread(self._holding.acknowledge, acknowledged)

    def _count(self, view: View, last: int, events: list[bytes]) -> None:
        """Count the ADDs that the lease served, each once."""
        keys = {seat.number: seat.configuration for seat in view.seats}
        first = last - len(events) + 1
        now = time.monotonic()
        for number, event in enumerate(events, first):
            if number > self._counted and event.startswith(b'{"kind":"begin"'):
                seat = int(event[len(b'{"kind":"begin","seat":') :].partition(b",")[0])
                if seat in keys:
                    self._demand.count(keys[seat], now)
        self._counted = max(self._counted, last)

    async def _keep_size(self, view: View) -> None:
        """Give back what is too much; have more asked for if less than half of what is wanted is there."""
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
            self._wake.set()
        lacks = [key for key, free in wanted.items() if 2 * len(view.free_of(key)) < free]
        may_be_had = any(now - self._refused.get(key, (0.0, ""))[0] >= _REFUSED_SECONDS for key in lacks)
        if (may_be_had or view.count(layout.RETURNING)) and now >= self._asked_at + _WAKE_EVERY:
            self._wake.set()

    def _fail(self, why: str) -> None:
        self._why = why
        self._facts.fail("the lease of this node", why)


def _configuration_of(body: bytes, node: Node) -> tuple[Configuration, str, str] | None:
    """The configuration of an ADD that a lease could serve, with name and version; None for any other."""
    try:
        call = _CALL.decode(body)
        configuration = decode(bytes(call.config))
        check(configuration.values, "ADD")
    except (msgspec.MsgspecError, ValueError, Failure):
        return None
    if (call.cluster, call.node) != (node.cluster, node.name):
        return None
    if asked.bears_on_the_address(configuration.values, call.args):
        return None
    values = configuration.values
    return configuration, str(values["name"]), str(values.get("cniVersion"))
