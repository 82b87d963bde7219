"""Keeps this node's lease: seats for what it is asked for, and ipamd and the store in agreement."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from cni_plugin.configuration import Configuration, check, decode
from cni_plugin.failure import Failure
from cni_plugin.files import replace
from ipam_plugin import leases
from ipam_plugin.leases import asked, layout
from node_agent.facts import Facts
from node_agent.leasing.asking import Asking
from node_agent.leasing.demand import Demand
from node_agent.leasing.following import Following
from node_agent.leasing.former import Former
from node_agent.leasing.holding import Holding, NoStore
from node_agent.leasing.lease_calls import LeaseCalls
from node_agent.leasing.making import Maker
from node_agent.leasing.state import State
from node_agent.leasing.unreported import Unreported
from node_agent.machine import boot
from node_agent.machine import machine as machine_of
from node_agent.node import LEASE_EVENTS, LEASED, Node
from node_agent.relay.holding_back import UntilKnown
from node_agent.relay.membership import Membership
from node_agent.relay.upstream import Upstream

_WHILE_NOT_ALONE: Final = 1.0
_WRITE_EVERY: Final = 0.5
_LOOK_EVERY: Final = 0.1


class AgentRuns(Exception):
    """The lease cannot be given up: an agent would ask for more."""


class Left(NamedTuple):
    """What a node that gives up its lease could not give back, and why ipamd did not take it."""

    free: int
    taken: int
    unreported: int
    is_unsure: bool
    """Whether ipamd may have addresses of former stores for this node."""
    why: str | None

    @property
    def is_to_be_given_back(self) -> bool:
        """Whether there is more than what containers have."""
        return bool(self.free or self.unreported or (self.is_unsure and not self.taken))

    @property
    def is_nothing(self) -> bool:
        """Whether ipamd has all."""
        return not (self.is_to_be_given_back or self.taken)


class _Call(Struct):
    cluster: str
    node: str
    config: Raw
    args: str = ""


_CALL: Final = msgspec.json.Decoder(_Call)


class Leasing:
    """The lease of this node. `most` is how many free seats it may have; with 0 it gives back what it has.

    It gives a seat once the other nodes send to its addresses, which `until_known` says.
    """

    def __init__(
        self,
        node: Node,
        most: int,
        upstream: Upstream,
        membership: Membership,
        facts: Facts,
        until_known: UntilKnown,
    ) -> None:
        self._node = node
        self._most = most
        self._facts = facts
        self.state = State()
        machine = machine_of(node.state_dir)
        maker = Maker(node.cluster, node.name, boot(), machine)
        calls = LeaseCalls(upstream, membership)
        self._demand = Demand(most)
        path = Path(leases.PATH)
        self._holding = Holding(path, maker)
        self._kept = path.with_name("configurations")
        self._leased = node.state_dir / LEASED
        self._events = node.state_dir / LEASE_EVENTS
        self._unreported = Unreported(self._events, maker)
        former = Former(maker, calls, self._unreported, self._leased)
        self._asking = Asking(
            maker, most, calls, self._holding, self._demand, former, self.state, until_known
        )
        self._following = Following(maker, calls, self._holding, self._demand, self._asking, self.state)

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
            self.state.wake.set()

    def status(self) -> dict[str, Any]:
        """How the lease is, for `ipamd-agent status`."""
        state = self.state
        found = {"open": state.is_open, "seats": None, "why": state.why, "refused": state.reasons()}
        if state.view is None:
            return found
        return found | {
            "seats": {
                "free": state.count(layout.FREE),
                "taken": state.count(layout.HELD),
                "returning": state.count(layout.RETURNING),
            },
            "unreported": state.unreported,
            "seconds_left": state.seconds_left,
        }

    async def until_told(self) -> None:
        """Wait until ipamd knows all that the node did with its seats until now."""
        last: int | None = None
        while leases.are_here():
            try:
                view = await asyncio.to_thread(self._holding.view)
            except NoStore:
                return
            last = view.last if last is None else last
            if view.reported >= last or not view.epoch:
                return
            await asyncio.sleep(_LOOK_EVERY)

    async def keep(self) -> None:
        """Keep the lease, until cancelled. What stands in the store stays there, and is given."""
        if self._most == 0 and not self.is_any_kept():
            return
        try:
            await self._wait_for_others()
            self._read_configurations()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._asking.keep())
                tasks.create_task(self._following.keep())
                tasks.create_task(self._keep_unreported())
        finally:
            self._holding.let_go()

    async def give_back(self, seconds: float) -> Left | None:
        """Report all, give back what no container has, within so many seconds. Only if `most` is 0.

        Seats that containers have go back when they end, if an agent runs then. An empty store is removed.
        None if this node has no lease. Raises NoStore, AgentRuns.
        """
        is_any = self.is_any_kept()
        if self._holding.is_of_another():
            return None
        if not self._holding.is_ours():
            if is_any:
                raise AgentRuns("an agent runs, and keeps the lease of this node: stop it first")
            return None
        tasks: list[asyncio.Task[None]] = []
        try:
            if await asyncio.to_thread(self._holding.find):
                self._holding.take_back(self._holding.view().seats)
            loops = (self._asking.keep(), self._following.keep(), self._keep_unreported())
            tasks += [asyncio.create_task(loop) for loop in loops]
            deadline = time.monotonic() + seconds
            while self._left().is_to_be_given_back and time.monotonic() < deadline:
                await asyncio.wait(tasks, timeout=_LOOK_EVERY)
            left = self._left()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._holding.let_go()
        if left.is_nothing:
            self._holding.remove()
        return left if is_any else None

    def _left(self) -> Left:
        has_events, is_unsure, why = self._events.exists(), self._leased.exists(), self.state.why
        if not leases.are_here():
            return Left(0, 0, int(has_events), is_unsure, why)
        view = self._holding.view()
        unreported = max(view.last - view.reported, int(has_events))
        free = view.count(layout.FREE) + view.count(layout.RETURNING)
        return Left(free, view.count(layout.HELD), unreported, is_unsure, why)

    def is_any_kept(self) -> bool:
        """Whether there is a store, or was one of which ipamd may have seats or lack events."""
        return leases.are_here() or self._leased.exists() or self._events.exists()

    async def _wait_for_others(self) -> None:
        """Wait until no other agent keeps this lease, as in an update that starts the new one first."""
        while True:
            try:
                if self._holding.is_ours():
                    return
                self.state.why = "another agent keeps the lease of this node"
            except NoStore as error:
                self.state.why = str(error)
            await asyncio.sleep(_WHILE_NOT_ALONE)

    async def _keep_unreported(self) -> None:
        """Write down what ipamd has not heard of, for history if the power is cut."""
        while True:
            await self.state.there.wait()
            try:
                await asyncio.to_thread(self._unreported.follow, self._holding)
            except NoStore:
                pass  # whoever follows the store says so
            except OSError as error:
                self._facts.fail(f"{self._events} cannot be written", str(error))
            await asyncio.sleep(_WRITE_EVERY)

    def _keep_configurations(self) -> None:
        """Write down what seats are wanted for, in this boot: an agent that begins has seen nothing yet."""
        try:
            self._kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(str(self._kept.parent), self._kept.name, self._demand.encode())
        except OSError as error:
            self._facts.fail(f"{self._kept} cannot be written", str(error))

    def _read_configurations(self) -> None:
        try:
            self._demand.read(self._kept.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._facts.fail(f"{self._kept} cannot be read", str(error))


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
