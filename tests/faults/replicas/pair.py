"""Two PostgreSQL servers, of which one is the primary and the other its standby; they change places."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.faults.replicas.cluster import CLEAR
from tests.postgres import USER, Postgres, migrate

SECONDS = 60.0
SETTINGS = {"wal_level": "replica", "max_wal_senders": "4", "wal_sender_timeout": "5s"}
DATABASE = "ipamd"


class Pair:
    """A primary that waits for its standby with each commit, and one URL that leads to both."""

    def __init__(self, folder: Path) -> None:
        servers = []
        for name in ("a", "b"):
            (folder / name).mkdir()
            servers.append(Postgres(folder / name, **SETTINGS))
        self.primary, self.standby = servers
        self._attached = False
        hosts = ",".join(quote(str(server.folder), safe="") for server in servers)
        self.url = f"postgresql://{USER}@/{DATABASE}?host={hosts}"

    def start(self) -> None:
        self.primary.make()
        self.primary.start()
        self.primary.sql(f"CREATE DATABASE {DATABASE}")
        migrate(self.url)
        self.attach()

    def attach(self) -> None:
        """Make the standby anew from the primary, which waits for it from then on."""
        self.standby.copy_of(self.primary)
        self.standby.start()
        self.wait_for_standby("*")
        self._await("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'")
        # What was answered while nobody waited for a standby must be there too.
        [[written]] = self.primary.sql("SELECT pg_current_wal_lsn()")
        self._await(f"SELECT 1 FROM pg_stat_replication WHERE flush_lsn >= '{written}'")
        self._attached = True

    def promote(self) -> None:
        """Let the standby be the primary; it waits for nobody for the time being."""
        self.standby.sql("SELECT pg_promote(true, 30)")
        self.primary, self.standby = self.standby, self.primary
        self._attached = False
        self.wait_for_standby("")

    def fail_over(self) -> None:
        """Kill the primary, and let the standby take its place."""
        self.primary.kill()
        self.promote()

    def cut(self) -> None:
        """Have the standby hear no more of the primary, and no commit wait for it: they are lost with it."""
        self.wait_for_standby("")
        self.standby.sql("ALTER SYSTEM SET primary_conninfo = ''")
        self.standby.sql("SELECT pg_reload_conf()")
        self._await("SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_replication)")
        self._attached = False

    def clear(self) -> None:
        """Be a primary with a synchronous standby and an empty database again."""
        if not self._attached:
            self.standby.stop()
            self.attach()
        self.wait_for_standby("*")
        self.primary.sql(CLEAR, DATABASE)

    def stop(self) -> None:
        for server in (self.standby, self.primary):
            server.stop()

    def wait_for_standby(self, names: str) -> None:
        """Have each commit wait for the standbys of these names; of none, for none."""
        self.primary.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.primary.sql("SELECT pg_reload_conf()")

    def _await(self, statement: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not self.primary.sql(statement):
            assert time.monotonic() < deadline, f"never so: {statement}"
            time.sleep(0.02)


@contextmanager
def running_pair(folder: Path) -> Iterator[Pair]:
    """Both servers for as long as the block lasts."""
    pair = Pair(folder)
    try:
        pair.start()
        yield pair
    finally:
        pair.stop()
