"""Whether a database is one that ipamd can work on: what it says of itself, asked before anything is done."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Text, bindparam, column, func, literal_column, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from ipamd.backends.sql import statements
from ipamd.backends.sql.postgres.connection import PostgresSession
from ipamd.backends.sql.schema import (
    ALLOCATION,
    CATALOGUE,
    METADATA,
    RECEIPT_KEY,
    RELEASE,
    SCHEMA_VERSION,
)
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.backends.sql.version import NO_SCHEMA, SchemaVersion, misfit
from ipamd.models.errors import DatabaseUnfit, SchemaUnfit

OLDEST_SERVER: Final = 130000
"""PostgreSQL 13, by the number that it calls itself."""


def _setting(name: str) -> ColumnElement[str]:
    return func.current_setting(literal_column(f"'{name}'"))


IS_READ_ONLY: Final = or_(
    _setting("default_transaction_read_only") == literal_column("'on'"), func.pg_is_in_recovery()
)
SERVER: Final = Statement(
    select(
        _setting("server_encoding"),
        _setting("server_version_num"),
        _setting("server_version"),
        IS_READ_ONLY,
    ),
    (),
)

DURABILITY: Final = Statement(
    select(
        _setting("fsync"),
        _setting("full_page_writes"),
        _setting("synchronous_standby_names"),
        select(func.count()).select_from(text("pg_stat_replication")).scalar_subquery(),
    ),
    (),
)

READ_ONLY: Final = "read-only: name the primary"

HAS_SCHEMA: Final = Statement(
    select(func.to_regclass(literal_column(f"'{SCHEMA_VERSION.name}'")).is_not(None)), ()
)

SERIALS: Final = (ALLOCATION.name, RELEASE.name)
READ_ONLY_TABLES: Final = {
    SCHEMA_VERSION.name: ("SELECT",),
    RECEIPT_KEY.name: ("SELECT",),
    CATALOGUE.name: ("SELECT", "UPDATE"),
}
ALL: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")

NEEDED: Final = tuple(
    (table, privilege) for table in METADATA.tables for privilege in READ_ONLY_TABLES.get(table, ALL)
)


def _missing_privileges() -> Statement:
    given = (
        func.unnest(bindparam("tables", type_=ARRAY(Text())), bindparam("privileges", type_=ARRAY(Text())))
        .table_valued(column("table", Text()), column("privilege", Text()), name="needed")
        .render_derived()
    )
    has = func.has_table_privilege(func.to_regclass(given.c.table), given.c.privilege)
    return Statement(select(given.c.table, given.c.privilege).where(~has), ("tables", "privileges"))


def _missing_sequences() -> Statement:
    given = (
        func.unnest(bindparam("tables", type_=ARRAY(Text())))
        .table_valued(column("table", Text()), name="needed")
        .render_derived()
    )
    sequence = func.pg_get_serial_sequence(given.c.table, literal_column("'id'"))
    has = func.has_sequence_privilege(sequence, literal_column("'USAGE'"))
    return Statement(select(given.c.table).where(~has), ("tables",))


MISSING_PRIVILEGES: Final = _missing_privileges()
MISSING_SEQUENCES: Final = _missing_sequences()


async def refuse_unfit(session: PostgresSession, place: str) -> None:
    """Raise DatabaseUnfit or SchemaUnfit with what to do, unless this code can serve the database."""
    await refuse_server(session, place)
    sentence = misfit(await version_of(session))
    if sentence is not None:
        raise SchemaUnfit(sentence)
    missing = await missing_privileges(session)
    if missing:
        raise DatabaseUnfit(f"ipamd's user lacks privileges in the database {place}; grant them: {missing}")


async def refuse_server(session: PostgresSession, place: str) -> None:
    """Raise DatabaseUnfit if no schema could make the database one of ipamd's."""
    [(encoding, number, version, read_only)] = await session.fetch(SERVER)
    if int(number) < OLDEST_SERVER:
        raise DatabaseUnfit(f"the database {place} runs PostgreSQL {version}: ipamd needs 13 or later")
    if encoding != "UTF8":
        raise DatabaseUnfit(
            f"the database {place} has the encoding {encoding}: create one with "
            "`createdb -E UTF8 -T template0`"
        )
    if read_only:
        raise DatabaseUnfit(f"the database {place} is {READ_ONLY}")


async def hazards(session: PostgresSession) -> list[str]:
    """Settings by which what ipamd has answered may be lost; see docs/postgresql.md, `Durability`."""
    [(fsync, full_page_writes, standbys, replicas)] = await session.fetch(DURABILITY)
    found = []
    if fsync == "off":
        found.append("fsync is off: a power failure may lose anything; set it to on")
    if full_page_writes == "off":
        found.append("full_page_writes is off: a crash of the machine may tear pages; set it to on")
    if replicas and not standbys:
        found.append(
            "a standby is attached and synchronous_standby_names is empty: if it takes over, the latest "
            "answers are lost; name the standbys that may take over"
        )
    return found


async def version_of(session: DatabaseSession) -> SchemaVersion:
    """What the last migration left; zeros in a database without a schema."""
    [(there,)] = await session.fetch(HAS_SCHEMA)
    if not there:
        return NO_SCHEMA
    [(revision, oldest_code)] = await session.fetch(statements.SCHEMA)
    return SchemaVersion(revision, oldest_code)


async def missing_privileges(session: PostgresSession) -> str:
    """The statements that give what is missing; empty if nothing is."""
    tables, privileges = zip(*NEEDED, strict=True)
    rows = await session.fetch(MISSING_PRIVILEGES, tables, privileges)
    by_table: dict[str, list[str]] = {}
    for table, privilege in rows:
        by_table.setdefault(table, []).append(privilege)
    grants = [f"GRANT {', '.join(each)} ON {table}" for table, each in by_table.items()]
    sequences = await session.fetch(MISSING_SEQUENCES, SERIALS)
    grants += [f"GRANT USAGE ON SEQUENCE {table}_id_seq" for (table,) in sequences]
    return "; ".join(grants)


async def unfit_now(session: DatabaseSession) -> str | None:
    """Why a database that was fit when it was opened no longer is; None if it still is."""
    [(_, _, _, read_only)] = await session.fetch(SERVER)
    return f"the database is {READ_ONLY}" if read_only else misfit(await version_of(session))
