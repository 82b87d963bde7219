"""On SQLite ipamd merges the segments of the index of terms itself, in pieces between its calls."""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("INSERT INTO listing (listing, rank) VALUES ('automerge', 0)")
    op.execute("UPDATE schema_version SET revision = 34")
