"""Says which blocks of this node its peers send to: until they do, no pod is given an address of a block.

ipamd announces a block ahead of its first address; each peer hears of it, and writes its route, in its own
time. If a block is carved for the very call that takes an address of it, the address is there before that. So
whoever gives addresses on this node, the lease or the relay, waits here. A peer is waited for if it answers
to the node's own address among pods, which it knows since before, and not to the block: then it lives, and
has not heard yet.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

import msgspec
import structlog

from node_agent.facts import Facts
from node_agent.pod_network.hearing import Hearing
from node_agent.pod_network.network import Address, Prefix
from node_agent.pod_network.standing import Standing

LONGEST_SECONDS: Final = 5.0
"""So long an address waits for peers, and for this node to hear of its block."""
TRIES: Final = 3
"""A peer that is silent so often is dead, or no way leads to it: it is not waited for."""
_PAUSE_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 5.0
_MOST_NAMED: Final = 5

log = structlog.get_logger()


class _Ip(msgspec.Struct):
    address: str = ""
    ip: str = ""


class _Result(msgspec.Struct):
    """The addresses of a CNI result. Before version 0.3.0 there was one of each family at most."""

    ips: list[_Ip] = []
    ip4: _Ip | None = None
    ip6: _Ip | None = None


_RESULT: Final = msgspec.json.Decoder(_Result)


def addresses_in(result: bytes) -> list[Address]:
    """The addresses that a CNI result gives. Raises ValueError."""
    told = _RESULT.decode(result)
    given = [each.address or each.ip for each in (*told.ips, told.ip4, told.ip6) if each is not None]
    return [ip_address(one.partition("/")[0]) for one in given]


@dataclass(slots=True)
class Spreading:
    """A block, or a single address, of which not all peers know yet. `deadline` is of the monotonic clock."""

    prefix: Prefix
    deadline: float
    heard: set[str] = field(default_factory=set)
    silent: Counter[str] = field(default_factory=Counter)
    """How often a peer answered to nothing."""

    @property
    def source(self) -> Address:
        """An address of it. The first of a subnet is no host's everywhere, and the second is."""
        return self.prefix[0 if self.prefix.num_addresses == 1 else 1]

    def waits_for(self, reached: Iterable[str]) -> list[str]:
        """The peers that live, as far as one knows, and do not send to it yet."""
        return sorted(name for name in reached if name not in self.heard and self.silent[name] < TRIES)


class Convergence:
    """The blocks and single addresses of this node that its peers send to."""

    def __init__(self, hearing: Hearing, standing: Standing, facts: Facts) -> None:
        self._hearing = hearing
        self._standing = standing
        self._facts = facts
        self._known: set[Prefix] = set()
        self._wrote = asyncio.Event()
        self._more_known = asyncio.Event()

    def wrote(self) -> None:
        """Note that a pass has written all that it should, so that answers find their way."""
        self._known &= self._own()
        self._wrote.set()

    async def until_known(self, results: Sequence[bytes], seconds: float) -> bool:
        """Wait until peers send to the addresses of some CNI results, so many seconds at most.

        Whether they do. Nobody waits for addresses that are not announced.
        """
        try:
            addresses = [address for result in results for address in addresses_in(result)]
        except ValueError:
            return True  # what this is, the plugin says
        try:
            async with asyncio.timeout(min(seconds, LONGEST_SECONDS)):
                while not all(map(self._is_known, addresses)):
                    await self._more_known.wait()
        except TimeoutError:
            return False
        return True

    async def keep(self) -> None:
        """Ask peers about each new block, until cancelled."""
        while True:
            await self._wrote.wait()
            self._wrote.clear()
            await self._standing.until_it_stands()  # so peers that live answer to the node's own address
            try:
                await self._converge()
            except OSError as error:
                self._facts.fail("asking peers whether they send to a block of this node", str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                self._wrote.set()

    def _own(self) -> set[Prefix]:
        own = self._hearing.own
        return set() if own is None else {*own.blocks, *own.borrowed}

    def _is_known(self, address: Address) -> bool:
        network = self._hearing.network
        if network is None or not any(address in pool.subnet for pool in network.pools):
            return True
        return any(address in prefix for prefix in self._known)

    async def _converge(self) -> None:
        """Ask until all blocks of this node are known. Raises OSError."""
        waiting: dict[Prefix, Spreading] = {}
        while unknown := self._own() - self._known:
            deadline = time.monotonic() + LONGEST_SECONDS
            waiting = {prefix: waiting.get(prefix) or Spreading(prefix, deadline) for prefix in unknown}
            await asyncio.gather(*map(self._ask, waiting.values()))
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask(self, announced: Spreading) -> None:
        """Ask the peers that are not known to send to a block. Raises OSError."""
        hearing = self._hearing
        own = hearing.own
        if own is None:
            return
        asked = hearing.may_be_asked(announced.waits_for(hearing.reached()))
        names = {peer.name for peer in asked}
        announced.heard |= await hearing.answering([announced.source], asked)
        rest = [peer for peer in asked if peer.name not in announced.heard]
        living = await hearing.answering(own.pod_addresses, rest) if rest else set()
        announced.silent.update(names - announced.heard - living)
        late = announced.waits_for(hearing.reached())
        if not late or time.monotonic() >= announced.deadline:
            self._learn(announced.prefix, late)

    def _learn(self, prefix: Prefix, late: Sequence[str]) -> None:
        """Take a block for known, though some peers are late."""
        if late:
            log.warning(
                "addresses of a block are given, though peers do not send to it yet",
                block=str(prefix),
                seconds=LONGEST_SECONDS,
                late=len(late),
                first=late[:_MOST_NAMED],
            )
        self._known.add(prefix)
        self._more_known.set()
        self._more_known = asyncio.Event()
