"""What an engine writes now and then: a database that does not answer for a while loses none of it."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from ipamd.backends.interface import Backend
from ipamd.backends.registry import open_backend
from ipamd.engine import upkeep
from ipamd.engine.engine import Engine
from ipamd.models.node import NodeKey
from tests.faults.replicas.cutting import Cutter
from tests.postgres import USER, Postgres
from tests.service import scratch_folder

SECONDS = 30.0
NODE = NodeKey("default", "node-a")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "UPKEEP_EVERY", 0.05)


async def await_that(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not seen():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        await asyncio.sleep(0.02)


async def await_contact(backend: Backend, node: NodeKey) -> None:
    """Wait until the database says that a node was heard of."""
    deadline = time.monotonic() + SECONDS
    while node not in await backend.ledger.contacts():
        assert time.monotonic() < deadline, f"{node} was heard of, and the database does not say so"
        await asyncio.sleep(0.02)


async def test_a_node_that_was_heard_of_while_the_database_was_held_is_not_forgotten(
    database_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = await open_backend(f"sqlite:///{database_path}")
    engine = await Engine.open(backend)
    with closing(sqlite3.connect(database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        engine.heard_from(NODE)
        printed = ""

        def failed() -> bool:
            nonlocal printed
            printed += capsys.readouterr().out
            return "upkeep failed" in printed

        await await_that(failed)
        other.execute("ROLLBACK")

    await await_contact(backend, NODE)
    await engine.close()


async def test_upkeep_goes_on_after_a_commit_in_doubt(postgres: Postgres) -> None:
    with scratch_folder() as folder, postgres.migrated() as database:
        cutter = Cutter(folder, postgres.folder)
        host = quote(str(folder), safe="")
        backend = await open_backend(f"postgresql://{USER}@/{database}?host={host}")
        engine = await Engine.open(backend)

        cutter.lose_every(1)
        engine.heard_from(NODE)
        await await_that(lambda: cutter.cuts >= 3)
        cutter.lose_none()
        later = NodeKey("default", "node-b")
        engine.heard_from(later)

        await await_contact(backend, later)
        await engine.close()
        cutter.close()
