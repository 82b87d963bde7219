"""The calls that wait for a batch, in turn by node, so that a busy node makes its own calls wait only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from ipamd.engine.allocation.call import Call
from ipamd.models.errors import Unavailable
from ipamd.models.identity import Digest
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Outcome, Refused

MOST: Final = 20_000
MOST_OF_ONE_NODE: Final = 2_000
"""How many calls may wait: enough for a node that starts all its pods at once, and collects what it left."""


class QueuedCall(Struct):
    """A call whose caller waits until `deadline`, in the event loop's time.

    `misses` counts the batches in which others held what it needs.
    """

    call: Call
    holders: tuple[Digest, ...]
    deadline: float
    answer: asyncio.Future[Outcome]
    misses: int = 0

    def tell(self, outcome: Outcome) -> None:
        """Answer the caller, if it still waits."""
        if not self.answer.done():
            self.answer.set_result(outcome)

    def tell_out_of_time(self) -> None:
        """Answer a caller whose call was never settled."""
        self.tell(Refused(Unavailable("the call waited until its time was over: try again")))


class CallQueue:
    """A queue for each node with calls that wait; the next call is the first of the node whose turn it is."""

    def __init__(self) -> None:
        self._of_node: dict[NodeKey | None, deque[QueuedCall]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, waiting: QueuedCall) -> None:
        """Queue a call behind its node's; raises Unavailable if too many wait."""
        node = waiting.call.node
        own = self._of_node.get(node)
        if own is None:
            own = self._of_node[node] = deque()
        elif len(own) >= MOST_OF_ONE_NODE:
            waiter = f"of node {node.name}" if node is not None else "by REST"
            raise Unavailable(f"{MOST_OF_ONE_NODE} calls {waiter} wait already: try again")
        if self._count >= MOST:
            raise Unavailable(f"{MOST} calls wait already: try again")
        own.append(waiting)
        self._count += 1

    def put_back(self, calls: Iterable[QueuedCall]) -> None:
        """Put calls, in the order in which they were taken, before all others of their nodes."""
        returned = list(calls)
        for waiting in reversed(returned):
            self._of_node.setdefault(waiting.call.node, deque()).appendleft(waiting)
        self._count += len(returned)

    def take(self) -> QueuedCall:
        """The next call; raises KeyError if none waits. Its node's turn comes again after all others'."""
        node = next(iter(self._of_node), None)
        own = self._of_node.pop(node)
        waiting = own.popleft()
        if own:
            self._of_node[node] = own
        self._count -= 1
        return waiting
