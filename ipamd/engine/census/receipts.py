"""The receipts that nodes show, and those that they get."""

from __future__ import annotations

import structlog

from ipamd.backends.interface import Ledger
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.engine.census.receipt import Receipt, signed, verified
from ipamd.engine.census.spoken import Spoken
from ipamd.models.census import Census

log = structlog.get_logger()


class Receipts:
    """Reads and signs receipts with the database's secret."""

    def __init__(self, ledger: Ledger, cache: CatalogueCache) -> None:
        self._ledger = ledger
        self._cache = cache
        self._receipt_key: bytes | None = None

    async def shown(self, spoken: Spoken) -> Receipt | None:
        """What the node was told, by the receipt that it shows.

        If another replica told it more than this one knows, this one reads the catalogue first.
        """
        receipt = None
        if spoken.receipt is not None:
            receipt = verified(await self._key(), spoken.node, spoken.receipt)
            if receipt is None:
                log.warning("census", outcome="receipt not ours", node=spoken.node.name)
        snapshot = self._cache.catalogue.snapshot
        known = snapshot.restoration.timeline
        told = {spoken.timeline, receipt.timeline if receipt is not None else None}
        if told - {None, known} or (receipt is not None and receipt.revision > snapshot.revision):
            await self._cache.refresh()
        return receipt

    async def signed(self, census: Census) -> str:
        """A receipt of all that a node was told, for it to keep."""
        snapshot = self._cache.catalogue.snapshot
        timeline = snapshot.restoration.timeline
        receipt = Receipt(timeline, snapshot.revision, census.told_within(timeline))
        return signed(await self._key(), census.node, receipt)

    async def _key(self) -> bytes:
        if self._receipt_key is None:
            self._receipt_key = await self._ledger.receipt_key()
        return self._receipt_key
