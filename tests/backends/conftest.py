"""Each kind of database, open and empty, and how to put something into it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from ipamd.backends.interface import Backend, Changes, Ended
from ipamd.backends.registry import open_backend
from ipamd.models.allocation import Allocation, Ending
from ipamd.models.block import Block


@pytest.fixture
def database_path(scratch: Path) -> Path:
    return scratch / "state" / "ipamd.sqlite"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, database_path: Path) -> str:
    """The URL of an empty database of each kind."""
    match request.param:
        case "memory":
            return "memory://"
        case "sqlite":
            return f"sqlite:///{database_path}"
        case _:
            url: str = request.getfixturevalue("postgres_database")
            return url


@pytest.fixture
async def backend(database_url: str) -> AsyncIterator[Backend]:
    """An empty database of each kind."""
    database = await open_backend(database_url)
    yield database
    await database.close()


@pytest.fixture
async def sqlite(database_path: Path) -> AsyncIterator[Backend]:
    """An empty SQLite database."""
    database = await open_backend(f"sqlite:///{database_path}")
    yield database
    await database.close()


async def write(backend: Backend, changes: Changes) -> None:
    """One unit of work that writes."""
    await backend.transact(lambda transaction: transaction.write(changes))


async def begin(backend: Backend, *allocations: Allocation) -> list[Allocation]:
    """Store live allocations; as they are stored."""
    await write(backend, Changes(begun=list(allocations)))
    found = await backend.transact(lambda transaction: transaction.find([row.digest for row in allocations]))
    held = {(row.digest, row.position): row for rows in found.held.values() for row in rows}
    return [held[row.digest, row.position] for row in allocations]


async def end(backend: Backend, stored: Allocation, until: int) -> Allocation:
    """End a live allocation; as it is stored then."""
    assert stored.id is not None
    await write(backend, Changes(ended=[Ended(stored.id, until, Ending.RELEASED)]))
    return structs.replace(stored, until=until, ending=Ending.RELEASED)


async def carve(backend: Backend, *blocks: Block, cursor: int | None = None) -> int:
    """Add blocks of one pool; how many were new."""
    return await backend.transact(lambda transaction: transaction.carve(blocks[0].pool, blocks, cursor))
