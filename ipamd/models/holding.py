"""What a node holds, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.identity import Identity
from ipamd.models.lease import Seat
from ipamd.models.node import NodeKey

COUNTED_OF_EACH: Final = 250
"""So many addresses of each node are counted where people ask what several hold. Most nodes have fewer."""

COUNTED_OF_ONE: Final = 10_000
"""The same where they ask about one node."""

NO_BLOCKS: Final[Mapping[str, int]] = MappingProxyType({})


class NodeHolding(NamedTuple):
    """What a node holds: addresses of its containers, free seats of its lease, and blocks by pool.

    `more_addresses` says that addresses were not counted further: it holds more of them.
    """

    addresses: int = 0
    seats: int = 0
    blocks: Mapping[str, int] = NO_BLOCKS
    more_addresses: bool = False

    @classmethod
    def of(cls, addresses: int, seats: int, blocks: Mapping[str, int], most: int) -> NodeHolding:
        """What a node holds, of whose addresses more than `most` were found or all."""
        return cls(min(addresses, most), seats, blocks, addresses > most)


NOTHING: Final = NodeHolding()


def count_holdings(
    nodes: Sequence[NodeKey],
    live: Iterable[Allocation],
    seats: Iterable[Seat],
    blocks: Iterable[Block],
    most: int,
) -> dict[NodeKey, NodeHolding]:
    """What some nodes hold, of all live allocations, seats and blocks; without nodes that hold nothing.

    Of the addresses of each `most` are counted.
    """
    addresses: Counter[NodeKey] = Counter()
    free = Counter(seat.node for seat in seats)
    of_pools: dict[NodeKey, Counter[str]] = {node: Counter() for node in nodes}
    for row in live:
        if isinstance(row.holder, Identity):
            addresses[row.holder.node_key] += 1
            free[row.holder.node_key] -= row.seat is not None and row.seat.position == 0
    for block in blocks:
        if block.node in of_pools:
            of_pools[block.node][block.pool] += 1
    found = {node: NodeHolding.of(addresses[node], free[node], dict(of_pools[node]), most) for node in nodes}
    return {node: holding for node, holding in found.items() if any(holding)}
