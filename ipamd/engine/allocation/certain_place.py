"""The blocks of a certain place: of an address or a prefix that is asked for, or reserved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ipamd.addressing.block import OpenBlock
from ipamd.addressing.mask import Mask
from ipamd.addressing.ranges import Spans
from ipamd.backends.interface import BlockOwner
from ipamd.engine.allocation.batch_blocks import BatchBlocks
from ipamd.engine.allocation.block_owners import owner_asked
from ipamd.engine.allocation.call import NeedsBlock
from ipamd.engine.allocation.picked import NotYet
from ipamd.models.node import NodeKey


class Part(NamedTuple):
    """What of a place lies in one block: `bits` has one for each address that a holder may have."""

    block: OpenBlock
    owner: BlockOwner
    bits: int


def parts_of(
    usable: Spans, mask: Mask, node: NodeKey | None, blocks: BatchBlocks
) -> Iterator[Part | NotYet | NeedsBlock]:
    """The parts of a place in turn, as seen from a node; a block that is not at hand ends them."""
    pool = mask.pool
    for number in mask.blocks_meeting(usable):
        block = blocks.at(pool.name, number, node)
        if not isinstance(block, OpenBlock):
            yield block
            return
        yield Part(block, owner_asked(block.block, node), usable.bits(number, pool.block_size))
