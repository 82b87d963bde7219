"""What any replica began with a lease: seats that are recalled, boots that are noted."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Set
from typing import Final

import structlog

from ipamd.backends.interface import Ledger
from ipamd.models.errors import DomainError
from ipamd.models.lease import Lease
from ipamd.models.node import NodeKey

LOOK_EVERY: Final = 0.5
"""Seconds between two looks. Both lists are mostly empty, and each is one index."""

log = structlog.get_logger()


class News:
    """Follows the database. `noted` are the leases for which another boot or store is noted."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._recalled: Mapping[NodeKey, Set[int]] = {}
        self.noted: dict[NodeKey, Lease] = {}

    def recalled(self, node: NodeKey) -> Set[int]:
        """The seats of a node that are recalled one by one."""
        return self._recalled.get(node, frozenset())

    async def look(self) -> None:
        """Read both lists. Raises Unavailable."""
        recalled: dict[NodeKey, set[int]] = defaultdict(set)
        for seat in await self._ledger.recalled_seats():
            recalled[seat.node].add(seat.number)
        self._recalled = recalled
        self.noted = {lease.node: lease for lease in await self._ledger.noted_leases()}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        silent = False
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except DomainError as error:
                if not silent:
                    log.warning("news of leases cannot be read; ipamd tries again", error=str(error))
                silent = True
            else:
                silent = False
