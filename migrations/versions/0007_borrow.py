"""Whether a node may take single addresses out of another node's block."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default: an older ipamd adds pools beside this one, and their nodes borrow as they always did.
    borrow: sa.Column[bool] = sa.Column("borrow", sa.Boolean(), nullable=False, server_default=sa.true())
    op.add_column("pool", borrow)
    op.execute("UPDATE schema_version SET revision = 7")
