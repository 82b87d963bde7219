"""How far time has been counted."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    counted: sa.Column[int] = sa.Column(
        "counted", sa.BigInteger(), nullable=False, server_default=sa.text("0")
    )
    op.add_column("history", counted)
    op.execute("UPDATE schema_version SET revision = 9")
