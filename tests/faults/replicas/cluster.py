"""Four ipamd on one database, and what PostgreSQL itself says of it."""

import re
from pathlib import Path
from typing import Any

from tests.faults.clients import Caller, Node
from tests.faults.ledger import Tables
from tests.postgres import Postgres
from tests.service import IpamdProcess

REPLICAS = 4
CALL_SECONDS = 10.0  # what a call without a `timeout` of its own has

CLEAR = """
BEGIN;
UPDATE catalogue SET revision = revision + 1;
INSERT INTO removed SELECT 'pool', '', name, (SELECT revision FROM catalogue) FROM pool
  ON CONFLICT (kind, cluster, name) DO UPDATE SET revision = excluded.revision;
DELETE FROM pool; DELETE FROM block; DELETE FROM carving; DELETE FROM allocation;
DELETE FROM contact; DELETE FROM census;
COMMIT;
"""


class PostgresTables(Tables):
    """A database, read as an auditor would: by SQL, without ipamd's code."""

    def __init__(self, server: Postgres, database: str) -> None:
        self._server = server
        self._name = database

    def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        # The audits are written for SQLite, which has other names for two functions.
        asked = statement.replace("hex(address)", "encode(address, 'hex')")
        asked = asked.replace("instr(subnet, ':')", "strpos(subnet, ':') > 0")
        return self._server.rows(asked, self._name, *values)


class Cluster:
    """Four ipamd on one database."""

    def __init__(self, folder: Path, server: Postgres, database: str) -> None:
        self.server = server
        self.database = database
        self.tables = PostgresTables(server, database)
        self._log_begins = 0
        self.replicas = []
        for number in range(REPLICAS):
            own = folder / str(number)
            own.mkdir()
            self.replicas.append(IpamdProcess(own, database_url=server.url(database)))

    def clear(self) -> None:
        """Remove all pools and what was held; the replicas see that the catalogue changed."""
        self.server.sql(CLEAR, self.database)
        self._log_begins = self.server.log.stat().st_size

    def start(self) -> None:
        for replica in self.replicas:
            replica.start()

    def stop(self) -> None:
        for replica in self.replicas:
            replica.stop()

    def kill(self) -> None:
        for replica in self.replicas:
            replica.kill()
            replica.http.close()

    @property
    def ports(self) -> list[int]:
        return [replica.port for replica in self.replicas]

    def create_pool(self, name: str, subnet: str, **fields: Any) -> None:
        self.replicas[0].create_pool(name, subnet, **fields)

    def callers(self, count: int, *pools: str) -> list[Caller]:
        """Clients on eight nodes, one after another at each of the replicas."""
        nodes = [Node(f"node-{number}") for number in range(8)]
        return [Caller(self.ports[each % REPLICAS], nodes[each % 8], list(pools)) for each in range(count)]

    def complaints(self) -> list[str]:
        """What PostgreSQL's log holds of errors and deadlocks since the database was cleared."""
        with self.server.log.open(encoding="utf-8") as log:
            log.seek(self._log_begins)
            lines = [line for line in log if f"] {self.database} " in line]
        return [line for line in lines if re.search(r"deadlock|ERROR:|FATAL:", line)]
