"""Hears which peers send to addresses of this node's, by the way that packets of pods take.

Each peer is asked for an answer to such an address. The answer comes back only if the peer's kernel has a
route that leads here, and takes nothing of the agent there. The address may be on no device of this node.
"""

from __future__ import annotations

import asyncio
import secrets
import select
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Set
from typing import Final

from node_agent.pod_network import packet, raw
from node_agent.pod_network.network import Address, Mode, Network, Peer
from node_agent.pod_network.probing import Prober

TRY_SECONDS: Final = 0.2
_AT_ONCE: Final = 1000
"""So many requests leave together, or a queue on the way drops some."""
_HOPS: Final = 64
_LARGEST: Final = 256
_MARK_BYTES: Final = 2
_RECEIVED: Final = 4 << 20
_SO_RCVBUFFORCE: Final = 33


class Hearing:
    """The peers as the last pass has written the way to them."""

    def __init__(self, name: str, prober: Prober) -> None:
        self._name = name
        self._prober = prober
        self.network: Network | None = None
        """As the last pass has written it whole, and so is the next; None if there was none."""
        self._modes: Mapping[str, Mode] = {}

    def wrote(self, network: Network, modes: Mapping[str, Mode]) -> None:
        """Note that a pass has written all that it should, and how each peer is reached."""
        self.network, self._modes = network, modes

    def leave(self) -> None:
        """Forget what was written: ipamd announces this node no more."""
        self.network = None

    @property
    def own(self) -> Peer | None:
        """The node itself, as it is announced."""
        return self.network.nodes.get(self._name) if self.network else None

    def reached(self) -> set[str]:
        """The peers to which packets go."""
        return {name for name, mode in self._modes.items() if mode is not Mode.NONE}

    def may_be_asked(self, names: Iterable[str]) -> list[Peer]:
        """Those whose way does not change now: what is under way then may be lost."""
        network = self.network
        if network is None:
            return []
        direct, undecided = self._prober.direct(), self._prober.undecided()
        is_probed = network.settings.mode is Mode.AUTO
        return [
            network.nodes[name]
            for name in names
            if name in network.nodes
            and not (
                is_probed
                and (name in undecided or (name in direct) != (self._modes.get(name) is Mode.DIRECT))
            )
        ]

    async def answering(self, sources: Collection[Address], peers: Collection[Peer]) -> set[str]:
        """The peers that answer to each of some addresses of families that they have. Raises OSError."""
        found = {peer.name for peer in peers}
        for source in sources:
            asked = {address: peer.name for peer in peers if (address := self._address_of(peer, source))}
            if asked:
                answered = await asyncio.to_thread(_ask, source, asked.keys())
                found -= {name for address, name in asked.items() if address not in answered}
        return found

    def _address_of(self, peer: Peer, source: Address) -> Address | None:
        """What answers to an address by the way of pods; None if the peer has nothing of that family.

        In mode `direct` a node has its address among pods on no device.
        """
        if self.network is not None and self.network.settings.mode is Mode.DIRECT:
            return peer.address if peer.address.version == source.version else None
        return peer.pod_address(source.version)


def _ask(source: Address, addresses: Set[Address]) -> set[Address]:
    """Who of them answers a request from the source within a time. Raises OSError."""
    found: set[Address] = set()
    asked = list(addresses)
    for start in range(0, len(asked), _AT_ONCE):
        found |= _ask_at_once(source, asked[start : start + _AT_ONCE])
    return found


def _ask_at_once(source: Address, asked: Collection[Address]) -> set[Address]:
    mark = secrets.token_bytes(_MARK_BYTES)
    protocol, _, _ = packet.ECHO[source.version]
    left = {address.packed: address for address in asked}
    with (
        raw.receiver(source, protocol, None, _LARGEST) as receiving,
        raw.sender(source.version) as sending,
    ):
        receiving.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVED)
        for address in asked:
            request = packet.echo_request(source, address, mark, _HOPS)
            try:
                sending.sendto(request, (str(address), 0))
            except OSError:
                continue  # no way leads there, and so no answer comes
        deadline = time.monotonic() + TRY_SECONDS
        while left and select.select([receiving], [], [], max(0.0, deadline - time.monotonic()))[0]:
            answer = packet.echo_answer(receiving.recv(_LARGEST))
            if answer is not None and answer[1] == mark:
                left.pop(answer[0], None)
    return set(asked) - set(left.values())
