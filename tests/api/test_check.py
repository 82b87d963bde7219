"""The check finds what is planted by SQL, names it, and puts right what the allocations decide."""

import re
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.faults.clients import Caller, Node
from tests.faults.ledger import HELD, Tables
from tests.faults.replicas.cluster import PostgresTables
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_service

MICROSECONDS = 1_000_000
FIRST = 10 << 24
HOLDERS = 5


class Database(Protocol):
    """The tables of a service, which an auditor reads and an accident writes."""

    @property
    def tables(self) -> Tables: ...

    def plant(self, *statements: str) -> None: ...


class Sqlite:
    def __init__(self, path: Path) -> None:
        self.tables = Tables(path)
        self._path = path

    def plant(self, *statements: str) -> None:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
            for statement in statements:
                connection.execute(statement)


class Postgresql:
    def __init__(self, server: Postgres, name: str) -> None:
        self.tables = PostgresTables(server, name)
        self._server = server
        self._name = name

    def plant(self, *statements: str) -> None:
        self._server.sql(re.sub(r"X'([0-9a-f]*)'", r"'\\x\1'::bytea", "; ".join(statements)), self._name)


class Scene:
    """A pool of which some addresses are held, one was given back, and most nobody ever had."""

    def __init__(self, service: IpamdProcess, database: Database) -> None:
        self.service = service
        self.database = database

    def prepare(self) -> None:
        removed = "INSERT INTO removed SELECT 'pool', '', '{}', revision FROM catalogue"
        tables = ("allocation", "block", "carving", "pool", "removed")
        self.database.plant(
            "UPDATE catalogue SET revision = revision + 1",
            *(f"DELETE FROM {table}" for table in tables),
            *(removed.format(pool) for pool in ("pods", "many")),
        )
        assert self.service.http.get("/v1/pools").json()["items"] == []
        self.database.plant("DELETE FROM removed")
        self.service.create_pool("pods", "10.0.0.0/26", cooldown=0)
        caller = Caller(self.service.port, Node("node-1"), ["pods"])
        for number in range(HOLDERS):
            assert caller.add(f"c{number}").address == self.address(number)
        assert caller.delete("c3").code == 0
        caller.close()
        assert self.service.contradictions() == []

    @staticmethod
    def address(number: int) -> str:
        """What the holder of this number has, or had."""
        return f"10.0.0.{2 + number}"

    @property
    def instants(self) -> list[int]:
        """Since when each address of the first block is free."""
        [(blob,)] = self.database.tables.rows(
            "SELECT free_since FROM block WHERE pool = 'pods' ORDER BY first LIMIT 1"
        )
        assert isinstance(blob, bytes)
        return list(struct.unpack(f"<{len(blob) // 8}q", blob))

    def set_instant(self, number: int, change: Callable[[int], int]) -> None:
        """Change since when an address of the block is free."""
        instants = self.instants
        instants[2 + number] = change(instants[2 + number])
        blob = struct.pack(f"<{len(instants)}q", *instants).hex()
        self.database.plant(f"UPDATE block SET free_since = X'{blob}' WHERE pool = 'pods'")

    def everything(self) -> list[Any]:
        """All that is kept of blocks, and of what is live."""
        blocks = self.database.tables.rows("SELECT * FROM block ORDER BY pool, first")
        return [blocks, self.database.tables.live()]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lasting_scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """One service for all the accidents."""
    if request.param == "sqlite":
        with running_service() as service:
            yield Scene(service, Sqlite(service.database))
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.copy() as name, running_service(database_url=server.url(name)) as service:
        yield Scene(service, Postgresql(server, name))


@pytest.fixture
def scene(lasting_scene: Scene) -> Scene:
    lasting_scene.prepare()
    return lasting_scene


def kinds(found: list[dict[str, Any]]) -> set[str]:
    return {finding["kind"] for finding in found}


BLOCK = "UPDATE block SET {} WHERE pool = 'pods'"
ROW = "UPDATE allocation SET {} WHERE container_id = 'c1'"

REPAIRABLE: dict[str, tuple[Callable[[Scene], None], set[str]]] = {
    "a block counts one too many": (
        lambda scene: scene.database.plant(BLOCK.format("allocated = allocated + 1")),
        {"allocated"},
    ),
    "a block forgot that an address was given back": (
        lambda scene: scene.database.plant(BLOCK.format("last_freed = 0")),
        {"last-freed"},
    ),
    "a block says that one was given back later": (
        lambda scene: scene.database.plant(BLOCK.format("last_freed = last_freed + 1")),
        {"last-freed"},
    ),
    "a block hides that it has room": (
        lambda scene: scene.database.plant(BLOCK.format("next_free_since = NULL")),
        {"next-free-since"},
    ),
    "a block says that its next address is free later": (
        lambda scene: scene.database.plant(BLOCK.format("next_free_since = 5")),
        {"next-free-since"},
    ),
    "a block gives a held address away": (
        lambda scene: scene.set_instant(1, lambda _: 0),
        {"allocation-not-in-block", "allocated"},
    ),
    "a block keeps an address that nobody holds": (
        lambda scene: scene.set_instant(3, lambda _: HELD),
        {"held-without-allocation", "allocated"},
    ),
    "a block keeps an address that nobody ever held": (
        lambda scene: scene.set_instant(9, lambda _: HELD),
        {"held-without-allocation", "allocated"},
    ),
    "an address cools down longer than it may": (
        lambda scene: scene.set_instant(3, lambda since: since + 3600 * MICROSECONDS),
        {"free-since"},
    ),
    "an address that was given back was never held": (
        lambda scene: scene.set_instant(3, lambda _: 0),
        {"free-since"},
    ),
    "an address that nobody ever held cools down": (
        lambda scene: scene.set_instant(9, lambda _: 4_000_000_000 * MICROSECONDS),
        {"free-since"},
    ),
    "a row that lived is gone": (
        lambda scene: scene.database.plant("DELETE FROM allocation WHERE container_id = 'c1'"),
        {"held-without-allocation"},
    ),
    "a row ended, and its block was not told": (
        lambda scene: scene.database.plant(ROW.format("until = since + 30000000, ending = 'released'")),
        {"held-without-allocation", "last-freed"},
    ),
    "a block is gone": (
        lambda scene: scene.database.plant("DELETE FROM block WHERE pool = 'pods'"),
        {"allocation-without-block"},
    ),
}

LEFT: dict[str, tuple[Callable[[Scene], None], set[str]]] = {
    "a pool is gone": (
        lambda scene: scene.database.plant("DELETE FROM pool WHERE name = 'pods'"),
        {"block-without-pool", "allocation-without-pool"},
    ),
    "a pool is elsewhere": (
        lambda scene: scene.database.plant("UPDATE pool SET subnet = '10.7.0.0/24' WHERE name = 'pods'"),
        {"block-outside-pool", "allocation-outside-pool"},
    ),
    "an allocation is outside its pool": (
        lambda scene: scene.database.plant(ROW.format("address = X'0b000001'")),
        {"held-without-allocation", "allocation-outside-pool"},
    ),
    "an allocation is the gateway": (
        lambda scene: scene.database.plant(ROW.format("address = X'0a000001', place = 1")),
        {"held-without-allocation", "allocation-not-in-block", "allocation-outside-pool"},
    ),
    "an allocation names another block": (
        lambda scene: scene.database.plant(ROW.format("place = place + 64")),
        {"allocation-in-wrong-block"},
    ),
    "two had an address at one time, and one of them has it": (
        lambda scene: scene.database.plant(
            f"UPDATE allocation SET address = X'{FIRST + 2:08x}', place = 2 WHERE until IS NOT NULL"
        ),
        {"overlap", "free-since"},
    ),
    "a node that nobody heard of for long holds an address": (
        lambda scene: scene.database.plant(ROW.format("node = 'gone', since = 5")),
        {"node-silent"},
    ),
}


@pytest.mark.parametrize("accident", REPAIRABLE)
def test_what_allocations_decide_is_found_and_repaired(scene: Scene, accident: str) -> None:
    plant, expected = REPAIRABLE[accident]
    right = scene.everything()

    plant(scene)

    found = scene.service.contradictions()
    assert kinds(found) == expected
    assert all(finding["repairable"] and not finding["repaired"] for finding in found)
    assert all(finding["pool"] == "pods" and finding["what"] for finding in found)
    assert kinds([each for each in scene.service.contradictions(repair=True) if each["repaired"]]) == expected
    assert scene.service.contradictions() == []
    rows_were_changed = accident.startswith("a row")
    never_held = accident == "a block is gone"  # its one instant without a live row came from an ended row
    assert rows_were_changed or never_held or scene.everything() == right
    assert scene.database.tables.held_by_blocks() == {
        address for addresses in scene.database.tables.live().values() for address in addresses
    }


@pytest.mark.parametrize("accident", LEFT)
def test_what_needs_a_decision_is_found_and_left(scene: Scene, accident: str) -> None:
    plant, expected = LEFT[accident]

    plant(scene)

    found = scene.service.contradictions()
    assert kinds(found) == expected
    left = [each for each in scene.service.contradictions(repair=True) if not each["repaired"]]
    assert kinds(left) == {each["kind"] for each in found if not each["repairable"]}
    assert kinds(scene.service.contradictions()) == kinds(left)


def test_a_finding_names_both_sides(scene: Scene) -> None:
    scene.set_instant(1, lambda _: 0)

    [finding] = [each for each in scene.service.contradictions() if each["kind"] == "allocation-not-in-block"]

    assert finding["address"] == scene.address(1)
    assert finding["block"] == "10.0.0.0"
    assert finding["what"].startswith(f"{scene.address(1)} is held by container c1 on node node-1")
    [row] = scene.service.allocations(container_id="c1")
    assert finding["allocation"] == row["id"]


def test_a_pool_that_was_made_anew_contradicts_nothing(scene: Scene) -> None:
    caller = Caller(scene.service.port, Node("node-1"), ["pods"])
    for number in range(HOLDERS):
        assert caller.delete(f"c{number}").code == 0
    assert scene.service.http.delete("/v1/pools/pods").is_success
    scene.service.create_pool("pods", "10.0.0.0/26", cooldown=0)
    assert caller.add("again").code == 0
    assert caller.delete("again").code == 0
    assert caller.add("more").code == 0
    caller.close()

    assert scene.service.contradictions() == []


def test_nothing_is_repaired_of_a_pool_that_was_changed_beside_ipamd(scene: Scene) -> None:
    scene.database.plant("UPDATE pool SET space = 'lab' WHERE name = 'pods'")
    before = scene.everything()

    found = scene.service.contradictions(repair=True)

    assert {"held-without-allocation", "allocation-outside-pool"} <= kinds(found)
    assert not any(finding["repaired"] for finding in found)
    assert scene.everything() == before


def test_many_blocks_are_looked_at_in_portions(scene: Scene) -> None:
    scene.service.create_pool("many", "10.8.0.0/16", block_size=30, cooldown=0)
    caller = Caller(scene.service.port, Node("node-1"), ["many"])
    for number in range(150):
        assert caller.add(f"m{number}").code == 0
    caller.close()
    scene.database.plant("UPDATE block SET allocated = 3 WHERE pool = 'many' AND allocated = 4")

    first = scene.service.http.post("/v1/check", json={}).json()
    found = scene.service.contradictions()

    assert first["blocks"] < 38
    assert first["next"] is not None
    assert len(found) >= 36
    assert kinds(found) == {"allocated"}
    assert len({finding["block"] for finding in found}) == len(found)


@pytest.mark.parametrize(
    "cursor", ["", "bm8=", "WyJhIl0=", "MQ==", "WyJhIiwgIi0xIl0=", "WyIiLCAieCIsICIwIiwgIjAiXQ=="]
)
def test_a_cursor_of_another_list_is_refused(scene: Scene, cursor: str) -> None:
    answer = scene.service.http.post("/v1/check", json={"cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_a_release_of_what_has_no_block_is_refused_and_stops_nobody(scene: Scene) -> None:
    scene.database.plant("DELETE FROM block WHERE pool = 'pods'")
    caller = Caller(scene.service.port, Node("node-1"), ["pods"])

    refused = caller.delete("c1")
    scene.service.contradictions(repair=True)

    assert refused.code == 11
    assert caller.delete("c1").code == 0
    caller.close()
