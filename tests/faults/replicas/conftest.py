"""Several ipamd, each a process, on one PostgreSQL."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.replicas.cluster import Cluster
from tests.faults.replicas.pair import Pair, running_pair
from tests.postgres import Postgres
from tests.service import scratch_folder


@pytest.fixture(scope="package")
def lasting_cluster(postgres: Postgres) -> Iterator[Cluster]:
    """Four ipamd on one database, ready, for all tests here: most of a test's time would be their start."""
    with tempfile.TemporaryDirectory(prefix="ipamd-") as folder, postgres.migrated() as database:
        cluster = Cluster(Path(folder), postgres, database)
        try:
            cluster.start()
            yield cluster
            cluster.stop()
        finally:
            cluster.kill()


@pytest.fixture
def cluster(lasting_cluster: Cluster) -> Iterator[Cluster]:
    """Four ipamd on one database without pools and allocations; nothing contradicts anything afterwards."""
    lasting_cluster.clear()
    yield lasting_cluster
    assert lasting_cluster.replicas[1].contradictions() == []


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """A migrated database of a test's own, which may change its schema; its name."""
    with postgres.copy() as name:
        yield name


@pytest.fixture(scope="package")
def lasting_pair() -> Iterator[Pair]:
    """A primary with a synchronous standby, for all tests here."""
    with scratch_folder() as folder:
        folder.chmod(0o755)
        with running_pair(folder) as pair:
            yield pair


@pytest.fixture
def pair(lasting_pair: Pair) -> Pair:
    """A primary with a synchronous standby, and an empty database."""
    lasting_pair.clear()
    return lasting_pair
