"""The boots of nodes, numbered in the order in which ipamd heard of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from ipamd.backends.interface import Backend, CatalogueChange, ConstraintViolated
from ipamd.engine.allocation import call_order
from ipamd.engine.clock import Clock
from ipamd.models.errors import Unavailable
from ipamd.models.instant import Instant
from ipamd.models.issued import CallOrder, Issued
from ipamd.models.node import Boot, NodeKey

GAP: Final = 1 << 32
"""Between two numbers, so that a boot of which only a spool tells finds its place between them."""

ATTEMPTS: Final = 4
"""Other replicas may number the same boot at the same time; each attempt sees what they did."""

AT_ONCE: Final = 256
"""Nodes whose boots are numbered in one change: after a restart every node is unknown."""

Numbers = dict[str, int]


class Heard(NamedTuple):
    """A call's own boot and the one in which it was delivered, mostly the same."""

    node: NodeKey
    boot: str
    delivering: str


class Boots:
    """Turns what a call says of its time into its place in the order of its node's calls."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._numbers: dict[NodeKey, Numbers] = {}
        self._latest: dict[NodeKey, tuple[CallOrder, Instant]] = {}
        self._numbering = asyncio.Lock()
        self._unknown: dict[Heard, None] = {}

    async def order_of(self, node: NodeKey, issued: Issued, delivered: Issued | None = None) -> CallOrder:
        """The order of a call; of two boots the one heard of later is the later."""
        numbers = self._numbers.get(node)
        delivering = issued if delivered is None else delivered
        if numbers is None or issued.boot not in numbers or delivering.boot not in numbers:
            await self._learn(Heard(node, issued.boot, delivering.boot))
            numbers = self._numbers[node]
        order = call_order.order_among(numbers, issued, delivered)
        if delivered is None:
            latest = self._latest.get(node)
            if latest is None or latest[0] < order:
                self._latest[node] = order, self._clock.passed()
        return order

    def order_on_arrival(self, node: NodeKey | None) -> CallOrder:
        """The order of a call that does not say when it was issued."""
        latest = self._latest.get(node) if node is not None else None
        return call_order.order_on_arrival(self._clock(), self._clock.passed(), latest)

    async def order_if_heard(self, node: NodeKey, issued: Issued) -> CallOrder:
        """The same, with nothing noted: of a boot that nobody has heard of, later than all others."""
        number = self._numbers.get(node, {}).get(issued.boot)
        if number is None:
            known = await self._backend.change(_numbers_of(node))
            number = known.get(issued.boot, max(known.values(), default=0) + GAP)
        return CallOrder(number, issued.uptime_ns)

    def _knows(self, heard: Heard) -> bool:
        numbers = self._numbers.get(heard.node, {})
        return heard.boot in numbers and heard.delivering in numbers

    async def _learn(self, heard: Heard) -> None:
        """Read the boots of nodes and number those that nobody has heard of, for all who wait."""
        self._unknown[heard] = None
        async with self._numbering:
            if self._knows(heard):
                return
            first = dict.fromkeys((*islice(self._unknown, AT_ONCE), heard))
            for each in first:
                self._unknown.pop(each, None)
            # By node, so that replicas do not wait for each other in a circle; of one node as they arrived.
            together = sorted(first, key=lambda each: each.node)
            for _ in range(ATTEMPTS):
                try:
                    self._numbers |= await self._backend.change(_numbering(together))
                except ConstraintViolated:
                    continue
                return
        raise Unavailable(f"another replica is numbering a boot of node {heard.node.name}: try again")


def _numbers_of(node: NodeKey) -> Callable[[CatalogueChange], Coroutine[Any, Any, Numbers]]:
    async def read(catalogue: CatalogueChange) -> Numbers:
        return {boot.identity: boot.number for boot in await catalogue.boots(node)}

    return read


def _numbering(
    together: Sequence[Heard],
) -> Callable[[CatalogueChange], Coroutine[Any, Any, dict[NodeKey, Numbers]]]:
    async def number(catalogue: CatalogueChange) -> dict[NodeKey, Numbers]:
        numbers: dict[NodeKey, Numbers] = {}
        for node, boot, delivering in together:
            known = numbers.get(node) or await _numbers_of(node)(catalogue)
            for missing in missing_boots(known, boot, delivering):
                await catalogue.save_boot(node, missing)
                known[missing.identity] = missing.number
            numbers[node] = known
        return numbers

    return number


def missing_boots(known: Numbers, own: str, delivering: str) -> list[Boot]:
    """The boots to add so that both are known, a new `own` before `delivering` and after all before that."""
    missing = []
    last = max(known.values(), default=0)
    if own not in known and delivering in known:
        ceiling = known[delivering]
        floor = max((number for number in known.values() if number < ceiling), default=0)
        missing.append(Boot(own, (floor + ceiling) // 2))
    elif own not in known:
        last += GAP
        missing.append(Boot(own, last))
    if delivering not in known and delivering != own:
        missing.append(Boot(delivering, last + GAP))
    return missing
