"""How much of a process's time the words of one node may take: a broken agent must not hold up the others.

An agent speaks once a minute, which takes some milliseconds. What a node says in a loop is refused: of its
words one is heard at a time, and together they take a part of the time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from ipamd.models.errors import CensusTooOften
from ipamd.models.node import NodeKey

AT_ONCE: Final = 5.0
"""So many seconds of work a node may ask for at once: after a restore it has much to say."""

PART: Final = 0.05
"""The part of the time that a node may ask for in the long run."""

MOST_NODES: Final = 10_000
"""Of so many nodes it is known what they have asked for; names cost nothing where there are no tokens."""


class _Used(NamedTuple):
    """How many seconds of work a node has asked for, of which PART is forgiven each second, and when."""

    seconds: float
    at: float


class Shares:
    """What each node has had of this process's time."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._used: dict[NodeKey, _Used] = {}
        self._speaking: set[NodeKey] = set()

    @contextmanager
    def taken(self, node: NodeKey) -> Iterator[None]:
        """Count the work of the block as the node's. Raises CensusTooOften if it has had its share."""
        self.check(node)
        self._speaking.add(node)
        began = self._now()
        try:
            yield
        finally:
            self._speaking.discard(node)
            self._count(node, self._now() - began)

    def check(self, node: NodeKey) -> None:
        """Raise CensusTooOften if a node has had its share, or speaks already."""
        over = self._left_of(node) - AT_ONCE
        if node in self._speaking or over > 0:
            raise CensusTooOften(node.name, max(1, math.ceil(over / PART)))

    def _left_of(self, node: NodeKey) -> float:
        used = self._used.get(node)
        return 0.0 if used is None else max(0.0, used.seconds - PART * (self._now() - used.at))

    def _count(self, node: NodeKey, seconds: float) -> None:
        used = self._left_of(node) + seconds
        self._used.pop(node, None)  # the dictionary's order is that of the last words
        if len(self._used) >= MOST_NODES:
            self._used.pop(next(iter(self._used)))
        self._used[node] = _Used(used, self._now())
