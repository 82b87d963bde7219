"""Says when pods may begin on this node: its network is written, and its peers send to it.

A block that this node has just got may have been another's. Until a peer has heard of the change it sends
what is for the block to the other node, or nowhere. So a node that has joined asks each peer for an answer to
its own address among pods, which lies in its first block: the answer takes the way that answers to pods take.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence, Set
from typing import Final

import structlog

from node_agent.facts import Facts
from node_agent.pod_network import echo, files
from node_agent.pod_network.network import IPV4, IPV6, Address, Mode, Network, Peer
from node_agent.pod_network.probing import Prober

LONGEST_SECONDS: Final = 5.0
"""So long pods wait for peers that do not answer."""
_TRY_SECONDS: Final = 0.2
_PAUSE_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 5.0
_SIZE: Final = 64
_MOST_NAMED: Final = 5

log = structlog.get_logger()


class Standing:
    """Whether the network of the node stands. `waits_for` are the peers whose answer is missing."""

    def __init__(self, name: str, prober: Prober, facts: Facts) -> None:
        self._name = name
        self._prober = prober
        self._facts = facts
        self._network: Network | None = None
        """As the last pass has written it whole, and so is the next."""
        self._modes: Mapping[str, Mode] = {}
        self._changed = asyncio.Event()
        self._confirmed: frozenset[Address] | None = None
        """The node's own addresses among pods to which peers send."""
        self._deadline: float | None = None
        """Until when peers may be waited for, by the monotonic clock; None if they need not be."""
        self.waits_for: Sequence[str] = ()

    @property
    def stands(self) -> bool:
        """Whether pods may begin."""
        return self._confirmed is not None

    def wrote(self, network: Network, modes: Mapping[str, Mode]) -> None:
        """Note that a pass has written all that it should, and how each peer is reached."""
        self._network, self._modes = network, modes
        self._changed.set()

    def leave(self) -> None:
        """Let no pod begin, for ipamd announces this node no more. Raises OSError."""
        self._network = self._confirmed = self._deadline = None
        files.remove_ready()

    async def keep(self) -> None:
        """Mark this boot once the network stands, and again after this node has joined anew; for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._mark()
            except OSError as error:
                self._facts.fail("asking peers whether they send to pods of this node", str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                self._changed.set()

    async def _mark(self) -> None:
        """Raises OSError."""
        own = self._own_addresses()
        if own is None:
            return
        if self._confirmed is None:
            self._confirmed = files.ready_with()  # by an earlier life of the agent
        if self._confirmed is None or not own <= self._confirmed:
            self._confirmed = None
            files.remove_ready()
            if self._deadline is None:
                self._deadline = time.monotonic() + LONGEST_SECONDS
            await self._hear_from_peers(self._deadline)
            if self._own_addresses() != own:
                return  # the next pass has seen what became of it
            self._deadline = None
            files.write_ready(own)
            log.info("pod network", change="pods may begin")
        self._confirmed = own

    def _own_addresses(self) -> frozenset[Address] | None:
        own = self._network.nodes.get(self._name) if self._network else None
        return None if own is None else frozenset(own.pod_addresses)

    async def _hear_from_peers(self, deadline: float) -> None:
        """Wait until each peer sends to this node, to the deadline at most. Raises OSError."""
        heard: set[str] = set()
        begun_with = self._own_addresses()
        try:
            while (silent := self._silent(heard)) and time.monotonic() < deadline:
                self.waits_for = silent
                heard |= await self._hear()
                if self._own_addresses() != begun_with:
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            self.waits_for = ()
        if silent:
            log.warning(
                "pods begin, though peers do not answer to this node's address among pods",
                seconds=LONGEST_SECONDS,
                silent=len(silent),
                first=silent[:_MOST_NAMED],
            )

    def _silent(self, heard: Set[str]) -> list[str]:
        """The peers that are reached, and were not heard yet."""
        return sorted(
            name for name, mode in self._modes.items() if mode is not Mode.NONE and name not in heard
        )

    async def _hear(self) -> Set[str]:
        """The peers that answer by the way that packets of pods are to take. Raises OSError."""
        network = self._network
        own = network.nodes.get(self._name) if network else None
        if network is None or own is None or not network.is_complete(own):
            return set()
        if network.settings.mode is Mode.DIRECT:  # this node has its address among pods on no device
            return self._prober.answered()
        direct, undecided = self._prober.direct(), self._prober.undecided()
        # A pair that changes its way now may lose what is under way.
        asked = [
            network.nodes[name]
            for name in self.waits_for
            if name in network.nodes
            and name not in undecided
            and (name in direct) == (self._modes.get(name) is Mode.DIRECT)
        ]
        return await asyncio.to_thread(_answering, own, asked)


def _answering(own: Peer, asked: Sequence[Peer]) -> set[str]:
    """Who answers in all families that it shares with this node. Raises OSError."""
    answering = {peer.name for peer in asked}
    for family in (IPV4, IPV6):
        source = own.pod_address(family)
        names = {address: peer.name for peer in asked if (address := peer.pod_address(family))}
        if source is not None and names:
            silent = echo.silent(source, dict.fromkeys(names, _SIZE), tries=1, seconds=_TRY_SECONDS)
            answering -= {names[address] for address in silent}
    return answering
