"""Whose blocks a node looks into, and in which order. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Final

from ipamd.backends.interface import BlockOwner
from ipamd.models.address import IPAddress
from ipamd.models.block import Block
from ipamd.models.errors import AddressUnavailable
from ipamd.models.node import NodeKey
from ipamd.models.pool import Affinity, Pool

CHANGES_HANDS: Final = (BlockOwner.NONE, BlockOwner.OTHER_WHILE_EMPTY)
"""A block of these owners becomes the node's when the node takes its first address."""


class CarvingStep(Enum):
    """The step at which a new block is carved."""

    CARVE = "carve"


def owner_asked(block: Block, node: NodeKey | None) -> BlockOwner:
    """Whose a block is, as seen from a node (None: from nobody's) that asks for an address in it."""
    if block.node is None:
        return BlockOwner.NONE
    if block.node == node:
        return BlockOwner.OWN
    return BlockOwner.ANY if node is None or block.allocated else BlockOwner.OTHER_WHILE_EMPTY


def not_lent(address: IPAddress, block: Block, pool: Pool) -> AddressUnavailable:
    """The refusal of a single address out of another node's block."""
    owner = block.node.name if block.node is not None else "nobody"
    return AddressUnavailable(
        address,
        f"it is in a block of node {owner}, and pool {pool.name} lends no single addresses (its borrow is "
        "false): ask for it on that node, or set borrow",
    )


def order_of_steps(pool: Pool, node: NodeKey | None) -> tuple[BlockOwner | CarvingStep, ...]:
    """Whose blocks a node looks into for an address of a pool, in turn, and when it has one carved."""
    if pool.affinity is Affinity.ANY:
        return BlockOwner.ANY, CarvingStep.CARVE
    single = (BlockOwner.ANY,) if pool.lends else ()
    if node is None:
        return BlockOwner.NONE, CarvingStep.CARVE, *single
    return BlockOwner.OWN, BlockOwner.NONE, CarvingStep.CARVE, BlockOwner.OTHER_WHILE_EMPTY, *single
