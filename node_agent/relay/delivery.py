"""Deliver the spool, with the plugin's own code and so by its rules.

An entry goes only to the endpoints that it names. Usually the agent's socket is one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import structlog

from ipam_plugin.delivery import deliver
from ipam_plugin.spool import Spool
from node_agent.facts import Facts

_LOOK_EVERY: Final = 2.0
_LONGEST_PAUSE: Final = 30.0
_SECONDS: Final = 5.0
"""For one attempt. Nobody waits for it, and an ipamd that has much to do is slower than a call could wait."""

log = structlog.get_logger()


async def keep_delivering(state_dir: Path, facts: Facts) -> None:
    """Deliver whenever something waits, until cancelled. After a failure the next attempt comes later."""
    spool = Spool(str(state_dir))
    returned = facts.woken_on_return()
    pause = _LOOK_EVERY
    while True:
        returned.clear()
        waiting, gone = await _deliver(spool, facts)
        if gone:
            log.info("spool", outcome="delivered", entries=gone, waiting=waiting)
        if waiting and gone:
            pause = _LOOK_EVERY
            continue
        pause = min(2 * pause, _LONGEST_PAUSE) if waiting else _LOOK_EVERY
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await returned.wait()


async def _deliver(spool: Spool, facts: Facts) -> tuple[int, int]:
    """Try once. Returns how many entries still wait, and how many are delivered."""
    try:
        before = set(spool.names())
        if not before:
            return 0, 0
        await asyncio.to_thread(deliver, spool, "", None, _SECONDS)
        gone = len(before - set(spool.names()))
    except (OSError, ValueError) as error:
        facts.fail("the spool cannot be read", str(error))
        return 0, 0
    return len(before) - gone, gone
