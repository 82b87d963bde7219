"""What is PostgreSQL's own: databases that do not fit, constraints that plain SQL meets, waits and plans."""

import asyncio
import re
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import pytest

from ipamd.backends.conformance.examples import allocation
from ipamd.backends.interface import Backend, BlockId, Changes, Transaction, WaitForLocks
from ipamd.backends.registry import open_backend
from ipamd.backends.sql import audit, listing, record, statements
from ipamd.backends.sql.postgres import arrays, unit
from ipamd.backends.sql.postgres.address import Address
from ipamd.backends.sql.postgres.backend import PostgresReader
from ipamd.backends.sql.postgres.connection import PLANS, Door, ready
from ipamd.backends.sql.postgres.connections import MOST, Connections
from ipamd.backends.sql.rows import number_bytes
from ipamd.backends.sql.schema import METADATA, REVISION
from ipamd.backends.sql.session import DatabaseSession, Statement
from ipamd.engine.administration.applying import DesiredState
from ipamd.engine.engine import Engine
from ipamd.models.address import AddressRange
from ipamd.models.allocation import Idempotency
from ipamd.models.block import new_block
from ipamd.models.errors import DatabaseUnfit, DomainError, SchemaUnfit, Unavailable
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation
from tests.backends.conftest import begin, carve, write
from tests.postgres import Postgres


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """A migrated database of a test's own, which may change what it likes; its name."""
    with postgres.copy() as name:
        yield name


async def refusal(url: str) -> DomainError:
    """Why a database cannot be opened, in one sentence."""
    with pytest.raises((DatabaseUnfit, SchemaUnfit)) as caught:
        await open_backend(url)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    return caught.value


async def test_a_server_that_cannot_be_reached_is_named_without_the_password() -> None:
    error = await refusal("postgresql://ipamd:secret@127.0.0.1:1/addresses")

    assert isinstance(error, DatabaseUnfit)
    assert "the database addresses on 127.0.0.1:1 cannot be opened: it cannot be reached" in str(error)
    assert "secret" not in str(error)


async def test_a_database_that_does_not_exist_is_to_be_created(postgres: Postgres) -> None:
    assert "it does not exist: create it" in str(await refusal(postgres.url("nowhere")))


async def test_a_user_that_does_not_exist_is_refused(postgres: Postgres, database: str) -> None:
    assert "it refuses the log-in" in str(await refusal(postgres.url(database, user="nobody_there")))


@pytest.mark.parametrize("rest", ["//host:port/x", "//u@[::1/x", "//u@h/x?sslmode=perhaps"])
async def test_what_is_no_address_of_a_database_is_refused(rest: str) -> None:
    assert "write postgresql://USER@HOST:5432/DATABASE" in str(await refusal(f"postgresql:{rest}"))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_of_another_encoding_is_refused(postgres: Postgres, encoding: str) -> None:
    with postgres.database("TEMPLATE template0", f"ENCODING {encoding}", "LOCALE 'C'") as name:
        assert f"has the encoding {encoding}: create one with" in str(await refusal(postgres.url(name)))


async def test_a_database_that_is_read_only_is_refused(postgres: Postgres, database: str) -> None:
    postgres.sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")

    assert "is read-only: name the primary" in str(await refusal(postgres.url(database)))


async def test_a_database_without_a_schema_is_to_be_migrated(postgres: Postgres) -> None:
    with postgres.database() as empty:
        error = await refusal(postgres.url(empty))

    assert isinstance(error, SchemaUnfit)
    assert "is empty" in str(error)
    assert "run `ipamd migrate`" in str(error)


async def test_a_schema_of_a_newer_ipamd_is_refused(postgres: Postgres, database: str) -> None:
    newer = REVISION + 2
    postgres.sql(f"UPDATE schema_version SET revision = {newer}, oldest_code = {newer}", database)

    assert "install a newer ipamd" in str(await refusal(postgres.url(database)))


async def test_a_user_that_lacks_privileges_is_told_what_to_grant_and_serves_then(
    postgres: Postgres, database: str
) -> None:
    user = f"role_{database}"
    postgres.sql(f"CREATE ROLE {user} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}", database)
    try:
        error = str(await refusal(postgres.url(database, user)))
        grants = error.partition("grant them: ")[2].split("; ")
        assert "GRANT INSERT, UPDATE, DELETE ON allocation" in grants
        for grant in grants:
            postgres.sql(f"{grant} TO {user}", database)

        backend = await open_backend(postgres.url(database, user))
        await begin(backend, allocation())
        await backend.close()
    finally:
        postgres.sql(f"DROP OWNED BY {user}; DROP ROLE {user}", database)


async def test_a_database_that_becomes_read_only_refuses_work_with_a_sentence(
    postgres: Postgres, database: str
) -> None:
    backend = await open_backend(postgres.url(database))
    postgres.sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ipamd'")

    assert "read-only" in (await backend.ready() or "")
    with pytest.raises(Unavailable, match="read-only"):
        await begin(backend, allocation())
    await backend.close()


def copy_row(postgres: Postgres, database: str, **changed: str) -> None:
    """Insert the first row of `allocation` once more, with some columns changed."""
    names = [column.name for column in METADATA.tables["allocation"].columns if column.name != "id"]
    values = ", ".join(changed.get(name, f'"{name}"') for name in names)
    quoted = ", ".join(f'"{name}"' for name in names)
    postgres.sql(
        f"INSERT INTO allocation ({quoted}) SELECT {values} FROM allocation ORDER BY id LIMIT 1", database
    )


NO_KEY = {"idempotency_key": "NULL", "idempotency_body": "NULL"}


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({"digest": r"'\x00000000000000000000000000000000'", **NO_KEY}, "allocation_one_in_slot"),
        ({"address": r"'\x00000000'", **NO_KEY}, "allocation_one_answer"),
        (
            {"address": r"'\x00000000'", "digest": r"'\x00000000000000000000000000000000'"},
            "allocation_one_key",
        ),
        ({"address": r"'\x0000000000'"}, "allocation_address"),
        ({"digest": r"'\x00'"}, "allocation_digest"),
        ({"generation": "0"}, "allocation_counts"),
        ({"until": "1"}, "allocation_ending"),
        ({"owner": "'somebody'"}, "allocation_holder"),
        ({"idempotency_body": "NULL"}, "allocation_idempotency"),
    ],
)
async def test_plain_sql_cannot_break_what_the_schema_promises(
    postgres: Postgres, postgres_database: str, changed: dict[str, str], constraint: str
) -> None:
    name = urlsplit(postgres_database).path.lstrip("/")
    backend = await open_backend(postgres_database)
    await begin(backend, allocation(idempotency=Idempotency("key", b"body")))
    await backend.close()

    with pytest.raises(AssertionError, match=f'constraint "{constraint}"'):
        copy_row(postgres, name, **changed)


@pytest.fixture
async def backend(postgres_database: str) -> Backend:
    """An empty database, open; the tests close it where they are not the ones that end first."""
    return await open_backend(postgres_database)


async def test_a_unit_of_work_makes_itself_durable_whatever_the_server_was_set_to(
    postgres: Postgres, database: str
) -> None:
    postgres.sql(f"ALTER DATABASE {database} SET synchronous_commit = off")
    postgres.sql(
        """CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.uid := current_setting('synchronous_commit'); RETURN NEW; END $$;
           CREATE TRIGGER noted BEFORE INSERT ON allocation FOR EACH ROW EXECUTE FUNCTION noted()""",
        database,
    )
    backend = await open_backend(postgres.url(database))

    [stored] = await begin(backend, allocation())

    assert stored.workload.uid == "on"
    await backend.close()


async def test_no_statement_reads_a_table_whole_however_the_tables_have_grown(
    postgres: Postgres, database: str
) -> None:
    backend = await open_backend(postgres.url(database))
    for number in range(40):
        first = 64 * number
        await carve(backend, new_block("pods", first, 64, None), cursor=first + 64)
        await backend.transact(partial(use, first=first))
    await backend.close()

    postgres.sql("SELECT pg_stat_force_next_flush()", database)
    whole = postgres.sql(
        """SELECT relname FROM pg_stat_user_tables WHERE seq_scan > 0
           AND relname IN ('allocation', 'block', 'release')""",
        database,
    )
    assert whole == []


async def use(transaction: Transaction, first: int) -> None:
    row = allocation(f"10.0.{first // 256}.{first % 256}", f"c{first}")
    await transaction.find([row.digest])
    [locked] = await transaction.lock([BlockId("pods", first)])
    await transaction.write(Changes(begun=[row], blocks=list(locked.blocks)))


async def test_no_more_connections_are_opened_than_the_bound(postgres: Postgres, database: str) -> None:
    backend = await open_backend(postgres.url(database))

    work = [backend.transact(lambda transaction: transaction.revision()) for _ in range(50)]
    waiting = [
        backend.transact(lambda transaction: transaction.revision(), WaitForLocks(5.0)) for _ in range(50)
    ]
    readings = [backend.ledger.fill(["pods"]) for _ in range(50)]
    changes = [backend.change(lambda catalogue: catalogue.raise_revision()) for _ in range(20)]
    await asyncio.gather(*work, *waiting, *readings, *changes)

    [[count]] = postgres.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'")
    assert int(count) <= MOST
    await backend.close()


async def test_a_reading_may_be_silent_while_it_makes_values_out_of_many_rows(
    postgres: Postgres, database: str
) -> None:
    connections = Connections(Door(Address.read(postgres.url(database))))

    async def reading(session: DatabaseSession) -> Any:
        await session.fetch(statements.REVISION)
        time.sleep(1.5 * unit.IDLE_SECONDS)  # as one that is busy
        return await session.fetch(statements.REVISION)

    assert await PostgresReader(connections).read(reading)
    await connections.close()


def test_the_plan_of_a_question_about_many_is_no_longer_than_that_about_two(
    postgres: Postgres, database: str
) -> None:
    def steps(length: int) -> int:
        asked = ready(statements.allocated_in(length))
        bounds = [number_bytes(64 * number) for number in range(2 * length)]
        return len(postgres.rows(f"EXPLAIN {asked.text}", database, *asked.arranged(("pods", *bounds))))

    assert steps(256) == steps(2)


async def test_a_file_of_reservations_takes_one_statement_for_each_and_is_stored_as_it_says(
    postgres: Postgres, database: str
) -> None:
    postgres.sql(f"ALTER DATABASE {database} SET log_statement = 'all'")
    engine = await Engine.open(await open_backend(postgres.url(database)))
    await engine.administration.create_pool(
        Pool(name="pods", subnet=ip_network("10.64.0.0/16"), block_length=26)
    )
    wanted = [kept_for(f"vm-{number}", f"10.64.{number}.7") for number in range(200)]
    before = statements_of(database, postgres)

    applied = await engine.administration.apply(DesiredState(None, wanted), prune=False, dry_run=False)

    assert len(applied.changes) == 200
    assert 200 < statements_of(database, postgres) - before < 1.2 * 200 + 50
    other = await Engine.open(await open_backend(postgres.url(database)))
    stored = other.catalogue.snapshot.reservations
    assert {str(each.addresses): each.owner for each in stored.values()} == {
        str(each.addresses): each.owner for each in wanted
    }
    assert stored == engine.catalogue.snapshot.reservations
    await other.close()
    await engine.close()


def kept_for(owner: str, address: str) -> Reservation:
    one = ip_address(address)
    return Reservation(id=0, addresses=AddressRange(one, one), owner=owner)


def statements_of(database: str, postgres: Postgres) -> int:
    """How many statements the server has logged of a database."""
    return len(re.findall(rf"\] {database} LOG:  (?:execute|statement)", postgres.log.read_text()))


def test_a_batch_finds_rows_by_their_keys_also_if_it_was_planned_for_empty_tables(
    postgres: Postgres, database: str
) -> None:
    of_a_batch = {
        "holders": arrays.FOUND_OF_DIGESTS,
        "endings": arrays.END_ALLOCATIONS,
        "drops": arrays.DROP_ALLOCATIONS,
        "repeats": arrays.REPEAT_ALLOCATIONS,
        "blocks": arrays.WRITE_BLOCKS,
        "all that is written": arrays.WRITTEN[True],
        "all that is written if nothing begins": arrays.WRITTEN[False],
        "numbers": arrays.LOCK_FREE_BLOCKS,
        **{f"{owner.value} {prefix}": search for (owner, prefix), search in arrays.LOCK_WITH_FREE.items()},
    }
    settings = {**PLANS, "plan_cache_mode": "force_generic_plan"}
    asked = "".join(f"SET {key} = {value}; " for key, value in settings.items())

    def plan(statement: Statement) -> list[str]:
        nothing = ", ".join(["NULL"] * len(ready(statement).arranged(statement.parameters)))
        prepared = f"PREPARE one AS {ready(statement).text}; EXPLAIN EXECUTE one({nothing})"
        lines = [line.strip("-> ") for (line,) in postgres.sql(asked + prepared, database)]
        return [line for line in lines if "on schema_version" not in line]  # it has one row

    for name, statement in of_a_batch.items():
        lines = plan(statement)
        scans = sum(line.startswith(("Index Scan", "Bitmap Index Scan")) for line in lines)
        conditions = sum(line.startswith("Index Cond:") for line in lines)
        assert 1 <= scans == conditions, (name, lines)
        assert not any(line.startswith(("Join Filter:", "Seq Scan")) for line in lines), (name, lines)


MANY_ROWS = """
INSERT INTO allocation (
    space, address, pool, place, digest, position, cluster, network, node, container_id, ifname, since, until,
    ending, generation, taken_boot, taken_uptime, repeated_boot, repeated_uptime
)
SELECT 'default', decode(lpad(to_hex(n / 2), 8, '0'), 'hex'), 'pods', 0, decode(md5(n::text), 'hex'), 0,
    'default', 'pods', 'node', 'c', 'eth0', n, CASE WHEN n % 2 = 0 THEN n + 1 END,
    CASE WHEN n % 2 = 0 THEN 'released' END, 1, 1, 1, 1, 1
FROM generate_series(1, 20000) AS n;
ANALYZE allocation
"""
"""Ten thousand addresses that are held, and were held once before."""


def test_who_has_and_who_had_an_address_is_found_by_indexes(postgres: Postgres, database: str) -> None:
    postgres.sql(MANY_ROWS, database)
    of_address = ("space", "address")
    at = (*of_address, "begun_by", "held_after")

    def page(filters: tuple[str, ...], part: listing.Part) -> Statement:
        return listing.page(listing.Rows.PAST, filters, part, goes_on=False, ends=False)

    found = {
        "ended": page(of_address, listing.Part.ENDED),
        "ended at a moment": page(at, listing.Part.ENDED),
        "living": page(of_address, listing.Part.LIVING),
        "all that live": audit.LIVE_FROM,
        "all that have ended": audit.ENDED_FROM,
        "a block": record.ENDED_BETWEEN,
    }
    indexes = {"allocation_of_address", "allocation_one_in_slot", "allocation_key"}
    for name, statement in found.items():
        nothing = ", ".join(["NULL"] * len(ready(statement).arranged(statement.parameters)))
        prepared = f"PREPARE one AS {ready(statement).text}; EXPLAIN EXECUTE one({nothing})"
        plan = postgres.sql(f"SET plan_cache_mode = force_generic_plan; {prepared}", database)
        lines = [line for (line,) in plan]
        used = [each for line in lines for each in re.findall("using (allocation_[a-z_]+)", line)]
        assert used and {*used} <= indexes, (name, lines)
        assert len(used) == sum("Index Cond:" in line for line in lines), (name, lines)
        assert not any("Seq Scan" in line for line in lines), (name, lines)


async def test_a_bad_value_is_not_taken_for_a_database_that_does_not_answer(backend: Backend) -> None:
    with pytest.raises(Exception, match="0x00") as caught:
        await write(backend, Changes(begun=[allocation(container_id="c\x00")]))

    assert not isinstance(caught.value, Unavailable)
    await backend.close()


async def test_a_bad_value_costs_no_connection(postgres: Postgres, database: str) -> None:
    backend = await open_backend(postgres.url(database))
    await asyncio.gather(*(backend.ledger.fill(["pods"]) for _ in range(3)))
    asked = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}' ORDER BY pid"
    before = postgres.sql(asked)

    with pytest.raises(Exception, match="out of int64 range"):
        await backend.ledger.allocation(1 << 70)

    assert before
    assert postgres.sql(asked) == before
    await backend.close()
