"""Indexes of listings that take rows by thousands, on SQLite."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LATE = {
    "allocation_live_node": (["node", "space", "address"], "until IS NULL"),
    "allocation_live_workload": (
        ["namespace", "name", "space", "address"],
        "until IS NULL AND namespace IS NOT NULL",
    ),
    "allocation_of_node": (["node", "since", "id"], "node IS NOT NULL"),
    "allocation_of_name": (["name", "since", "id"], "name IS NOT NULL"),
}


def upgrade() -> None:
    # With a default: the rows that are there are in the indexes, and so is what an older ipamd adds.
    listed: sa.Column[bool] = sa.Column("listed", sa.Boolean(), nullable=False, server_default=sa.true())
    op.add_column("allocation", listed)
    if op.get_bind().dialect.name == "sqlite":
        for name, (columns, predicate) in LATE.items():
            op.drop_index(name, "allocation")
            op.create_index(name, "allocation", columns, sqlite_where=sa.text(f"{predicate} AND listed"))
        columns = ["id", "node", "namespace", "name"]
        op.create_index("allocation_unlisted", "allocation", columns, sqlite_where=sa.text("NOT listed"))
    op.execute("UPDATE schema_version SET revision = 5")
