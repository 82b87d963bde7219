"""Searches for blocks with room: a row of the arrays is one search, a lateral query answers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Select, TableValuedAlias, Text, literal_column, select, text

from ipamd.backends.interface import BlockOwner
from ipamd.backends.sql.postgres.arrays.blocks import BLOCK_KEYS
from ipamd.backends.sql.postgres.arrays.given import PLACE, Kinds, rows_given
from ipamd.backends.sql.postgres.searching import SearchKind
from ipamd.backends.sql.schema import BLOCK
from ipamd.backends.sql.session import Statement
from ipamd.backends.sql.statements import BLOCK_COLUMNS, owned_by

_SEARCH: Final[Kinds] = {
    "pool": Text(),
    "cluster": Text(),
    "node": Text(),
    "free_before": BigInteger(),
    "most": BigInteger(),
}

_PREFIX_SEARCH: Final[Kinds] = {**_SEARCH, "most_allocated": BigInteger()}


def _with_free(kind: SearchKind, columns: Sequence[Any], given: TableValuedAlias, most: Any) -> Select[Any]:
    owner, is_for_prefix = kind
    of_node = (BLOCK.c.cluster == given.c.cluster) & (BLOCK.c.node == given.c.node)
    query = select(*columns).where(
        BLOCK.c.pool == given.c.pool,
        BLOCK.c.next_free_since <= given.c.free_before,
        *owned_by(owner, of_node),
    )
    if is_for_prefix:
        query = query.where(BLOCK.c.allocated <= given.c.most_allocated)
        return query.order_by(BLOCK.c.next_free_since, BLOCK.c.first.desc()).limit(most)
    return query.order_by(BLOCK.c.next_free_since, BLOCK.c.first).limit(most)


def _searched(kind: SearchKind) -> Kinds:
    return _PREFIX_SEARCH if kind[1] else _SEARCH


def _lock_with_free(kind: SearchKind) -> Statement:
    """The place of each search with a block that it locked, as far as nobody else holds it."""
    given, names = rows_given(_searched(kind), numbered=True)
    found = _with_free(kind, BLOCK_COLUMNS, given, given.c.most).with_for_update(skip_locked=True)
    lateral = found.lateral("found")
    return Statement(
        select(given.c[PLACE], *(lateral.c[one.name] for one in BLOCK_COLUMNS)).select_from(
            given.join(lateral, text("true"))
        ),
        names,
    )


def _more_with_free(kind: SearchKind) -> Statement:
    """The places of the searches that find more blocks than `most`, whoever holds them."""
    given, names = rows_given(_searched(kind), numbered=True)
    next_one = _with_free(kind, [BLOCK.c.first], given, literal_column("1")).offset(given.c.most)
    return Statement(select(given.c[PLACE]).where(next_one.correlate(given).exists()), names)


def _some_with_free(kind: SearchKind) -> Statement:
    """The numbers of blocks for each search, whoever holds them."""
    given, names = rows_given(_searched(kind))
    lateral = _with_free(kind, BLOCK_KEYS, given, given.c.most).lateral("found")
    return Statement(
        select(lateral.c.pool, lateral.c.first).select_from(given.join(lateral, text("true"))), names
    )


_KINDS: Final = [(owner, is_for_prefix) for owner in BlockOwner for is_for_prefix in (False, True)]
LOCK_WITH_FREE: Final = {kind: _lock_with_free(kind) for kind in _KINDS}
MORE_WITH_FREE: Final = {kind: _more_with_free(kind) for kind in _KINDS}
WITH_FREE: Final = {kind: _some_with_free(kind) for kind in _KINDS}
