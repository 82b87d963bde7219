"""Searches for room as statements take them, and what they mean of a block that is at hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ipamd.backends.interface import BlockId, BlockOwner, BlockSearch, BlocksWithFree
from ipamd.backends.sql.rows import number_bytes
from ipamd.backends.sql.session import Values
from ipamd.models.block import Block

BlockKey = tuple[str, int]
"""A block's pool and number; the order in which whoever waits for blocks locks them."""


SearchKind = tuple[BlockOwner, bool]
"""For whose blocks a search is, and whether it is for a prefix."""


def kind_of(search: BlocksWithFree) -> SearchKind:
    """The kind of a search."""
    return search.owner, search.most_allocated is not None


def by_kind(searches: Sequence[BlockSearch]) -> dict[SearchKind, list[tuple[int, BlocksWithFree]]]:
    """The searches for room with their places among all; one statement serves those of one kind."""
    found: dict[SearchKind, list[tuple[int, BlocksWithFree]]] = defaultdict(list)
    for place, search in enumerate(searches):
        if isinstance(search, BlocksWithFree):
            if search.node is None and search.owner in (BlockOwner.OWN, BlockOwner.OTHER_WHILE_EMPTY):
                raise ValueError(f"a search for {search.owner.value} needs the node that looks")
            found[kind_of(search)].append((place, search))
    return found


def search_values(search: BlocksWithFree, most: int) -> Values:
    """A search as a row of the arrays of its statement."""
    cluster, node = search.node or (None, None)
    of_prefix = () if search.most_allocated is None else (search.most_allocated,)
    return search.pool, cluster, node, search.free_before, most, *of_prefix


def numbered_keys(searches: Iterable[BlockSearch]) -> set[BlockKey]:
    """The blocks that searches name."""
    return {(search.pool, search.first) for search in searches if isinstance(search, BlockId)}


def key_values(keys: Iterable[BlockKey]) -> list[Values]:
    """Blocks as rows of the arrays of a statement."""
    return [(pool, number_bytes(first)) for pool, first in keys]


def meant_by(search: BlocksWithFree, block: Block) -> bool:
    """Whether a block as it stands is one that a search looks for."""
    since = block.next_free_since
    if block.pool != search.pool or block.first in search.but_not:
        return False
    if since is None or since > search.free_before:
        return False
    if search.most_allocated is not None and block.allocated > search.most_allocated:
        return False
    match search.owner:
        case BlockOwner.ANY:
            return True
        case BlockOwner.OWN:
            return block.node == search.node
        case BlockOwner.NONE:
            return block.node is None
        case BlockOwner.OTHER_WHILE_EMPTY:
            return not block.allocated and block.node not in (None, search.node)


def longest_free_first(blocks: Iterable[Block], search: BlocksWithFree) -> list[Block]:
    """Blocks with room in the order in which a search answers them."""
    _, is_for_prefix = kind_of(search)
    turn = -1 if is_for_prefix else 1
    return sorted(blocks, key=lambda block: (block.next_free_since or 0, turn * block.first))
