"""One block, locked to be written anew outside a batch."""

from __future__ import annotations

from ipamd.backends.interface import BlockId, Transaction
from ipamd.engine.catalogue import Catalogue, StaleCatalogue
from ipamd.models.block import Block


async def locked_block(at: BlockId, catalogue: Catalogue, transaction: Transaction) -> Block:
    """Lock a block and read it. Raises StaleCatalogue if the catalogue has moved, or the block is gone."""
    [locked] = await transaction.lock([at])
    if not locked.blocks or await transaction.revision() != catalogue.revision:
        raise StaleCatalogue
    return locked.blocks[0]
