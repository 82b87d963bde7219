"""Sends probes to the peers that may be reached directly, answers theirs, and says when a pair changes.

A probe is sent by a raw socket, which routes by the peer's node address whatever the packet says. It is
received by a packet socket: a strict rp_filter drops what comes directly while its route back is the tunnel.
The MAC of a peer's node address is asked for before: the kernel would ask for it with the packet's source,
which such a peer does not answer.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from netlink import neighbour
from netlink.connection import ROUTE, Connection
from node_agent.pod_network import raw
from node_agent.pod_network.network import Address, Mode, Network, Peer
from node_agent.pod_network.pairing import are_adjacent
from node_agent.pod_network.probe import Pairs, Probe, decode, encode
from veth_plugin.kernel.asking import connect

_SETTLED_SECONDS: Final = 10.0
_PEERS_A_SECOND: Final = 5.0
"""No more than so many probes a second go out once all is settled, however many peers there are."""
_UNSETTLED_SECONDS: Final = 1.0
_SOON: Final = 0.05
_NONCE_BYTES: Final = 8
_LARGEST: Final = 256
_MOST_AT_ONCE: Final = 64
_PORT_OFFSET: Final = 2
"""Of the destination's port in a UDP header."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Between what this node probes: its own address among pods, and each peer's with its node address."""

    own: Address
    port: int
    peers: dict[str, tuple[Address, Address]]


def ends(network: Network, name: str) -> Ends | None:
    """Whom the node probes; None if it probes nobody, since nothing depends on it."""
    own = network.nodes.get(name)
    if own is None or network.settings.mode is not Mode.AUTO:
        return None
    family = own.address.version
    address = own.pod_address(family)
    if address is None:
        return None
    peers: dict[str, tuple[Address, Address]] = {}
    for peer in network.nodes.values():
        other = peer.pod_address(family)
        if peer.name != name and other is not None and _may_be_direct(own, peer):
            peers[peer.name] = (other, peer.address)
    return Ends(address, network.settings.port, peers)


def _takes_the_same(former: Ends | None, ends: Ends | None) -> bool:
    """Whether the sockets of both take the same packets."""
    return former is not None and ends is not None and (former.own, former.port) == (ends.own, ends.port)


def _may_be_direct(own: Peer, peer: Peer) -> bool:
    return own.address.version == peer.address.version and are_adjacent(own, peer)


class Prober:
    """Keeps probing; `changed` is called when another set of peers is to be reached directly."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._pairs = Pairs()
        self._ends: Ends | None = None
        self._names: dict[Address, str] = {}
        self._due: dict[str, float] = {}
        self._sockets: list[socket.socket] = []
        self._link: str | None = None
        self._neighbours: Connection | None = None
        self._wake = asyncio.Event()

    def direct(self) -> frozenset[str]:
        """The peers that are to be reached directly."""
        return frozenset(self._pairs.direct())

    def undecided(self) -> set[str]:
        """The peers of which nobody knows yet whether they are reached directly."""
        return self._pairs.undecided()

    def aim(self, ends: Ends | None, link: str | None, believed: Iterable[str]) -> None:
        """Probe between these ends from now on, by a link. OSError if the kernel gives no socket."""
        is_same = self._sockets and _takes_the_same(self._ends, ends) and self._link == link
        self._ends, self._link = ends, link
        self._pairs.keep(ends.peers if ends else (), frozenset(believed))
        self._names = {pods: name for name, (pods, _) in ends.peers.items()} if ends else {}
        if not is_same:
            self.close()
            if ends is not None and link is not None:
                self._sockets = _open(ends, link)
                self._neighbours = connect(ROUTE)
                asyncio.get_running_loop().add_reader(self._sockets[1], self._receive)
        now = asyncio.get_running_loop().time()
        self._due = {name: self._due.get(name, now) for name in self._pairs.names()}
        self._wake.set()

    def close(self) -> None:
        """Close the sockets."""
        if self._sockets:
            asyncio.get_running_loop().remove_reader(self._sockets[1])
        for each in self._sockets:
            each.close()
        self._sockets = []
        if self._neighbours is not None:
            self._neighbours.close()
            self._neighbours = None

    async def keep(self) -> None:
        """Send what is due, until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                before = self.direct()
                for name in [one for one, due in self._due.items() if due <= loop.time()]:
                    self._probe(name)
                if self.direct() != before:
                    self._changed()
                self._wake.clear()
                due = min(self._due.values(), default=None)
                if due is None:
                    await self._wake.wait()
                    continue
                try:
                    async with asyncio.timeout_at(due):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            self.close()

    def _probe(self, name: str) -> None:
        if not self._sockets:  # the link is not there, or not known yet
            self._wait(name, _UNSETTLED_SECONDS)
            return
        nonce = secrets.token_bytes(_NONCE_BYTES)
        self._pairs.send(name, nonce)
        self._send(name, nonce, is_answer=False)
        self._wait(name, self._long() if self._pairs.is_given_up(name) else _UNSETTLED_SECONDS)

    def _long(self) -> float:
        return max(_SETTLED_SECONDS, len(self._due) / _PEERS_A_SECOND)

    def _wait(self, name: str, seconds: float) -> None:
        """Let the next probe to a peer go out in so many seconds."""
        self._due[name] = asyncio.get_running_loop().time() + seconds
        self._wake.set()

    def _send(self, name: str, nonce: bytes, *, is_answer: bool) -> None:
        if self._ends is None or not self._sockets:
            return
        pods, node = self._ends.peers[name]
        probe = Probe(self._ends.own, pods, nonce, is_answer, self._pairs.is_ready(name))
        try:
            self._resolve(node)
            self._sockets[0].sendto(encode(probe, self._ends.port), (str(node), 0))
        except OSError:
            return  # it is missed, like one that is lost on its way

    def _resolve(self, node: Address) -> None:
        """Have the kernel know a node's MAC. OSError."""
        if self._neighbours is not None and self._link is not None:
            index = socket.if_nametoindex(self._link)
            self._neighbours.exchange([neighbour.resolve(index, node.packed)])

    def _receive(self) -> None:
        before = self.direct()
        for _ in range(_MOST_AT_ONCE):
            try:
                packet = self._sockets[1].recv(_LARGEST)
            except BlockingIOError:
                break
            except OSError:
                self.close()  # the link is gone; the next aim opens another
                return
            probe = decode(packet, self._ends.port) if self._ends else None
            if probe is not None:
                self._hear(probe)
        if self.direct() != before:
            self._changed()

    def _hear(self, probe: Probe) -> None:
        name = self._names.get(probe.source)
        if name is None:
            return
        was_direct = name in self._pairs.direct()
        was_ready = self._pairs.is_ready(name)
        self._pairs.hear(name, probe)
        if not probe.is_answer:
            self._send(name, probe.nonce, is_answer=True)
        # The peer hears at once what has changed here, or begins to answer: it waits for that.
        news = was_ready != self._pairs.is_ready(name) or was_direct != (name in self._pairs.direct())
        if news or (not probe.is_answer and not self._pairs.is_ready(name)):
            self._wait(name, _SOON)
        elif self._pairs.is_settled(name):
            self._wait(name, self._long())


def _open(ends: Ends, link: str) -> list[socket.socket]:
    """A raw socket to send with, and a packet socket that takes probes alone."""
    to_port = raw.HalfWord(_PORT_OFFSET, ends.port)
    receiving = raw.receiver(ends.own, socket.IPPROTO_UDP, link, _LARGEST, to_port)
    return [raw.sender(ends.own.version), receiving]
