"""Until when history may have been dropped."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "history",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("forgotten", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="history_key"),
        sa.CheckConstraint("id = 1", name="history_one_row"),
    )
    op.execute("INSERT INTO history (id, forgotten) VALUES (1, 0)")
    op.execute("UPDATE schema_version SET revision = 4")
