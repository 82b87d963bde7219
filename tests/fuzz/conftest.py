"""A service that gets what nobody should send, and what it has given away."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conftest import running_service, scratch_folder
from tests.faults.ledger import Tables
from tests.service import IpamdProcess


@dataclass(frozen=True)
class Target:
    """A service with pools of both families."""

    service: IpamdProcess

    def given_away(self) -> tuple[object, ...]:
        """What anybody holds or ever held, as a refused call must leave it; read by plain SQL."""
        tables = Tables(self.service.database)
        [rows] = tables.rows("SELECT count(*), count(until), max(id), sum(generation) FROM allocation")
        [blocks] = tables.rows("SELECT sum(allocated) FROM block")
        return (*rows, *blocks)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A service for a whole module, which has made no mistake and holds no contradiction afterwards."""
    with scratch_folder() as folder, running_service(folder) as service:
        service.create_pool("pods", "10.0.0.0/12", cooldown=0)
        service.create_pool("pods-v6", "fd00::/64", cooldown=0)
        yield Target(service)
        assert service.http.get("/readyz").is_success
        assert service.contradictions() == []
        log = service.log.read_text(errors="replace")
        assert "Traceback" not in log
        assert " error " not in log
