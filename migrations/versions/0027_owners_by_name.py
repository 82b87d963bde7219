"""Lists of owners whom workloads name."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("until IS NULL AND owner IS NOT NULL AND cluster IS NOT NULL")
    columns = ["namespace", "owner", "cluster", "position"]
    op.create_index("allocation_owners", "allocation", columns, sqlite_where=where, postgresql_where=where)
    op.execute("UPDATE schema_version SET revision = 27")
