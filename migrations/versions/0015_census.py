"""What nodes say of what lives and is dead on them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

WORDS = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "census",
        sa.Column("cluster", WORDS, nullable=False),
        sa.Column("node", WORDS, nullable=False),
        sa.Column("census", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "node", name="census_key"),
    )
    op.execute("UPDATE schema_version SET revision = 15")
