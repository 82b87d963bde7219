"""Prefixes as allocations: many neighbouring addresses of one holder, as one row."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

FUNCTION = """
CREATE FUNCTION allocation_prefix_apart() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM allocation
        WHERE space = NEW.space AND address >= NEW.address AND address <= NEW.prefix_last
            AND length(address) = length(NEW.address) AND until IS NULL
    ) OR NEW.address <= (
        SELECT prefix_last FROM allocation
        WHERE space = NEW.space AND address < NEW.address AND length(address) = length(NEW.address)
            AND until IS NULL AND prefix_length IS NOT NULL
        ORDER BY address DESC LIMIT 1
    ) THEN
        RAISE EXCEPTION 'a part of the prefix is held'
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'allocation_prefix_apart';
    END IF;
    RETURN NEW;
END
$$
"""

ON_POSTGRESQL = """
CREATE TRIGGER allocation_prefix_apart BEFORE INSERT ON allocation FOR EACH ROW
WHEN (NEW.prefix_length IS NOT NULL AND NEW.slot = 0 AND NEW.until IS NULL)
EXECUTE FUNCTION allocation_prefix_apart()
"""


def upgrade() -> None:
    op.execute(
        "ALTER TABLE allocation ADD COLUMN prefix_length SMALLINT CONSTRAINT allocation_prefix_length CHECK "
        "(prefix_length IS NULL OR prefix_length BETWEEN 1 AND 8 * length(address) - 1)"
    )
    binary = "BLOB" if op.get_bind().dialect.name == "sqlite" else "BYTEA"
    op.execute(
        f"ALTER TABLE allocation ADD COLUMN prefix_last {binary} CONSTRAINT allocation_prefix_last CHECK "
        "((prefix_last IS NULL AND prefix_length IS NULL) OR (prefix_length IS NOT NULL AND "
        "prefix_last IS NOT NULL AND "
        "length(prefix_last) = length(address) AND prefix_last > address))"
    )
    for name, columns, predicate in (
        (
            "allocation_live_prefix",
            ["space", "address", "prefix_length", "pool"],
            "until IS NULL AND prefix_length IS NOT NULL",
        ),
        (
            "allocation_of_prefix",
            ["space", "address", "prefix_length", "since", "id"],
            "prefix_length IS NOT NULL",
        ),
    ):
        where = sa.text(predicate)
        op.create_index(name, "allocation", columns, sqlite_where=where, postgresql_where=where)
    if binary == "BYTEA":  # on SQLite a trigger would make every INSERT of the table cost a sixth more
        op.execute(FUNCTION)
        op.execute(ON_POSTGRESQL)
    op.execute("UPDATE schema_version SET revision = 30")
