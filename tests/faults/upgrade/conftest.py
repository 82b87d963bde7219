"""Versions of ipamd, each in an environment of its own, and services that go from one to the other."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.upgrade.version import BEFORE, FIRST, Version, install, today
from tests.service import IpamdProcess, scratch_folder

POOLS = {"pods-v4": "10.0.0.0/24", "pods-v6": "fd00::/112"}


@pytest.fixture(scope="session")
def now() -> Version:
    """The version under test."""
    return today()


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The version before this one."""
    return install(BEFORE, tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The last version at the first revision of the schema."""
    return install(FIRST, tmp_path_factory.mktemp("first"))


@pytest.fixture(params=["first", "before"])
def earlier(request: pytest.FixtureRequest) -> Version:
    """Each version before this one, unless a test names one."""
    version: Version = request.getfixturevalue(request.param)
    return version


@pytest.fixture
def service(scratch: Path) -> Iterator[IpamdProcess]:
    """A service on an SQLite file that a test starts, in the version that it says."""
    process = IpamdProcess(scratch)
    yield process
    process.kill()
    process.http.close()


@pytest.fixture(scope="package")
def services(first: Version, before: Version, now: Version) -> Iterator[dict[str, IpamdProcess]]:
    """A service of each version, by the name of its fixture."""
    with ExitStack() as stack:
        started = {}
        for name, version in (("first", first), ("before", before), ("now", now)):
            service = IpamdProcess(stack.enter_context(scratch_folder()))
            service.executables = version.executables
            stack.callback(service.http.close)
            stack.callback(service.kill)
            service.start()
            for pool, subnet in POOLS.items():
                service.create_pool(
                    pool, subnet, cooldown=0, routes=[{"dst": "::/0" if "v6" in pool else "0.0.0.0/0"}]
                )
            started[name] = service
        yield started
