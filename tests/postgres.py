"""A real PostgreSQL that is made, started and thrown away by the tests."""

import asyncio
import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import asyncpg

from tests import loaded
from tests.service import EXECUTABLES

BINARIES = Path("/usr/lib/postgresql")
PASSWD = Path("/etc/passwd")
USER = "postgres"
START_SECONDS = 60
STOP_SECONDS = 60

SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # the machine is not going to lose its power within a test
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "150",
    "log_lock_waits": "on",
    "log_line_prefix": "%m [%p] %d ",
    "lc_messages": "C",
}

EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid();
DELETE FROM allocation; DELETE FROM block; DELETE FROM boot; DELETE FROM carving; DELETE FROM contact;
DELETE FROM node; DELETE FROM pool; DELETE FROM release; DELETE FROM removed; DELETE FROM reservation;
DELETE FROM token; DELETE FROM token_use; DELETE FROM pod_network; DELETE FROM announcing;
DELETE FROM announced; DELETE FROM change_log; DELETE FROM lease; DELETE FROM seat;
DELETE FROM lease_configuration; DELETE FROM usage_sample;
DELETE FROM change_request; DELETE FROM census; DELETE FROM former_address;
DELETE FROM quota; DELETE FROM tally; DELETE FROM waiter; DELETE FROM hold;
ALTER SEQUENCE allocation_id_seq RESTART; ALTER SEQUENCE release_id_seq RESTART;
ALTER SEQUENCE change_log_id_seq RESTART; ALTER SEQUENCE waiter_number_seq RESTART;
UPDATE schema_version SET oldest_code = 1;
UPDATE catalogue SET revision = 0; UPDATE history SET forgotten = 0, counted = 0;
"""
"""As a database is after its migrations: making another one copies some hundred files."""


class Postgres:
    """A server on a Unix socket in a scratch folder, with a database for each who asks."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.log = folder / "log"
        self._settings = SETTINGS | settings
        self._port = self._settings.get("port", "5432")
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._template: str | None = None
        self._emptied: list[str] = []

    def make(self) -> None:
        """Make the data folder; the server itself refuses to be root."""
        self.own(self.folder)
        options = ["-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8", "-U", USER]
        command = [*_as_user(), *_program("initdb"), "-D", str(self._data), *options]
        making = subprocess.Popen([*self._with_users(), *command], stdout=subprocess.DEVNULL)
        try:
            assert making.wait() == 0, "initdb failed"
        finally:
            making.wait()  # it goes on when this is interrupted, and the folder must outlive it

    def copy_of(self, other: "Postgres") -> None:
        """Make the data folder anew, as a standby of another server that runs."""
        self.own(self.folder)
        shutil.rmtree(self._data, ignore_errors=True)
        command = [*_as_user(), *_program("pg_basebackup"), "-h", str(other.folder), "-U", USER]
        subprocess.run([*command, "-D", str(self._data), "-R", "-X", "stream", "-c", "fast"], check=True)

    def own(self, path: Path) -> None:
        """Give a file or folder to the server's user."""
        if os.geteuid() == 0:
            os.chown(path, pwd.getpwnam(USER).pw_uid, -1)

    def allow(self, line: str) -> None:
        """Put a line before all others in pg_hba.conf; the server must not run yet."""
        file = self._data / "pg_hba.conf"
        file.write_text(f"{line}\n{file.read_text()}")

    def _with_users(self) -> list[str]:
        """What shows initdb its own user, whose name it looks up, where the machine hides its list."""
        if os.geteuid() != 0 or PASSWD.stat().st_mode & 0o004:
            return []
        own = self.folder / "passwd"
        found = pwd.getpwnam(USER)
        own.write_text(f"{USER}:x:{found.pw_uid}:{found.pw_gid}::{found.pw_dir}:{found.pw_shell}\n")
        own.chmod(0o644)
        script = f'mount --bind "{own}" {PASSWD} && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "initdb"]

    def start(self) -> None:
        """Start, and return when it answers."""
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = [
            *_as_user(),
            *_program("postgres"),
            "-D",
            str(self._data),
            "-k",
            str(self.folder),
            *settings,
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"PostgreSQL did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        asked = [*_program("pg_isready"), "-q", "-h", str(self.folder), "-p", self._port, "-U", USER]
        return subprocess.run(asked, check=False).returncode == 0

    def stop(self) -> None:
        """End at once, whoever is connected."""
        if self._process is None:
            return
        postmaster = self._data / "postmaster.pid"
        if postmaster.exists():
            # runuser does not pass signals on, so the server itself is told.
            with suppress(ProcessLookupError):
                os.kill(self.postmaster, signal.SIGQUIT)
        try:
            self._process.wait(STOP_SECONDS)
        finally:
            self._process = None

    def kill(self) -> None:
        """End as a crash does: SIGKILL to the server and to every process of it."""
        assert self._process is not None
        postmaster = self.postmaster
        for pid in (postmaster, *self.children()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)
        self._process = None

    @property
    def postmaster(self) -> int:
        """The process that is the server's first."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def children(self) -> list[int]:
        """The processes that the server has started."""
        found = Path(f"/proc/{self.postmaster}/task/{self.postmaster}/children").read_text()
        return [int(pid) for pid in found.split()]

    def url(self, database: str, user: str = USER) -> str:
        """Where ipamd finds a database."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.folder), safe='')}"

    def sql(self, statement: str, database: str = "postgres", user: str = USER) -> list[list[str]]:
        """Run SQL as an admin does, with psql, outside a transaction; the rows as text."""
        asked = [
            "-h",
            str(self.folder),
            "-p",
            self._port,
            "-U",
            user,
            "-d",
            database,
            "-XAtq",
            "-F",
            "\x1f",
            "-v",
            "ON_ERROR_STOP=1",
        ]
        done = subprocess.run(
            [*_program("psql"), *asked, "-c", statement], check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise AssertionError(done.stderr)
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def dump(self, database: str) -> str:
        """A copy of a database as `pg_dump` makes it, while others write."""
        asked = ["-h", str(self.folder), "-p", self._port, "-U", USER, database]
        return subprocess.run(
            [*_program("pg_dump"), *asked], check=True, capture_output=True, text=True
        ).stdout

    def put_back(self, database: str, dump: str) -> None:
        """Put a copy in the place of a database."""
        self.drop(database)
        self.sql(f"CREATE DATABASE {database}")
        asked = ["-h", str(self.folder), "-p", self._port, "-U", USER, "-d", database]
        quiet = ["-X", "-q", "-v", "ON_ERROR_STOP=1"]
        subprocess.run(
            [*_program("psql"), *asked, *quiet], input=dump, check=True, stdout=subprocess.DEVNULL, text=True
        )

    def rows(self, statement: str, database: str, *values: object) -> list[tuple[object, ...]]:
        """Run one query with `?` for its values; the rows as Python has them."""
        for number in range(1, len(values) + 1):
            statement = statement.replace("?", f"${number}", 1)

        async def ask() -> list[tuple[object, ...]]:
            connection = await asyncpg.connect(self.url(database))
            try:
                return [tuple(row) for row in await connection.fetch(statement, *values)]
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as thread:  # a test's own event loop may be running in this one
            return thread.submit(asyncio.run, ask()).result()

    def create(self, *options: str) -> str:
        """A new, empty database; its name."""
        name = f"ipamd_{uuid4().hex}"
        self.sql(f"CREATE DATABASE {name} {' '.join(options)}")
        return name

    def drop(self, database: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    @contextmanager
    def database(self, *options: str) -> Iterator[str]:
        """A new, empty database for as long as the block lasts; its name."""
        name = self.create(*options)
        try:
            yield name
        finally:
            self.drop(name)

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """A migrated database with nothing in it; whoever changes its schema takes a `copy` instead."""
        name = self._emptied.pop() if self._emptied else self._copied()
        try:
            yield name
        finally:
            self.sql(EMPTY, name)
            self._emptied.append(name)

    @contextmanager
    def copy(self) -> Iterator[str]:
        """A migrated database that is dropped afterwards."""
        name = self._copied()
        try:
            yield name
        finally:
            self.drop(name)

    def _copied(self) -> str:
        if self._template is None:
            self._template = self.create()
            migrate(self.url(self._template))
        return self.create(f"TEMPLATE {self._template}", "STRATEGY file_copy")


def migrate(
    url: str, *options: str, code: int = 0, executables: Path = EXECUTABLES
) -> subprocess.CompletedProcess[str]:
    """Run `ipamd migrate` as an operator does, which is to end with a code."""
    command = ("migrate", "--database-url", url, *options)
    if executables == EXECUTABLES:
        done = loaded.run(executables / "ipamd", *command, timeout=120)
    else:
        earlier = [str(executables / "ipamd"), *command]
        done = subprocess.run(earlier, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done
    return done


@contextmanager
def running_postgres(**settings: str) -> Iterator[Postgres]:
    """A server for as long as the block lasts; some settings may be others than the tests'."""
    folder = Path(tempfile.mkdtemp(prefix="ipamd-pg-"))
    server = Postgres(folder, **settings)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@cache
def shared_postgres() -> Postgres:
    """The one server of this process, started when somebody first wants it, stopped when the process ends."""
    context = ExitStack()
    atexit.register(context.close)
    return context.enter_context(running_postgres())


def _program(name: str) -> list[str]:
    versions = sorted(BINARIES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    assert versions, f"PostgreSQL's {name} is not installed: run `make packages`"
    return [str(versions[-1])]


def _as_user() -> list[str]:
    return ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
