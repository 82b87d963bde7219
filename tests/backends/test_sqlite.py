"""What is SQLite's own: the file, the one writer, the constraints that plain SQL meets."""

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pytest

from ipamd.backends.conformance.examples import NOW, allocation
from ipamd.backends.drive import run_to_end
from ipamd.backends.interface import Backend, Changes, ConstraintViolated, Transaction
from ipamd.backends.registry import open_backend
from ipamd.backends.sql.schema import REVISION
from ipamd.backends.sql.sqlite.checkpoints import MOST_COMMITS
from ipamd.backends.sql.sqlite.connection import JOURNAL_LENGTH, WRITER_SETTINGS, SqliteSession, connect
from ipamd.models.allocation import Idempotency
from ipamd.models.block import new_block
from ipamd.models.errors import DatabaseUnfit, SchemaUnfit
from ipamd.models.query import AllocationQuery, HistoryQuery
from tests.backends.conftest import begin, carve, end, write
from tests.waiting import eventually


@pytest.fixture
def by_hand(sqlite: Backend, database_path: Path) -> Iterator[sqlite3.Connection]:
    """The file of an open database, in the hands of somebody with the sqlite3 shell."""
    with contextlib.closing(sqlite3.connect(database_path, isolation_level=None)) as connection:
        yield connection


def copy_row(by_hand: sqlite3.Connection, **changed: object) -> None:
    """Insert the first row of `allocation` once more, with some columns changed."""
    by_hand.row_factory = sqlite3.Row
    row = dict(by_hand.execute("SELECT * FROM allocation ORDER BY id").fetchone()) | changed
    del row["id"]
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    by_hand.execute(f"INSERT INTO allocation ({names}) VALUES ({marks})", tuple(row.values()))


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        (
            {"digest": bytes(16), "idempotency_key": None, "idempotency_body": None},
            "UNIQUE constraint failed: allocation.space, allocation.address",
        ),
        (
            {"address": bytes(4), "idempotency_key": None, "idempotency_body": None},
            "UNIQUE constraint failed: allocation.digest, allocation.position",
        ),
        (
            {"address": bytes(4), "digest": bytes(16)},
            "UNIQUE constraint failed: allocation.idempotency_key, allocation.position",
        ),
        ({"address": bytes(5)}, "allocation_address"),
        ({"digest": bytes(15)}, "allocation_digest"),
        ({"until": 1}, "allocation_ending"),
        ({"ending": "released"}, "allocation_ending"),
        ({"owner": "vm"}, "allocation_holder"),
        ({"container_id": None}, "allocation_holder"),
        ({"generation": 0}, "allocation_counts"),
        ({"idempotency_body": None}, "allocation_idempotency"),
        ({"pool": None}, "NOT NULL constraint failed: allocation.pool"),
    ],
)
async def test_plain_sql_cannot_break_a_promise(
    sqlite: Backend, by_hand: sqlite3.Connection, changed: dict[str, object], constraint: str
) -> None:
    await begin(sqlite, allocation(idempotency=Idempotency("key", b"body")))

    with pytest.raises(sqlite3.IntegrityError, match=constraint):
        copy_row(by_hand, **changed)


async def test_plain_sql_may_add_what_breaks_no_promise(sqlite: Backend, by_hand: sqlite3.Connection) -> None:
    await begin(sqlite, allocation())

    copy_row(by_hand, until=NOW + 1, ending="released")  # past holders may be many
    copy_row(by_hand, digest=bytes(16), space="lab")

    assert by_hand.execute("SELECT count(*) FROM allocation").fetchone()[0] == 3


@pytest.mark.parametrize(
    "changed", ["first = x'00'", "free_since = x'00'", "allocated = 65", "allocated = -1", "node = 'n'"]
)
async def test_plain_sql_cannot_write_a_block_that_is_none(
    sqlite: Backend, by_hand: sqlite3.Connection, changed: str
) -> None:
    await carve(sqlite, new_block("pods", 0, 64, None))

    with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
        by_hand.execute(f"UPDATE block SET {changed}")


async def test_a_block_is_kept_once(sqlite: Backend, by_hand: sqlite3.Connection) -> None:
    await carve(sqlite, new_block("pods", 0, 64, None))

    with pytest.raises(sqlite3.IntegrityError, match=r"UNIQUE constraint failed: block\.pool, block\.first"):
        by_hand.execute("INSERT INTO block SELECT * FROM block")


async def test_an_id_is_never_given_twice(sqlite: Backend, by_hand: sqlite3.Connection) -> None:
    [stored] = await begin(sqlite, allocation())
    by_hand.execute("DELETE FROM allocation")

    [after] = await begin(sqlite, allocation())

    assert stored.id is not None
    assert after.id == stored.id + 1


# The file.


async def test_nobody_else_may_read_the_database(sqlite: Backend, database_path: Path) -> None:
    await begin(sqlite, allocation())

    modes = {file.name: S_IMODE(file.stat().st_mode) for file in database_path.parent.iterdir()}

    assert S_IMODE(database_path.parent.stat().st_mode) == 0o700
    assert set(modes) == {"ipamd.sqlite" + suffix for suffix in ("", "-wal", "-shm", ".lock")}
    assert set(modes.values()) == {0o600}


async def test_a_file_that_others_could_read_is_closed_to_them(database_path: Path) -> None:
    database_path.parent.mkdir()
    database_path.touch()
    database_path.chmod(0o644)

    await (await open_backend(f"sqlite:///{database_path}")).close()

    assert S_IMODE(database_path.stat().st_mode) == 0o600


async def test_a_database_serves_one_ipamd_at_a_time(sqlite: Backend, database_path: Path) -> None:
    with pytest.raises(DatabaseUnfit, match="another ipamd uses the database"):
        await open_backend(f"sqlite:///{database_path}")

    await sqlite.close()
    await (await open_backend(f"sqlite:///{database_path}")).close()


async def test_what_was_written_is_there_when_the_database_is_opened_again(
    sqlite: Backend, database_path: Path
) -> None:
    stored = await begin(sqlite, allocation())
    await sqlite.close()

    again = await open_backend(f"sqlite:///{database_path}")

    assert await again.ledger.page(AllocationQuery(), None, 10) == stored
    await again.close()


async def test_a_file_that_is_no_database_is_refused_and_left_alone(database_path: Path) -> None:
    database_path.parent.mkdir()
    database_path.write_bytes(b"not a database, but long enough to be read as the header of one" * 40)
    before = database_path.read_bytes()

    with pytest.raises(DatabaseUnfit, match="cannot be used: file is not a database"):
        await open_backend(f"sqlite:///{database_path}")

    assert database_path.read_bytes() == before


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://host/x", "sqlite:///x?mode=ro"]
)
async def test_an_address_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnfit, match="write sqlite:///PATH"):
        await open_backend(url)


@pytest.mark.parametrize("place", ["/dev/null/ipamd.sqlite", "/proc/ipamd.sqlite", "/tmp"])
async def test_a_place_where_no_database_can_be_is_refused(place: str) -> None:
    with pytest.raises(DatabaseUnfit, match="cannot be opened"):
        await open_backend(f"sqlite:///{place}")


async def test_a_link_in_place_of_the_file_is_not_followed(database_path: Path) -> None:
    database_path.parent.mkdir()
    database_path.symlink_to(database_path.parent / "elsewhere")

    with pytest.raises(DatabaseUnfit, match="cannot be opened"):
        await open_backend(f"sqlite:///{database_path}")


async def test_a_damaged_database_makes_ipamd_not_ready(sqlite: Backend, by_hand: sqlite3.Connection) -> None:
    by_hand.execute("DROP TABLE schema_version")

    sentence = await sqlite.ready()

    assert sentence is not None
    assert "schema_version" in sentence


async def test_a_schema_that_needs_a_newer_ipamd_is_refused(
    sqlite: Backend, by_hand: sqlite3.Connection, database_path: Path
) -> None:
    newer = REVISION + 1
    by_hand.execute(f"UPDATE schema_version SET revision = {newer}, oldest_code = {newer}")

    assert await sqlite.ready() == (
        f"the schema of the database is at revision {newer}, which needs an ipamd of "
        f"revision {newer} or later; "
        f"this one is of {REVISION}: install a newer ipamd"
    )
    await sqlite.close()
    with pytest.raises(SchemaUnfit, match="install a newer ipamd"):
        await open_backend(f"sqlite:///{database_path}")


async def test_a_newer_schema_that_this_code_may_run_on_is_served(
    sqlite: Backend, by_hand: sqlite3.Connection, database_path: Path
) -> None:
    by_hand.execute(f"UPDATE schema_version SET revision = {REVISION + 1}, oldest_code = 1")
    await sqlite.close()

    again = await open_backend(f"sqlite:///{database_path}")

    assert await again.ready() is None
    await again.close()


# Durable, and one writer.


def test_a_commit_waits_for_the_disk(scratch: Path) -> None:
    with contextlib.closing(connect(scratch / "x.sqlite", WRITER_SETTINGS)) as connection:
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]

    assert (synchronous, journal) == (2, "wal")  # 2 is FULL


@pytest.mark.parametrize("fails", [False, True])
def test_only_what_may_be_lost_waits_for_no_disk(scratch: Path, fails: bool) -> None:
    async def work(*, fails: bool = False) -> int:
        [(setting,)] = connection.execute("PRAGMA synchronous")
        if fails:
            raise ConstraintViolated("no")
        return int(setting)

    with contextlib.closing(connect(scratch / "x.sqlite", WRITER_SETTINGS)) as connection:
        session = SqliteSession(connection)
        with pytest.raises(ConstraintViolated) if fails else contextlib.nullcontext():
            assert session.whole_not_synced("BEGIN IMMEDIATE", work(fails=fails)) == 1  # NORMAL

        assert session.whole("BEGIN IMMEDIATE", work()) == 2  # FULL


def journal_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


WRITES_UNTIL_KILLED = """
import asyncio, sys
from ipamd.backends.registry import open_backend
from ipamd.backends.conformance.examples import allocation
from tests.backends.conftest import begin

async def main():
    backend = await open_backend(sys.argv[1])
    for number in range(1, 60_000):
        await begin(backend, allocation(f"10.0.{number >> 8}.{number & 255}", f"c{number}"))
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("until_laid_out", [False, True])
async def test_what_was_committed_survives_a_kill(database_path: Path, *, until_laid_out: bool) -> None:
    url = f"sqlite:///{database_path}"
    command = [sys.executable, "-c", WRITES_UNTIL_KILLED, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        answered = [int(writer.stdout.readline()) for _ in range(30)]
        while until_laid_out and journal_of(database_path).stat().st_size < JOURNAL_LENGTH:
            answered.append(int(writer.stdout.readline()))
        os.kill(writer.pid, signal.SIGKILL)
        answered += [int(line) for line in writer.stdout]

    backend = await open_backend(url)
    rows = await backend.ledger.page(AllocationQuery(), None, 100_000)
    await backend.close()

    # One more may have been committed and not been answered.
    assert len(rows) in (len(answered), len(answered) + 1)
    assert len({row.address for row in rows}) == len(rows)


async def test_the_journal_is_laid_out_while_nobody_else_writes(database_path: Path) -> None:
    backend = await open_backend(f"sqlite:///{database_path}")
    with contextlib.closing(sqlite3.connect(database_path, isolation_level=None)) as by_hand:
        by_hand.execute("BEGIN IMMEDIATE")
        before = journal_of(database_path).stat().st_size
        await asyncio.sleep(0.3)
        while_locked = journal_of(database_path).stat().st_size
        by_hand.execute("COMMIT")
        while journal_of(database_path).stat().st_size < JOURNAL_LENGTH:
            await asyncio.sleep(0.05)
    await backend.close()

    assert before == while_locked < JOURNAL_LENGTH


async def test_where_the_disk_has_little_room_the_journal_takes_none_of_it_in_advance(scratch: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", scratch], check=True)
    try:
        backend = await open_backend(f"sqlite:///{scratch / 'ipamd.sqlite'}")
        for number in range(20):
            await begin(backend, allocation(f"10.0.0.{number}", f"c{number}"))
        length = journal_of(scratch / "ipamd.sqlite").stat().st_size
        await backend.close()
    finally:
        subprocess.run(["umount", scratch], check=True)

    assert length < JOURNAL_LENGTH / 10


async def test_the_journal_is_moved_into_the_database_before_a_commit_has_to(
    sqlite: Backend, database_path: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "without-journal.sqlite"
    for number in range(MOST_COMMITS // 2):
        await begin(sqlite, allocation(f"10.0.{number >> 8}.{number & 255}", f"c{number}"))

    def rows() -> int:
        shutil.copy(database_path, moved)
        with contextlib.closing(sqlite3.connect(moved)) as copied:
            return int(copied.execute("SELECT count(*) FROM allocation").fetchone()[0])

    await asyncio.to_thread(eventually, lambda: rows() > 0)


async def test_reading_does_not_wait_for_the_writer(sqlite: Backend) -> None:
    stored = await begin(sqlite, allocation())
    writing, go_on = threading.Event(), threading.Event()

    async def slow(transaction: Transaction) -> None:
        await transaction.write(Changes(begun=[allocation("10.0.0.2", "c2")]))
        writing.set()
        go_on.wait(30)

    write_under_way = asyncio.ensure_future(sqlite.transact(slow))
    await asyncio.to_thread(writing.wait, 30)
    seen = await asyncio.wait_for(sqlite.ledger.page(AllocationQuery(), None, 10), 20)
    go_on.set()
    await write_under_way

    assert seen == stored
    assert len(await sqlite.ledger.page(AllocationQuery(), None, 10)) == 2


async def test_writes_run_one_after_another_from_any_number_of_callers(sqlite: Backend) -> None:
    under_way: list[str] = []

    async def alone(transaction: Transaction) -> None:
        under_way.append("begins")
        await transaction.revision()
        under_way.append("ends")

    await asyncio.gather(*(sqlite.transact(alone) for _ in range(50)))

    assert under_way == ["begins", "ends"] * 50


async def test_a_caller_that_goes_away_does_not_undo_what_was_begun(sqlite: Backend) -> None:
    writing, go_on = threading.Event(), threading.Event()

    async def slow(transaction: Transaction) -> None:
        writing.set()
        go_on.wait(30)
        await transaction.write(Changes(begun=[allocation()]))

    caller = asyncio.ensure_future(sqlite.transact(slow))
    await asyncio.to_thread(writing.wait, 30)
    caller.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await caller
    go_on.set()
    await write(sqlite, Changes())  # comes after it

    assert len(await sqlite.ledger.page(AllocationQuery(), None, 10)) == 1


async def test_closing_finishes_what_is_under_way(sqlite: Backend, database_path: Path) -> None:
    writes = [asyncio.ensure_future(begin_at(sqlite, number)) for number in range(20)]
    await asyncio.sleep(0)

    await sqlite.close()
    await asyncio.gather(*writes)

    again = await open_backend(f"sqlite:///{database_path}")
    assert len(await again.ledger.page(AllocationQuery(), None, 100)) == 20
    await again.close()


async def begin_at(backend: Backend, number: int) -> None:
    await write(backend, Changes(begun=[allocation(f"10.0.0.{number}", f"c{number}")]))


async def test_an_ended_history_is_read_whatever_the_order_of_endings(sqlite: Backend) -> None:
    first, second = await begin(sqlite, allocation("10.0.0.1", "c1"), allocation("10.0.0.2", "c2"))
    await end(sqlite, second, NOW + 1)
    await end(sqlite, first, NOW + 2)

    rows = await sqlite.ledger.history(HistoryQuery(), None, 10)

    assert [row.id for row in rows] == [second.id, first.id]


def test_a_unit_of_work_that_ends_gives_its_value() -> None:
    async def work() -> int:
        return 7

    assert run_to_end(work()) == 7
