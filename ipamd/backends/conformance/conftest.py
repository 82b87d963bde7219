"""Databases for the tests of the suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from ipamd.backends.conformance.harness import Harness
from ipamd.backends.conformance.options import HARNESS
from ipamd.backends.interface import Backend

SECONDS: Final = 60
"""A test that takes longer waits for something that does not come."""

OF_LASTING_BACKENDS: Final = ("test_durability.py", "test_crashes.py")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A database that does not last is not held to durability."""
    applies = config.stash[HARNESS].lasting or collection_path.name not in OF_LASTING_BACKENDS
    return None if applies else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bound every test in time."""
    for item in items:
        item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def harness(pytestconfig: pytest.Config) -> Harness:
    """What the backend says of itself."""
    return pytestconfig.stash[HARNESS]


@pytest.fixture
def url(harness: Harness) -> Iterator[str]:
    """An empty database, not yet open."""
    with harness.database() as url:
        yield url


@pytest_asyncio.fixture
async def backend(harness: Harness, url: str) -> AsyncIterator[Backend]:
    """The database, open and empty."""
    opened = await harness.open(url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def replica(harness: Harness, url: str, backend: Backend) -> AsyncIterator[Backend]:
    """The same database as another ipamd has it open; if that cannot be, the same opening again."""
    if not harness.shared:
        yield backend
        return
    opened = await harness.open(url)
    yield opened
    await opened.close()
