"""What all tests share: a scratch folder and the service as a process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import loaded, migrated, mounts
from tests.cni.authority import Authority
from tests.network.namespace import MakeNamespace, namespaces
from tests.postgres import Postgres, shared_postgres
from tests.service import IpamdProcess, running_service, scratch_folder

CAMPAIGNS = Path(__file__).with_name("faults")
"""All tests in here are campaigns: kills and faults, failovers, updates, hostile input."""

IpamdProcess.start_today = staticmethod(loaded.start)
IpamdProcess.put_database = staticmethod(migrated.put)


TIMES = int(os.environ.get("CAMPAIGN", "1"))
"""So often is each test of a campaign run; their long form is `CAMPAIGN=10 make test-faults`."""


def of_a_campaign(item: pytest.Item) -> bool:
    """Whether a test is part of a campaign, by its folder or by its mark."""
    return CAMPAIGNS in item.path.parents or item.get_closest_marker("faults") is not None


def pytest_configure() -> None:
    """Keep the mounts of this run to itself: each worker is such a process too."""
    mounts.take_own()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat campaigns: what they try is random, or a matter of timing, so that no two runs are the same."""
    if TIMES > 1 and of_a_campaign(metafunc.definition):
        metafunc.fixturenames.append("time_of_many")
        metafunc.parametrize("time_of_many", range(TIMES))


@pytest.hookimpl(tryfirst=True)  # before what is marked is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them."""
    for item in items:
        if of_a_campaign(item):
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture
def make_namespace(scratch: Path) -> Iterator[MakeNamespace]:
    """Makes network namespaces by a short name, which each test of each checkout has for itself."""
    with namespaces(scratch.name) as make:
        yield make


@pytest.fixture
def ipamd_process(scratch: Path) -> Iterator[IpamdProcess]:
    """The service, ready, with an empty database."""
    with running_service(scratch) as service:
        yield service


@pytest.fixture(scope="module")
def lasting_ipamd() -> Iterator[IpamdProcess]:
    """One service for all tests of a module, which each keep to pools of their own or leave it empty."""
    with running_service() as service:
        yield service


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """A PostgreSQL server."""
    return shared_postgres()


@pytest.fixture
def postgres_database(postgres: Postgres) -> Iterator[str]:
    """The URL of a migrated database with nothing in it."""
    with postgres.migrated() as database:
        yield postgres.url(database)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority of a server on 127.0.0.1."""
    return Authority(tmp_path_factory.mktemp("authority") / "ours", "ours", "IP:127.0.0.1,DNS:ipamd.test")
