"""Delivering what waits in the spool, by the plugin's own code and so by its rules.

An entry goes to the endpoints that it names and to no others; the agent's socket is one of them, as a rule.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import structlog

from ipam_plugin.delivery import deliver
from ipam_plugin.spool import Spool
from node_agent.facts import Facts

_LOOK_EVERY: Final = 2.0
_LONGEST_PAUSE: Final = 30.0

log = structlog.get_logger()


async def keep_delivering(state_dir: Path, facts: Facts) -> None:
    """Deliver whenever something waits, until cancelled; what cannot be delivered is tried less often."""
    spool = Spool(str(state_dir))
    pause = _LOOK_EVERY
    while True:
        try:
            before = set(spool.names())
            if before:
                await asyncio.to_thread(deliver, spool, "")
            gone = before - set(spool.names())
        except (OSError, ValueError) as error:
            facts.fail("the spool cannot be read", str(error))
            gone = before = set()
        if gone:
            log.info("spool", outcome="delivered", entries=len(gone), waiting=len(before) - len(gone))
        if len(gone) < len(before):
            pause = _LOOK_EVERY if gone else min(2 * pause, _LONGEST_PAUSE)
        else:
            pause = _LOOK_EVERY
        if not gone or len(gone) == len(before):
            await asyncio.sleep(pause)
