"""Look at ipamd now and then: does it answer, and how fast. This also keeps one connection open."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from node_agent.facts import Facts
from node_agent.relay.upstream import Silent, Upstream

_EVERY: Final = 20.0
_WHILE_AWAY: Final = 2.0
_SECONDS: Final = 5.0


async def keep_probing(upstream: Upstream, facts: Facts) -> None:
    """Look, until cancelled."""
    while True:
        began = time.perf_counter()
        try:
            answer = await upstream.ask("GET", "/readyz", {}, b"", _SECONDS)
        except Silent:
            pause = _WHILE_AWAY
        else:
            facts.latency = time.perf_counter() - began
            pause = _EVERY
            if answer.status != 200:
                facts.fail("ipamd is not ready", f"status {answer.status}")
                pause = _WHILE_AWAY
        await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311 - or all nodes ask at once
