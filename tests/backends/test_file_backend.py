"""The backend of another package: found by its entry point, serving like the others, safe on its disk."""

import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE

import httpx
import pytest

from ipamd.backends.conformance.examples import allocation, begin
from ipamd.backends.interface import Backend
from ipamd.backends.registry import installed, open_backend
from ipamd.models.errors import DatabaseUnfit, Unavailable
from ipamd.models.query import AllocationQuery
from tests.service import running_service

WHAT_IS_IMPORTED = """
import asyncio, sys
from ipamd.backends.registry import open_backend
from tests.service import running_service

asyncio.run(open_backend(sys.argv[1]))
print(*sys.modules)
"""


@contextmanager
def limited_file_size(most: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def folder(scratch: Path) -> Path:
    return scratch / "state" / "allocations"


@pytest.fixture
async def backend(folder: Path) -> AsyncIterator[Backend]:
    opened = await open_backend(f"file://{folder}")
    yield opened
    await opened.close()


def test_it_is_found_by_its_entry_point_and_needs_neither_sql_nor_memory(folder: Path) -> None:
    command = [sys.executable, "-c", WHAT_IS_IMPORTED, f"file://{folder}"]

    modules = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()

    assert installed()["file"].value == "ipamd_file:open_file"
    assert "ipamd_file.backend" in modules
    others = {name for name in modules if name.startswith(("ipamd.backends.sql", "ipamd.backends.memory"))}
    assert not others
    assert "sqlalchemy" not in modules


def test_ipamd_serves_from_it_and_keeps_what_it_answered_over_a_kill(scratch: Path) -> None:
    with running_service(scratch, database_url=f"file://{scratch}/allocations") as service:
        service.create_pool("pods", "10.9.0.0/24")
        created = service.http.post("/v1/allocations", json={"owner": "vm-1", "pool": "pods"})
        assert created.status_code == httpx.codes.CREATED, created.text
        before = service.allocations()

        service.kill()
        service.start()

        assert service.allocations() == before != []
        released = service.http.delete(f"/v1/allocations/{before[0]['id']}")
        assert released.status_code == httpx.codes.NO_CONTENT, released.text
        assert service.allocations() == []


async def test_a_line_that_was_being_written_when_the_process_died_is_left_out(
    backend: Backend, folder: Path
) -> None:
    stored = await begin(backend, allocation("10.0.0.1", "c1"))
    await begin(backend, allocation("10.0.0.2", "c2"))
    await backend.close()
    journal = folder / "journal"
    whole = journal.read_bytes()

    for cut in (1, 2, 60):
        journal.write_bytes(whole[:-cut])
        again = await open_backend(f"file://{folder}")
        assert await again.ledger.page(AllocationQuery(), None, 10) == stored
        await begin(again, allocation("10.0.0.2", "c2"))
        await again.close()


async def test_a_journal_that_is_damaged_in_the_middle_is_refused_and_left_alone(
    backend: Backend, folder: Path
) -> None:
    for number in range(1, 4):
        await begin(backend, allocation(f"10.0.0.{number}", f"c{number}"))
    await backend.close()
    journal = folder / "journal"
    damaged = journal.read_bytes().replace(b"10.0.0.2", b"10.0.0.7", 1)
    journal.write_bytes(damaged)

    with pytest.raises(DatabaseUnfit, match="is damaged in line 3"):
        await open_backend(f"file://{folder}")

    assert journal.read_bytes() == damaged


async def test_nobody_else_may_read_what_it_keeps(backend: Backend, folder: Path) -> None:
    await begin(backend, allocation())

    assert S_IMODE(folder.stat().st_mode) == 0o700
    assert {S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


async def test_a_disk_that_takes_no_more_makes_it_unavailable_and_answers_nothing(
    backend: Backend, folder: Path
) -> None:
    stored = await begin(backend, allocation("10.0.0.1", "c1"))

    with limited_file_size((folder / "journal").stat().st_size + 10):
        for name in ("c2", "c3"):
            with pytest.raises(Unavailable, match="cannot be written"):
                await begin(backend, allocation("10.0.0.2", name))

    assert await backend.ledger.page(AllocationQuery(), None, 10) == stored
    assert "cannot be written" in (await backend.ready() or "")
    await backend.close()
    again = await open_backend(f"file://{folder}")
    assert await again.ledger.page(AllocationQuery(), None, 10) == stored
    await again.close()


@pytest.mark.parametrize("url", ["file://", "file:///", "file://relative/path"])
async def test_a_url_that_names_no_folder_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnfit, match="write file:///PATH"):
        await open_backend(url)


async def test_a_place_where_no_folder_can_be_is_refused() -> None:
    with pytest.raises(DatabaseUnfit, match="cannot be used"):
        await open_backend("file:///dev/null/allocations")
