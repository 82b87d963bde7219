"""The trigger of PostgreSQL that forbids a prefix of which a live allocation has a part.

It runs for prefixes alone, so that an ADD of an address does not pay for it. On SQLite any trigger would make
each INSERT of the table keep what it changes, so as to undo it alone, which is a sixth more work. There
nobody else writes, and the unit of work looks itself (`ipamd/backends/sql/prefixes.py`).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import DDL, event

from ipamd.backends.sql.schema.allocation import ALLOCATION

FUNCTION: Final = """
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

ON_POSTGRESQL: Final = """
CREATE TRIGGER allocation_prefix_apart BEFORE INSERT ON allocation FOR EACH ROW
WHEN (NEW.prefix_length IS NOT NULL AND NEW.slot = 0 AND NEW.until IS NULL)
EXECUTE FUNCTION allocation_prefix_apart()
"""

PREFIX_GUARD: Final = (FUNCTION, ON_POSTGRESQL)
"""What makes it."""

for _statement in PREFIX_GUARD:
    _made = DDL(_statement).execute_if(dialect="postgresql")  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    event.listen(ALLOCATION, "after_create", _made)
