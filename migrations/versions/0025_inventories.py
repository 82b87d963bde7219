"""Nodes that an inventory of their cluster names, and since when it does not any more."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default: an older ipamd adds rows beside this one, and knows of no inventory.
    op.add_column("node", sa.Column("listed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("node", sa.Column("gone_since", sa.BigInteger(), nullable=True))
    op.execute("UPDATE schema_version SET revision = 25")
