"""The catalogue: its revision, what is saved under it, and what was changed after one."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, ClauseElement, Table, bindparam, delete, select, update

from ipamd.backends.sql.schema import (
    BLOCK,
    CARVING,
    CATALOGUE,
    CENSUS,
    CONTACT,
    HOLD,
    NODE,
    POD_NETWORK,
    POOL,
    QUOTA,
    REMOVED,
    RESERVATION,
    RESTORATION,
    TOKEN,
    TOKEN_USE,
)
from ipamd.backends.sql.session import Statement
from ipamd.backends.sql.statements.writing import replaced

REVISION: Final = Statement(select(CATALOGUE.c.revision), ())
RAISE_REVISION: Final = Statement(
    update(CATALOGUE).values(revision=CATALOGUE.c.revision + bindparam("raised_by", type_=BigInteger())),
    ("raised_by",),
)

SAVE_POOL: Final = replaced(POOL)
SAVE_RESERVATION: Final = replaced(RESERVATION)
SAVE_QUOTA: Final = replaced(QUOTA)
SAVE_HOLD: Final = replaced(HOLD)
SAVE_NODE: Final = replaced(NODE)
SAVE_TOKEN: Final = replaced(TOKEN)
SAVE_NETWORK: Final = replaced(POD_NETWORK)
SAVE_RESTORATION: Final = replaced(RESTORATION)
NOTE_REMOVAL: Final = replaced(REMOVED)


def _changed_after(table: Table) -> Statement:
    return Statement(select(table).where(table.c.revision > bindparam("known")), ("known",))


POOL_BY_NAME: Final = Statement(select(POOL).where(POOL.c.name == bindparam("of_pool")), ("of_pool",))
POOLS_AFTER: Final = _changed_after(POOL)
RESERVATIONS_AFTER: Final = _changed_after(RESERVATION)
QUOTAS_AFTER: Final = _changed_after(QUOTA)
HOLDS_AFTER: Final = _changed_after(HOLD)
NODES_AFTER: Final = _changed_after(NODE)
TOKENS_AFTER: Final = _changed_after(TOKEN)
NETWORKS_AFTER: Final = _changed_after(POD_NETWORK)
RESTORATION_AFTER: Final = _changed_after(RESTORATION)
REMOVED_AFTER: Final = _changed_after(REMOVED)


def _drop(construct: ClauseElement, *names: str) -> Statement:
    return Statement(construct, names)


DROP_POOL: Final = (
    _drop(delete(BLOCK).where(BLOCK.c.pool == bindparam("of_pool")), "of_pool"),
    _drop(delete(CARVING).where(CARVING.c.pool == bindparam("of_pool")), "of_pool"),
    _drop(delete(POOL).where(POOL.c.name == bindparam("of_pool")), "of_pool"),
)
DROP_RESERVATION: Final = _drop(delete(RESERVATION).where(RESERVATION.c.id == bindparam("row")), "row")
DROP_QUOTA: Final = _drop(delete(QUOTA).where(QUOTA.c.name == bindparam("of_quota")), "of_quota")
DROP_HOLD: Final = _drop(delete(HOLD).where(HOLD.c.name == bindparam("of_hold")), "of_hold")
DROP_NODE: Final = (
    _drop(
        delete(NODE).where(NODE.c.cluster == bindparam("of_cluster"), NODE.c.name == bindparam("of_node")),
        "of_cluster",
        "of_node",
    ),
    _drop(
        delete(CONTACT).where(
            CONTACT.c.cluster == bindparam("of_cluster"), CONTACT.c.node == bindparam("of_node")
        ),
        "of_cluster",
        "of_node",
    ),
    _drop(
        delete(CENSUS).where(
            CENSUS.c.cluster == bindparam("of_cluster"), CENSUS.c.node == bindparam("of_node")
        ),
        "of_cluster",
        "of_node",
    ),
)

DROP_TOKEN: Final = (
    _drop(delete(TOKEN).where(TOKEN.c.id == bindparam("row")), "row"),
    _drop(delete(TOKEN_USE).where(TOKEN_USE.c.token == bindparam("row")), "row"),
)
