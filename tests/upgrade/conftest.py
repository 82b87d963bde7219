"""Versions of ipamd, each in an environment of its own, and services that go from one to the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import IpamdProcess
from tests.upgrade.version import BEFORE, FIRST, Version, install, today


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
