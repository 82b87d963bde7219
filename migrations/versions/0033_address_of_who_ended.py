"""On SQLite the index of who had an address is over ended rows alone: who has it is found by another."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

NAME = "allocation_of_address"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index(NAME, "allocation")
        ended = sa.text("until IS NOT NULL")
        op.create_index(NAME, "allocation", ["space", "address", "since", "id"], sqlite_where=ended)
    op.execute("UPDATE schema_version SET revision = 33")
