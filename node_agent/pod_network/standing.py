"""Says when pods may begin on this node: its network is written, and its peers send to it.

A block that this node has just got may have been another's. Until a peer has heard of the change it sends
what is for the block to the other node, or nowhere. So a node that has joined asks each peer for an answer to
its own address among pods, which lies in its first block: the answer takes the way that answers to pods take.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog

from node_agent.facts import Facts
from node_agent.pod_network import files
from node_agent.pod_network.hearing import Hearing
from node_agent.pod_network.network import Address

LONGEST_SECONDS: Final = 5.0
"""So long pods wait for peers that do not answer."""
_PAUSE_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 5.0
_MOST_NAMED: Final = 5

log = structlog.get_logger()


class Standing:
    """Whether the network of the node stands. `waits_for` are the peers whose answer is missing."""

    def __init__(self, hearing: Hearing, facts: Facts) -> None:
        self._hearing = hearing
        self._facts = facts
        self._changed = asyncio.Event()
        self._stood = asyncio.Event()
        self._confirmed: frozenset[Address] | None = None
        """The node's own addresses among pods to which peers send."""
        self._deadline: float | None = None
        """Until when peers may be waited for, by the monotonic clock; None if they need not be."""
        self.waits_for: Sequence[str] = ()

    @property
    def stands(self) -> bool:
        """Whether pods may begin."""
        return self._confirmed is not None

    def wrote(self) -> None:
        """Note that a pass has written all that it should."""
        self._changed.set()

    def leave(self) -> None:
        """Let no pod begin, for ipamd announces this node no more. Raises OSError."""
        self._confirmed = self._deadline = None
        self._stood.clear()
        files.remove_ready()

    async def until_it_stands(self) -> None:
        """Wait until pods may begin."""
        await self._stood.wait()

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
            self._stood.clear()
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
        self._stood.set()

    def _own_addresses(self) -> frozenset[Address] | None:
        own = self._hearing.own
        return None if own is None else frozenset(own.pod_addresses)

    async def _hear_from_peers(self, deadline: float) -> None:
        """Wait until each peer sends to this node, to the deadline at most. Raises OSError."""
        heard: set[str] = set()
        begun_with = self._own_addresses()
        try:
            while (silent := sorted(self._hearing.reached() - heard)) and time.monotonic() < deadline:
                self.waits_for = silent
                heard |= await self._hear(silent)
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

    async def _hear(self, names: Sequence[str]) -> set[str]:
        """Those of some peers that send to this node's own addresses. Raises OSError."""
        network, own = self._hearing.network, self._hearing.own
        if network is None or own is None or not network.is_complete(own):
            return set()
        return await self._hearing.answering(own.pod_addresses, self._hearing.may_be_asked(names))
