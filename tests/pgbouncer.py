"""A real PgBouncer in transaction mode, before a server of the tests."""

import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.postgres import USER, Postgres
from tests.service import scratch_folder

PROGRAM = "/usr/sbin/pgbouncer"
PORT = 6432
START_SECONDS = 60
SCARCE = 5
"""Fewer connections than a replica opens, so that transactions change places all the time."""

ROOMY = 40


@contextmanager
def pgbouncer(server: Postgres, pool: int = SCARCE) -> Iterator[str]:
    """A PgBouncer on a Unix socket for as long as the block lasts; its folder, for `?host=…&port=…`."""
    with scratch_folder() as folder:
        log = folder / "log"
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            "[databases]\n"
            f"* = host={server.folder} user={USER}\n"
            "[pgbouncer]\n"
            f"listen_port = {PORT}\nunix_socket_dir = {folder}\nlogfile = {log}\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {pool}\nmax_client_conn = 200\n"
        )
        before = []
        if os.geteuid() == 0:  # it refuses to be root
            os.chown(folder, pwd.getpwnam(USER).pw_uid, -1)
            before = ["setpriv", f"--reuid={USER}", "--clear-groups"]
        process = subprocess.Popen([*before, PROGRAM, str(settings)], stderr=subprocess.DEVNULL)
        try:
            await_socket(folder / f".s.PGSQL.{PORT}", process)
            yield str(folder)
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def await_socket(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        assert process.poll() is None, "PgBouncer ended"
        assert time.monotonic() < deadline, "PgBouncer did not start"
        time.sleep(0.02)


def url_through(folder: str, database: str, more: str = "") -> str:
    """Where ipamd finds a database behind a PgBouncer."""
    return f"postgresql://{USER}@/{database}?host={quote(folder, safe='')}&port={PORT}{more}"
