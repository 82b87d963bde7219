"""${message}.

An expanding step leaves `oldest_code` as it is; a contracting one raises it to the oldest revision whose code
may still run on this schema.
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "..."}
    op.execute("UPDATE schema_version SET revision = ${int(up_revision)}")
