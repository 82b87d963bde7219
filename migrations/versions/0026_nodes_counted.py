"""How many addresses nodes hold, from an index alone: it has the clusters too."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("allocation_live_node", "allocation")
    op.create_index(
        "allocation_live_node",
        "allocation",
        ["node", "space", "address", "cluster", "until", "listed"],
        sqlite_where=sa.text("until IS NULL AND listed"),
        postgresql_where=sa.text("until IS NULL"),
    )
    op.execute("UPDATE schema_version SET revision = 26")
