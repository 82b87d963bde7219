"""Indexes for the change log's filters: who changed it, and what kind it is."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("change_log_by", "change_log", ["changed_by", "id"])
    op.create_index("change_log_kind", "change_log", ["kind", "id"])
    op.execute("UPDATE schema_version SET revision = 18")
