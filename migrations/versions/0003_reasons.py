"""Why an admin ended an allocation."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WORDS: Final = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("allocation", sa.Column("reason", WORDS, nullable=True))
    op.execute("UPDATE schema_version SET revision = 3")
