"""Pools that give prefixes of a length, and no addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pool", sa.Column("prefix_length", sa.BigInteger(), nullable=True))
    op.execute("UPDATE schema_version SET revision = 32")
