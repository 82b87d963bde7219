"""Whether a pool's gateway outside its subnet is meant."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default: an older ipamd adds pools beside this one, and they mean none.
    meant: sa.Column[bool] = sa.Column(
        "gateway_on_link", sa.Boolean(), nullable=False, server_default=sa.false()
    )
    op.add_column("pool", meant)
    op.execute("UPDATE schema_version SET revision = 6")
