"""Names of nodes in lower case: names that differ by case alone are one node."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from ipamd.models.identity import Identity
from ipamd.models.node import node_name

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COMPARES_WITHOUT_CASE = 7
"""The oldest revision whose code surely does: older code would not find the nodes that were renamed."""

BYTES = ("digest", "proof")
INTEGERS = (
    *("id", "position", "until", "number", "heard", "revision"),
    *("taken_boot", "repeated_boot", "oldest_code"),
)


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *(_column(column) for column in columns))


def _column(name: str) -> sa.ColumnClause[Any]:
    if name in BYTES:
        return sa.column(name, sa.LargeBinary())
    return sa.column(name, sa.BigInteger() if name in INTEGERS else sa.Text())


ALLOCATION = _table(
    "allocation",
    *("id", "cluster", "network", "node", "container_id", "ifname", "digest", "position", "until"),
    *("taken_boot", "repeated_boot"),
)
BLOCK = _table("block", "cluster", "node")
BOOT = _table("boot", "cluster", "node", "number")
CONTACT = _table("contact", "cluster", "node", "heard")
TOKEN = _table("token", "cluster", "node", "revision")
NODE = _table("node", "cluster", "name", "labels", "proof", "revision")
CATALOGUE = _table("catalogue", "revision")
REMOVED = _table("removed", "kind", "cluster", "name", "revision")
VERSION = _table("schema_version", "revision", "oldest_code")


def upgrade() -> None:
    connection = op.get_bind()
    known = [(table.c.cluster, table.c.node) for table in (BLOCK, BOOT, CONTACT, TOKEN)]
    known.append((NODE.c.cluster, NODE.c.name))
    found = {tuple(row) for columns in known for row in connection.execute(sa.select(*columns).distinct())}
    renamed = sorted((cluster, name) for cluster, name in found if name and name != node_name(name))
    if renamed:
        connection.execute(sa.update(CATALOGUE).values(revision=CATALOGUE.c.revision + 1))
        for cluster, name in renamed:
            _rename(connection, cluster, name, node_name(name))
        older = VERSION.c.oldest_code < COMPARES_WITHOUT_CASE
        connection.execute(sa.update(VERSION).where(older).values(oldest_code=COMPARES_WITHOUT_CASE))
    op.execute("UPDATE schema_version SET revision = 10")


def _rename(connection: sa.Connection, cluster: str, old: str, new: str) -> None:
    _rename_boots(connection, cluster, old, new)
    live = (*_of(ALLOCATION, cluster, old), ALLOCATION.c.until.is_(None))
    for row in connection.execute(sa.select(ALLOCATION).where(*live)).all():
        digest = Identity(cluster, row.network, new, row.container_id, row.ifname).digest
        place = (ALLOCATION.c.digest == digest, ALLOCATION.c.position == row.position)
        taken = sa.select(ALLOCATION.c.id).where(*place, ALLOCATION.c.until.is_(None))
        # If the container came again under the new name, it holds two addresses. GC frees the other one.
        if not connection.execute(taken).all():
            connection.execute(sa.update(ALLOCATION).where(ALLOCATION.c.id == row.id).values(digest=digest))
    for table in (ALLOCATION, BLOCK):
        connection.execute(sa.update(table).where(*_of(table, cluster, old)).values(node=new))
    revision = sa.select(CATALOGUE.c.revision).scalar_subquery()
    connection.execute(sa.update(TOKEN).where(*_of(TOKEN, cluster, old)).values(node=new, revision=revision))
    _rename_contact(connection, cluster, old, new)
    _rename_entry(connection, cluster, old, new)


def _rename_boots(connection: sa.Connection, cluster: str, old: str, new: str) -> None:
    """Rename a node's boots. Where the new name has boots, all that the old one did was before them."""
    if not connection.execute(sa.select(BOOT.c.number).where(*_of(BOOT, cluster, new))).all():
        connection.execute(sa.update(BOOT).where(*_of(BOOT, cluster, old)).values(node=new))
        return
    connection.execute(sa.delete(BOOT).where(*_of(BOOT, cluster, old)))
    before = sa.update(ALLOCATION).where(*_of(ALLOCATION, cluster, old))
    connection.execute(before.values(taken_boot=0, repeated_boot=0))


def _rename_contact(connection: sa.Connection, cluster: str, old: str, new: str) -> None:
    both = (*_of(CONTACT, cluster, new), *_of(CONTACT, cluster, old))
    heard = [
        *connection.execute(sa.select(CONTACT.c.heard).where(*both[:2])).scalars(),
        *connection.execute(sa.select(CONTACT.c.heard).where(*both[2:])).scalars(),
    ]
    connection.execute(sa.delete(CONTACT).where(*both[:2]))
    connection.execute(sa.delete(CONTACT).where(*both[2:]))
    if heard:
        connection.execute(sa.insert(CONTACT).values(cluster=cluster, node=new, heard=max(heard)))


def _rename_entry(connection: sa.Connection, cluster: str, old: str, new: str) -> None:
    """Rename a node's entry. What is known under the new name counts."""
    meant = (NODE.c.cluster == cluster) & NODE.c.name.in_([old, new])
    entries = {row.name: row for row in connection.execute(sa.select(NODE).where(meant))}
    if old not in entries:
        return
    revision = sa.select(CATALOGUE.c.revision).scalar_subquery()
    gone = (REMOVED.c.kind == "node", REMOVED.c.cluster == cluster, REMOVED.c.name == old)
    connection.execute(sa.delete(REMOVED).where(*gone))
    connection.execute(sa.insert(REMOVED).values(kind="node", cluster=cluster, name=old, revision=revision))
    values = {"name": new, "revision": revision}
    if new in entries:
        connection.execute(sa.delete(NODE).where(NODE.c.cluster == cluster, NODE.c.name == old))
        if entries[new].proof is None:
            values["proof"] = entries[old].proof
        if entries[new].labels == "{}":
            values["labels"] = entries[old].labels
    kept = new if new in entries else old
    connection.execute(sa.update(NODE).where(NODE.c.cluster == cluster, NODE.c.name == kept).values(**values))


def _of(table: sa.TableClause, cluster: str, node: str) -> Sequence[sa.ColumnElement[bool]]:
    return table.c.cluster == cluster, table.c.node == node
