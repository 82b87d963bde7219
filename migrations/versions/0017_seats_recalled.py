"""Leases: seats that are recalled one by one, and whose seats are of a pool."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("seat", sa.Column("recalled", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name, table, columns, predicate in (
        ("seat_recalled", "seat", ["cluster", "node", "number"], "recalled"),
        ("allocation_seat", "allocation", ["pool", "owner", "cluster", "node"], "seat IS NOT NULL"),
    ):
        where = sa.text(predicate)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    op.execute("UPDATE schema_version SET revision = 17")
