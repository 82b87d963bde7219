"""Keeps the pod network of this node as ipamd announces it: asks, computes, writes, and looks again.

Whatever happens leads to the same: a whole pass, which reads the kernel and writes what differs. While ipamd
does not answer, passes go on with what it said last; until it has said anything, nothing is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

import structlog

from cni_plugin.failure import Failure
from netlink import attribute
from netlink.connection import ROUTE, Interrupted
from node_agent.facts import Facts, rfc3339
from node_agent.machine import machine
from node_agent.node import Node
from node_agent.pod_network import files, probing, services, uplink
from node_agent.pod_network.announced import Malformed
from node_agent.pod_network.convergence import Convergence
from node_agent.pod_network.desired import Conflict, compute, mac_of
from node_agent.pod_network.events import Events
from node_agent.pod_network.hearing import Hearing
from node_agent.pod_network.network import Address, Mode, Network
from node_agent.pod_network.network_calls import NetworkCalls, TooOld
from node_agent.pod_network.probing import Prober
from node_agent.pod_network.standing import Standing
from node_agent.pod_network.uplink import NoAddress, Uplink
from node_agent.pod_network.writing import Kernel, Outcome, Unread
from node_agent.relay.membership import Membership
from node_agent.relay.upstream import Refused, Silent, Upstream
from veth_plugin.kernel.asking import connect

_WHOLE_SECONDS: Final = 300.0
"""So often all is read again at ipamd, and in the kernel, though nothing has happened."""
_COALESCE_SECONDS: Final = 0.05
"""What happens within this time leads to one pass."""
_REST_SECONDS: Final = 0.25
_REST_FOR_EACH_SECOND: Final = 4.0
"""So much rest after a pass that passes take a part of a core only, however large the cluster is."""
_RETRY_SECONDS: Final = 5.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Options:
    """Which address the node publishes: the first of `addresses` that it has, else the one towards ipamd."""

    addresses: Sequence[str]


@dataclass(slots=True)
class _Pass:
    """What one pass found and did."""

    uplink: Uplink | None
    mtu: int
    """The MTU of pods."""
    modes: Mapping[str, Mode]
    """How packets go to each peer."""
    conflicts: Sequence[str]
    """What stands in the way of more."""
    outcome: Outcome
    seconds: float


def _texts(addresses: Sequence[Address]) -> list[str]:
    return list(map(str, addresses))


class PodNetwork:
    """The node's part of the pod network. `status` tells how it is."""

    def __init__(
        self, node: Node, options: Options, upstream: Upstream, membership: Membership, facts: Facts
    ) -> None:
        self._node = node
        self._options = options
        self._calls = NetworkCalls(node, machine(node.state_dir), upstream, membership)
        self._facts = facts
        self._mac = mac_of(node.cluster, node.name)
        self._kernel = Kernel()
        self._network: Network | None = None
        self._published: Uplink | None = None
        self._last: _Pass | None = None
        self._last_at: float | None = None
        self._refusal: str | None = None
        """Why this node is not announced, or the network is not known."""
        self._look = asyncio.Event()
        self._publish = asyncio.Event()
        self._prober = Prober(self._look.set)
        self._hearing = Hearing(node.name, self._prober)
        self._standing = Standing(self._hearing, facts)
        self._convergence = Convergence(self._hearing, self._standing, facts)

    async def keep(self) -> None:
        """Carry the network, until cancelled. What stands in the kernel stays there."""
        events = Events(self._look.set)
        events.begin()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_asking())
                tasks.create_task(self._keep_passing(events))
                tasks.create_task(self._prober.keep())
                tasks.create_task(self._standing.keep())
                tasks.create_task(self._convergence.keep())
        finally:
            events.close()

    async def until_known(self, results: Sequence[bytes], seconds: float) -> bool:
        """Wait until the other nodes send to the addresses of some CNI results, so many seconds at most.

        Whether they do.
        """
        return await self._convergence.until_known(results, seconds)

    def status(self) -> dict[str, Any]:
        """How the network is, for `ipamd-agent status`."""
        last, network = self._last, self._network
        peers = dict(network.nodes) if network else {}
        own = peers.pop(self._node.name, None)
        modes = last.modes if last else {}
        return {
            "number": network.number if network else None,
            "mode": network.settings.mode if network else None,
            "address": str(self._published.address) if self._published else None,
            "pod_addresses": _texts(own.pod_addresses) if own else [],
            "uplink": last.outcome.uplink if last else None,
            "port": self.tunnel_port,
            "pools": [{"name": one.name, "subnet": str(one.subnet)} for one in network.pools]
            if network
            else [],
            "mtu": last.mtu if last else None,
            "stands": self._standing.stands,
            "waits_for": list(self._standing.waits_for),
            "routes": dict(zip(("wanted", "there"), self.routes(), strict=True)),
            "peers": [
                {
                    "name": name,
                    "address": str(one.address),
                    "pod_addresses": _texts(one.pod_addresses),
                    "mode": modes.get(name),
                }
                for name, one in sorted(peers.items())
            ],
            "faults": self.faults(),
            "looked_at": rfc3339(self._last_at),
        }

    @property
    def tunnel_port(self) -> int | None:
        """The UDP port to which peers send; None as long as none is known, or if the mode has no tunnel."""
        if self._network is None or self._network.settings.mode not in (Mode.AUTO, Mode.VXLAN):
            return None
        return self._network.settings.port

    def routes(self) -> tuple[int, int]:
        """How many routes are wanted, and how many of them are there."""
        return (self._last.outcome.wanted, self._last.outcome.there) if self._last else (0, 0)

    def peers(self, mode: Mode) -> int:
        """How many other nodes are reached in a mode."""
        return sum(one is mode for one in self._last.modes.values()) if self._last else 0

    def faults(self) -> list[str]:
        """What is wrong now."""
        found = [self._refusal] if self._refusal else []
        if self._last is None:
            return found or ["nothing was written yet: ipamd has not said what"]
        return [
            *found,
            *self._last.conflicts,
            *self._last.outcome.faults,
        ]

    async def _keep_asking(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._ask()
                pause = _FIRST_PAUSE
                continue
            except TooOld:
                log.info("pod network", change="the changes are too old: reading all again")
            except Silent:
                self._refusal = self._refusal or self._unknown()
            except (Refused, Malformed, NoAddress, Unread) as error:
                self._refuse(str(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - or all nodes come at once
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _unknown(self) -> str | None:
        return None if self._network else "ipamd does not answer, and has not said yet which nodes there are"

    def _refuse(self, why: str) -> None:
        self._refusal = why
        self._facts.fail("the pod network", why)

    async def _ask(self) -> None:
        """Read all, publish what is not announced, and follow the changes for a while."""
        is_wanted = self._publish.is_set()
        self._publish.clear()
        network = await self._calls.whole()
        found = await asyncio.to_thread(self._find_uplink, network.settings.underlay)
        if is_wanted or self._published != found or not self._calls.is_complete(network, found, self._mac):
            await self._calls.publish(found, self._mac)
            self._published = found
        if not network.number:  # nobody had joined before, so there are no changes to follow from here
            network = await self._calls.whole()
        self._take(await self._caught_up(network, found))
        self._refusal = None
        try:
            # Agents that began together must not ask together for ever.
            async with asyncio.timeout(_WHOLE_SECONDS * random.uniform(0.7, 1)):  # noqa: S311
                await self._follow()
        except TimeoutError:
            return

    async def _caught_up(self, network: Network, found: Uplink) -> Network:
        """What is announced, once this node is in it and nothing is forgotten: an answer may be old."""
        while not self._calls.is_announced(network, found, self._mac) or network.is_before(self._network):
            later = await self._calls.changed(network)
            if later.number == network.number:
                break
            network = later
        return network

    async def _follow(self) -> None:
        """Take change after change, until this node has something else to publish."""
        again = asyncio.create_task(self._publish.wait())
        try:
            while not again.done():
                assert self._network is not None
                asking = asyncio.create_task(self._calls.changed(self._network))
                try:
                    await asyncio.wait({asking, again}, return_when=asyncio.FIRST_COMPLETED)
                    if asking.done():
                        self._take(asking.result())
                finally:
                    asking.cancel()
        finally:
            again.cancel()

    def _take(self, network: Network) -> None:
        if network == self._network:
            return
        pools = self._network.pools if self._network else ()
        published = self._published
        if (
            network.pools != pools
            and published is not None
            and not self._calls.is_complete(network, published, self._mac)
        ):
            # This node was announced before there was a pool. It asks once for each change of the pools, and
            # not until it has an address, for a pool may have no room.
            self._publish.set()
        self._network = network
        self._look.set()

    async def _keep_passing(self, events: Events) -> None:
        pause = _WHOLE_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look.wait()
            await asyncio.sleep(_COALESCE_SECONDS)
            self._look.clear()
            pause = _WHOLE_SECONDS
            if self._network is None:
                continue
            try:
                if self._node.name not in self._network.nodes:
                    self._hearing.leave()
                    self._standing.leave()
                last = await self._pass(self._network)
            except (Conflict, Unread, OSError) as error:
                self._refuse(str(error))
                pause = _RETRY_SECONDS
                continue
            events.tunnel = last.outcome.tunnel
            if last.outcome.faults:
                pause = _RETRY_SECONDS
            await asyncio.sleep(max(_REST_SECONDS, _REST_FOR_EACH_SECOND * last.seconds))

    async def _pass(self, network: Network) -> _Pass:
        """Make a pass over the kernel. Raises Conflict, Unread or OSError."""
        if self._last is None:
            peers = network.nodes.values()
            self._aim(network, await asyncio.to_thread(self._kernel.reached_directly, peers))
        last = await asyncio.to_thread(self._write, network, self._prober.direct())
        for change in last.outcome.changes:
            log.info("pod network", change=change)
        last.outcome.changes.clear()  # at a start there are thousands
        for fault in last.outcome.faults:
            self._facts.fail("the pod network", fault)
        self._last, self._last_at = last, time.time()
        self._aim(network)
        if not last.outcome.faults:
            self._hearing.wrote(network, last.modes)
            self._standing.wrote()
            self._convergence.wrote()
        if last.uplink is not None and last.uplink != self._published:
            self._publish.set()
        return last

    def _aim(self, network: Network, believed: Collection[str] = ()) -> None:
        ends = probing.ends(network, self._node.name)
        try:
            self._prober.aim(ends, self._last.outcome.uplink if self._last else None, believed)
        except (OSError, Failure) as error:
            self._facts.fail("probing for peers that are reached directly", str(error))

    def _write(self, network: Network, direct: frozenset[str]) -> _Pass:
        """The part of a pass that waits for the kernel, in a thread of its own."""
        began = time.monotonic()
        found = None
        with contextlib.suppress(NoAddress):  # the pass names what is missing
            found = self._find_uplink(network.settings.underlay)
        desired = compute(network, self._node.name, direct, services.address())
        outcome = self._kernel.apply(desired)
        files.write_mtu(desired.mtu)
        seconds = time.monotonic() - began
        return _Pass(found, desired.mtu, desired.modes, desired.faults, outcome, seconds)

    def _find_uplink(self, family: int) -> Uplink:
        """Raises NoAddress or Unread."""
        try:
            routing = connect(ROUTE)
            try:
                return uplink.find(routing, family, self._options.addresses, self._towards())
            finally:
                routing.close()
        except (OSError, Failure, Interrupted, attribute.Malformed) as error:
            raise Unread(f"the kernel cannot be read: {error}") from error

    def _towards(self) -> Address | None:
        """The first address of ipamd's that is written as one."""
        for one in self._node.upstreams:
            with contextlib.suppress(ValueError):
                return ip_address(one.host)
        return None
