"""What is announced of pod networks, in SQL: its changes are numbered, and read from a number on.

Who announces locks the number of the cluster until the transaction ends, as its last lock of all. So numbers
commit in their order, and nobody who holds one waits for anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from functools import lru_cache
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import bindparam, delete, exists, literal_column, or_, select, text, update
from sqlalchemy.dialects.postgresql import Insert as Upsert

from ipamd.backends.interface import KEPT_ANNOUNCEMENTS, PodNetworkReading
from ipamd.backends.sql.rows import address_of
from ipamd.backends.sql.schema import ALLOCATION, ANNOUNCED, ANNOUNCING, BLOCK, NODE
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.backends.sql.statements import in_pieces, numbered
from ipamd.models.catalogue import Snapshot
from ipamd.models.identity import NODE_OWNER
from ipamd.models.pod_network import Announced, AnnouncedKind, NetworkPosition, NodeAddress, NodeBlock

READ_SINGLY: Final = 32
"""If more nodes than this have changed, those of all are read."""

_NUMBER: Final = (
    select(ANNOUNCING.c.number).where(ANNOUNCING.c.cluster == bindparam("of_cluster")).scalar_subquery()
)


def _next_number() -> Statement:
    first: dict[str, Any] = {"cluster": bindparam("of_cluster"), "epoch": bindparam("new_epoch")}
    upsert = Upsert(ANNOUNCING).values(**first, number=literal_column("1"), forgotten=literal_column("0"))
    raised = {"number": ANNOUNCING.c.number + literal_column("1")}
    return Statement(
        upsert.on_conflict_do_update(index_elements=["cluster"], set_=raised).inline(),
        ("of_cluster", "new_epoch"),
    )


def _note() -> Statement:
    what: dict[str, Any] = {"kind": bindparam("of_kind"), "name": bindparam("of_name")}
    upsert = Upsert(ANNOUNCED).values(cluster=bindparam("of_cluster"), **what, number=_NUMBER)
    return Statement(
        upsert.on_conflict_do_update(
            index_elements=["cluster", "kind", "name"], set_={"number": upsert.excluded.number}
        ).inline(),
        ("of_cluster", "of_kind", "of_name"),
    )


NEXT_NUMBER: Final = _next_number()
NOTE: Final = _note()

RENEW_EPOCHS: Final = Statement(update(ANNOUNCING).values(epoch=bindparam("new_epoch")), ("new_epoch",))

POSITIONS: Final = Statement(select(ANNOUNCING.c.cluster, ANNOUNCING.c.epoch, ANNOUNCING.c.number), ())
POSITION: Final = Statement(
    select(ANNOUNCING.c.epoch, ANNOUNCING.c.number, ANNOUNCING.c.forgotten).where(
        ANNOUNCING.c.cluster == bindparam("of_cluster")
    ),
    ("of_cluster",),
)
CHANGED_AFTER: Final = Statement(
    select(ANNOUNCED.c.kind, ANNOUNCED.c.name).where(
        ANNOUNCED.c.cluster == bindparam("of_cluster"), ANNOUNCED.c.number > bindparam("known")
    ),
    ("of_cluster", "known"),
)

_PUBLISHES: Final = exists().where(
    NODE.c.cluster == ANNOUNCED.c.cluster, NODE.c.name == ANNOUNCED.c.name, NODE.c.published.is_not(None)
)
FORGET: Final = Statement(
    delete(ANNOUNCED).where(
        ANNOUNCED.c.cluster == bindparam("of_cluster"),
        ANNOUNCED.c.number <= bindparam("back_to"),
        ANNOUNCED.c.kind == literal_column("'node'"),
        ~_PUBLISHES,
    ),
    ("of_cluster", "back_to"),
)
NOTE_FORGOTTEN: Final = Statement(
    update(ANNOUNCING)
    .where(ANNOUNCING.c.cluster == bindparam("of_cluster"))
    .values(forgotten=bindparam("back_to")),
    ("back_to", "of_cluster"),
)

_OF_CLUSTER: Final = BLOCK.c.cluster == bindparam("of_cluster")
BLOCKS_OF_POOL: Final = Statement(
    select(BLOCK.c.node, BLOCK.c.first).where(BLOCK.c.pool == bindparam("of_pool"), _OF_CLUSTER),
    ("of_pool", "of_cluster"),
)


@lru_cache
def blocks_of_nodes(length: int) -> Statement:
    """The blocks that some nodes have of a pool."""
    keys, names = numbered(length)
    there = (BLOCK.c.pool == bindparam("of_pool"), _OF_CLUSTER, BLOCK.c.node.in_(keys))
    return Statement(select(BLOCK.c.node, BLOCK.c.first).where(*there), ("of_pool", "of_cluster", *names))


_SINGLE: Final = (ALLOCATION.c.node, ALLOCATION.c.pool, ALLOCATION.c.address)
_YOUNGER: Final = ALLOCATION.alias("younger")
_IS_NEWEST: Final = or_(
    ALLOCATION.c.slot == literal_column("0"),
    ~exists().where(  # of two holders of an owner's address it moves to the younger
        _YOUNGER.c.space == ALLOCATION.c.space,
        _YOUNGER.c.address == ALLOCATION.c.address,
        _YOUNGER.c.until.is_(None),
        _YOUNGER.c.slot > literal_column("0"),
        _YOUNGER.c.id > ALLOCATION.c.id,
    ),
)
_BORROWED: Final = (
    text("allocation.until IS NULL AND allocation.borrowed"),
    ALLOCATION.c.cluster == bindparam("of_cluster"),
    _IS_NEWEST,
)
BORROWED: Final = Statement(select(*_SINGLE).where(*_BORROWED), ("of_cluster",))


@lru_cache
def borrowed_of_nodes(length: int) -> Statement:
    """The single addresses that some nodes have borrowed."""
    keys, names = numbered(length)
    of_nodes = ALLOCATION.c.node.in_(keys)
    return Statement(select(*_SINGLE).where(*_BORROWED, of_nodes), ("of_cluster", *names))


_OWN: Final = (ALLOCATION.c.owner, ALLOCATION.c.pool, ALLOCATION.c.address)
_OWNED: Final = text("until IS NULL AND owner IS NOT NULL")


@lru_cache
def own_of_owners(length: int) -> Statement:
    """The addresses of some owners."""
    keys, names = numbered(length)
    return Statement(select(*_OWN).where(_OWNED, ALLOCATION.c.owner.in_(keys)), names)


OWN_BETWEEN: Final = Statement(
    select(*_OWN).where(
        _OWNED,
        ALLOCATION.c.owner >= bindparam("first"),
        ALLOCATION.c.owner <= bindparam("last"),
    ),
    ("first", "last"),
)


async def announce(session: DatabaseSession, announced: Set[Announced]) -> None:
    """See `CatalogueChange.announce`. In the order of names, as everybody does who announces for several."""
    for cluster in sorted({each.cluster for each in announced}):
        await session.run(NEXT_NUMBER, cluster, str(uuid4()))
        rows = sorted(each for each in announced if each.cluster == cluster)
        await session.run_many(NOTE, [(cluster, kind.value, name) for _, kind, name in rows])


async def renew_epochs(session: DatabaseSession) -> None:
    """See `CatalogueChange.renew_epochs`."""
    await session.run(RENEW_EPOCHS, str(uuid4()))


async def forget_announced(session: DatabaseSession, clusters: Iterable[str]) -> None:
    """Drop what is noted of nodes that are gone, if it is old. The numbers of the clusters are locked."""
    for cluster in sorted(clusters):
        [(_, number, _)] = await session.fetch(POSITION, cluster)
        back_to = number - KEPT_ANNOUNCEMENTS
        if back_to > 0 and await session.run(FORGET, cluster, back_to):
            await session.run(NOTE_FORGOTTEN, back_to, cluster)


async def positions(session: DatabaseSession) -> dict[str, NetworkPosition]:
    """See `Ledger.positions`."""
    rows = await session.fetch(POSITIONS)
    return {cluster: NetworkPosition(epoch, number) for cluster, epoch, number in rows}


async def pod_network(
    session: DatabaseSession, cluster: str, snapshot: Snapshot, after: int | None, only: Sequence[str] | None
) -> PodNetworkReading:
    """See `Ledger.pod_network`."""
    known = await session.fetch(POSITION, cluster)
    epoch, number, forgotten = known[0] if known else (*NetworkPosition(), 0)
    of_all = only is None
    rows = await session.fetch(CHANGED_AFTER, cluster, -1 if after is None else after) if of_all else ()
    changed = {Announced(cluster, AnnouncedKind(kind), name) for kind, name in rows}
    pools = [pool.name for pool in snapshot.pools_of_nodes if pool.is_announced_in(cluster)]
    nodes = list(only) if only is not None else None if after is None else _few(changed)
    return PodNetworkReading(
        NetworkPosition(epoch, number),
        forgotten,
        snapshot,
        changed,
        await _blocks(session, cluster, pools, nodes),
        [each for each in await _borrowed(session, cluster, nodes) if each.pool in pools],
        [each for each in await _own(session, cluster, nodes) if each.pool in pools],
    )


def _few(changed: Set[Announced]) -> list[str] | None:
    """The names of the nodes that have changed; None if all are to be read."""
    if any(each.kind is AnnouncedKind.POOLS for each in changed):
        return None
    nodes = sorted(each.name for each in changed if each.kind is AnnouncedKind.NODE)
    return nodes if len(nodes) <= READ_SINGLY else None


async def _blocks(
    session: DatabaseSession, cluster: str, pools: Sequence[str], nodes: Sequence[str] | None
) -> list[NodeBlock]:
    found: list[NodeBlock] = []
    for pool in pools:
        if nodes is None:
            pieces = [await session.fetch(BLOCKS_OF_POOL, pool, cluster)]
        else:
            pieces = [
                await session.fetch(blocks_of_nodes(len(keys)), pool, cluster, *keys)
                for keys in in_pieces(nodes)
            ]
        for rows in pieces:
            found += [NodeBlock(node, pool, int.from_bytes(first, "big")) for node, first in rows]
    return found


async def _borrowed(session: DatabaseSession, cluster: str, nodes: Sequence[str] | None) -> list[NodeAddress]:
    if nodes is None:
        pieces = [await session.fetch(BORROWED, cluster)]
    else:
        pieces = [
            await session.fetch(borrowed_of_nodes(len(keys)), cluster, *keys) for keys in in_pieces(nodes)
        ]
    return [NodeAddress(node, pool, address_of(packed)) for rows in pieces for node, pool, packed in rows]


async def _own(session: DatabaseSession, cluster: str, nodes: Sequence[str] | None) -> list[NodeAddress]:
    before = f"{NODE_OWNER}:{cluster}/"
    if nodes is None:
        pieces = [await session.fetch(OWN_BETWEEN, before, before + "\U0010ffff")]
    else:
        owners = [before + node for node in nodes]
        pieces = [await session.fetch(own_of_owners(len(keys)), *keys) for keys in in_pieces(owners)]
    return [
        NodeAddress(owner.removeprefix(before), pool, address_of(packed))
        for rows in pieces
        for owner, pool, packed in rows
    ]
