"""Nodes whose containers get nothing new."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default: an older ipamd adds rows beside this one, and drains nobody.
    op.add_column("node", sa.Column("draining", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE schema_version SET revision = 21")
