"""What holds an answer of ipamd's back until the other nodes send to its addresses.

It is told CNI results, and waits so many seconds at most. It returns whether their addresses are known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

UntilKnown = Callable[[Sequence[bytes], float], Awaitable[bool]]


async def at_once(results: Sequence[bytes], seconds: float) -> bool:
    """Hold nothing back: this agent carries no pod network."""
    del results, seconds
    return True
