"""A service that gets what nobody should send, and what it has given away."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.faults.ledger import Tables
from tests.faults.replicas.cluster import PostgresTables
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_service


@dataclass(frozen=True)
class Target:
    """A service with pools of both families."""

    service: IpamdProcess
    tables: Tables

    def given_away(self) -> tuple[object, ...]:
        """What anybody holds or ever held, as a refused call must leave it; read by plain SQL."""
        [row] = self.tables.rows(
            """SELECT count(*), count(until), max(id), sum(generation), (SELECT sum(allocated) FROM block)
               FROM allocation"""
        )
        return row


@contextmanager
def service_on(kind: str, postgres: Postgres) -> Iterator[tuple[IpamdProcess, Tables]]:
    """A service on a database of a kind, and its tables; it has made no mistake when the block is left."""
    with ExitStack() as stack:
        tables: Tables
        if kind == "postgresql":
            database = stack.enter_context(postgres.migrated())
            service = stack.enter_context(running_service(database_url=postgres.url(database)))
            tables = PostgresTables(postgres, database)
        else:
            service = stack.enter_context(running_service())
            tables = Tables(service.database)
        yield service, tables
        log = service.log.read_text(errors="replace")
        assert "Traceback" not in log
        assert " error " not in log


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Target]:
    """A service for a whole module, in which nothing contradicts anything afterwards."""
    with service_on(request.param, postgres) as (service, tables):
        service.create_pool("pods", "10.0.0.0/12", cooldown=0)
        service.create_pool("pods-v6", "fd00::/64", cooldown=0)
        yield Target(service, tables)
        assert service.http.get("/readyz").is_success
        assert service.contradictions() == []
