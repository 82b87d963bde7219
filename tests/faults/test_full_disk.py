"""The disk of an SQLite database is full, and has room again."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.clients import TRY_AGAIN, Caller, Node
from tests.faults.ledger import Tables
from tests.service import IpamdProcess, running_service

CONTAINERS = 50
DISK = "size=64m"  # of which the journal takes 32
READ = ("/readyz", "/metrics", "/v1/pools/pods", "/v1/pools/pods/usage", "/v1/allocations", "/v1/history")
FULL = "the disk of the database is full: make room, and ipamd goes on by itself"


@pytest.fixture
def disk(scratch: Path) -> Iterator[Path]:
    """A folder on a small disk of its own."""
    folder = scratch / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def ipamd(scratch: Path, disk: Path) -> Iterator[IpamdProcess]:
    """The service on that disk, with a pool whose addresses are ready again at once."""
    database = disk / "ipamd.sqlite"
    with running_service(scratch, database_url=f"sqlite:///{database}") as service:
        service.database = database
        service.create_pool("pods", "10.0.0.0/16", cooldown=0)
        yield service


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Nothing more fits on a disk until the block is left."""
    filling = disk / "filling"
    with filling.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filling.unlink()


def test_on_a_full_disk_what_is_written_is_refused_in_words_and_what_is_read_goes_on(
    ipamd: IpamdProcess, disk: Path
) -> None:
    caller = Caller(ipamd.port, Node("node-a"), ["pods"])
    before = {f"c{number}": caller.add(f"c{number}").addresses for number in range(CONTAINERS)}

    with full(disk):
        added = {f"d{number}": caller.add(f"d{number}") for number in range(CONTAINERS)}
        made = ipamd.http.post("/v1/pools", json={"name": "more", "subnet": "10.1.0.0/16"})
        read = [ipamd.http.get(path) for path in READ]
        held = Tables(ipamd.database).live()

    refused = {(answer.code, answer.msg) for answer in added.values() if answer.code != 0}
    assert refused == {(TRY_AGAIN, FULL)}
    assert (made.status_code, made.json()["code"], made.json()["detail"]) == (503, "unavailable", FULL)
    assert [answer.status_code for answer in read] == [httpx.codes.OK] * len(READ)
    # The journal may have had room of its own for some.
    assert held == before | {name: answer.addresses for name, answer in added.items() if answer.code == 0}


def test_a_service_that_is_told_to_end_on_a_full_disk_ends_in_order(ipamd: IpamdProcess, disk: Path) -> None:
    caller = Caller(ipamd.port, Node("node-a"), ["pods"])
    process = ipamd.process
    assert process is not None

    with full(disk):
        answers = [caller.add(f"c{number}") for number in range(CONTAINERS)]
        assert answers[-1].code == TRY_AGAIN
        ipamd.stop()

    assert process.returncode == 0
    assert "Traceback" not in ipamd.log.read_text()


def test_with_room_again_it_goes_on_without_a_restart(ipamd: IpamdProcess, disk: Path) -> None:
    caller = Caller(ipamd.port, Node("node-a"), ["pods"])
    first = caller.add("c0")
    for number in range(3):  # whichever write it is that finds the disk full
        with full(disk):
            answers = [caller.add(f"d{number}-{each}") for each in range(CONTAINERS)]
        assert answers[-1].code == TRY_AGAIN

        assert caller.add("c0") == first
        for each, answer in enumerate(answers):
            again = caller.add(f"d{number}-{each}")
            assert again.code == 0
            assert answer.code == TRY_AGAIN or answer == again

    assert caller.delete("c0").code == 0
    live = Tables(ipamd.database).live()
    assert live.keys() == {f"d{number}-{each}" for number in range(3) for each in range(CONTAINERS)}
    assert Tables(ipamd.database).held_by_blocks() == {address for one in live.values() for address in one}
    assert ipamd.contradictions() == []
    assert "Traceback" not in ipamd.log.read_text()
