"""`ipamd` itself: how it is told what to do, and how it ends."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from random import Random
from urllib.parse import quote

import httpx
import pytest

from ipamd.backends.sql.sqlite import migrating
from ipamd.cli.settings import state_folder
from tests import loaded
from tests.ports import free_port
from tests.postgres import Postgres
from tests.service import EXECUTABLES, IpamdProcess


def ipamd(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `ipamd` to its end in an environment without settings of its own."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("IPAMD_")}
    return loaded.run(EXECUTABLES / "ipamd", *arguments, env={**inherited, **(environment or {})})


def migrate(path: Path) -> None:
    """Make a database."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrating.apply(connection)


def test_the_executable_prints_its_version() -> None:
    done = subprocess.run([EXECUTABLES / "ipamd", "--version"], capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ipamd ")


def test_a_database_that_nothing_serves_is_one_sentence_without_its_password() -> None:
    done = ipamd("serve", "--database-url", "oracle://scott:tiger@db/ipamd")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ipamd: ")
    assert done.stderr.count("\n") == 1
    assert "tiger" not in done.stderr


def test_migrate_waits_for_a_server_that_is_not_there_and_says_in_the_end_what_is_wrong() -> None:
    port = free_port()

    began = time.monotonic()
    done = ipamd("migrate", "--wait", "2", "--database-url", f"postgresql://ipamd@127.0.0.1:{port}/ipamd")

    assert (done.returncode, done.stdout) == (1, "")
    assert "check that it runs, and that the address is right" in done.stderr
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - began >= 2


def test_migrate_begins_as_soon_as_the_server_is_there(scratch: Path) -> None:
    postgres = Postgres(scratch)
    postgres.make()
    database = postgres.url("postgres")
    waiting = subprocess.Popen(
        [EXECUTABLES / "ipamd", "migrate", "--wait", "60", "--database-url", database],
        stdout=subprocess.PIPE,
        text=True,
    )

    postgres.start()
    try:
        said, _ = waiting.communicate(timeout=120)
    finally:
        postgres.stop()

    assert (waiting.returncode, said.startswith("the schema is at revision")) == (0, True)


def test_migrate_does_not_wait_for_what_time_does_not_mend(postgres: Postgres) -> None:
    done = ipamd("migrate", "--wait", "3600", "--database-url", postgres.url("nowhere"))

    assert done.returncode == 1
    assert "does not exist: create it" in done.stderr


def test_a_wrong_setting_is_exit_code_2_wherever_it_comes_from() -> None:
    for arguments, environment in (
        (["--port", "70000"], {}),
        ([], {"IPAMD_PORT": "many"}),
        ([], {"IPAMD_LOG_LEVEL": "loud"}),
        (["--nonsense"], {}),
    ):
        done = ipamd("serve", "--database-url", "memory://", *arguments, environment=environment)
        assert done.returncode == 2, (arguments, environment, done.stderr)


def test_an_address_beyond_loopback_is_refused() -> None:
    done = ipamd("serve", "--database-url", "memory://", "--host", "0.0.0.0")

    assert done.returncode == 2
    assert "loopback" in done.stderr


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = ipamd("serve", "--database-url", "memory://", "--port", port)

    assert done.returncode == 1
    assert port in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What `ipamd` complained of when it could not begin: one line, and nothing else."""
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ipamd: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("ipamd: ").rstrip("\n")


def test_a_database_that_another_ipamd_uses_is_one_sentence(ipamd_process: IpamdProcess) -> None:
    done = ipamd("serve", "--port", str(free_port()), "--database-url", ipamd_process.database_url)

    assert "stop that one first" in sentence(done)
    assert ipamd_process.http.get("/readyz").is_success


@pytest.mark.parametrize("damage", ["cut off", "written over", "written over behind its first page"])
def test_a_damaged_database_is_one_sentence(scratch: Path, damage: str) -> None:
    path = scratch / "ipamd.sqlite"
    migrate(path)
    whole = path.read_bytes()
    begin = 0 if damage == "written over" else 4096
    rest = b"" if damage == "cut off" else Random(begin).randbytes(len(whole) - begin)
    path.write_bytes(whole[:begin] + rest)

    done = ipamd("serve", "--port", str(free_port()), "--database-url", f"sqlite:///{path}")

    assert f"the database {path} cannot be used: " in sentence(done)
    assert path.read_bytes() == whole[:begin] + rest


def test_a_database_on_a_disk_that_is_read_only_is_one_sentence(scratch: Path) -> None:
    disk = scratch / "disk"
    disk.mkdir()
    path = disk / "ipamd.sqlite"
    subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=True)
    try:
        migrate(path)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

        done = ipamd("serve", "--port", str(free_port()), "--database-url", f"sqlite:///{path}")
    finally:
        subprocess.run(["umount", disk], check=True)

    assert sentence(done) == f"the database {path} cannot be opened: Read-only file system"


def test_settings_come_from_the_environment_and_an_interrupt_is_quiet(scratch: Path) -> None:
    settings = {
        "IPAMD_PORT": str(free_port()),
        "IPAMD_UDS": str(scratch / "s"),
        "IPAMD_DATABASE_URL": f"sqlite:///{scratch / 'here.sqlite'}",
        "IPAMD_LOG_FORMAT": "json",
    }
    command = [str(EXECUTABLES / "ipamd"), "serve"]
    with subprocess.Popen(
        command, env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            transport = httpx.HTTPTransport(uds=settings["IPAMD_UDS"], retries=0)
            with httpx.Client(transport=transport, base_url="http://localhost") as http:
                _wait_until_ready(http, process)
            tcp_is_served = httpx.get(f"http://127.0.0.1:{settings['IPAMD_PORT']}/healthz").is_success
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=120)
        finally:
            process.kill()

    assert tcp_is_served
    assert (scratch / "here.sqlite").exists()
    assert process.returncode == 0
    assert all(json.loads(line)["event"] for line in log.splitlines())


def test_an_empty_database_is_shown_and_migrated(scratch: Path) -> None:
    file = scratch / "new.sqlite"
    url = f"sqlite:///{file}"

    before = ipamd("migrate", "--show", "--database-url", url)
    was_made_by_showing = file.exists()
    migrated = ipamd("migrate", "--database-url", url)
    after = ipamd("migrate", "--show", "--database-url", url)

    assert [done.returncode for done in (before, migrated, after)] == [0, 0, 0]
    assert not was_made_by_showing
    assert before.stdout.startswith("the schema is at revision 0\n")
    assert "to do" in before.stdout
    assert "to do" not in after.stdout
    assert migrated.stdout == after.stdout.splitlines(keepends=True)[0]


def test_a_revision_that_does_not_exist_is_one_sentence(scratch: Path) -> None:
    done = ipamd("migrate", "--to", "9999", "--database-url", f"sqlite:///{scratch / 'new.sqlite'}")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ipamd: there is no revision 9999")


def test_no_name_forges_a_line_of_the_log(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("p", "10.1.0.0/24")
    forged = "x\n2026-01-01T00:00:00Z info    forged \x1b[2J"

    ipamd_process.http.post("/v1/reservations", json={"address": "10.1.0.9", "note": forged})
    ipamd_process.http.get(f"/v1/pools/{quote(forged, safe='')}")
    ipamd_process.logged("reservation outcome=created")
    log = ipamd_process.log.read_text()

    assert "\x1b" not in log
    assert not any(line.startswith("2026-01-01") for line in log.splitlines())


def test_the_state_folder_is_the_users_or_the_systems() -> None:
    home = Path.home()

    assert state_folder({}, root=True) == Path("/var/lib/ipamd")
    assert state_folder({}, root=False) == home / ".local/state/ipamd"
    assert state_folder({"XDG_STATE_HOME": "/srv/state"}, root=False) == Path("/srv/state/ipamd")
    assert state_folder({"XDG_STATE_HOME": "state"}, root=False) == home / ".local/state/ipamd"


def _wait_until_ready(http: httpx.Client, process: subprocess.Popen[str]) -> None:
    for _ in range(1500):
        try:
            if http.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError("ipamd did not become ready")
