"""Sums over a part of a pool's blocks, from an index alone."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("block_parts", "block", ["pool", "first", "allocated"])
    op.create_index("block_freed", "block", ["pool", "last_freed"])
    leased = sa.text("leased > 0")
    op.create_index(
        "block_leased", "block", ["pool", "first", "leased"], sqlite_where=leased, postgresql_where=leased
    )
    # An older ipamd adds up by `block_parts`, and looks into the blocks for the rest.
    op.drop_index("block_sums", "block")
    op.execute("UPDATE schema_version SET revision = 19")
