"""A database that is put back: nothing that lives is given again, and all of it comes back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.api.plugin_call import call
from tests.api.test_census import Agent
from tests.service import IpamdProcess, running_service
from tests.waiting import eventually

BEFORE, SINCE = 3, 25
"""Containers of each node before the backup and since."""


@pytest.fixture
def service(scratch: Path) -> Iterator[IpamdProcess]:
    with running_service(scratch, "--leak-grace", "1") as service:
        yield service


def back_up(service: IpamdProcess, copy: Path) -> None:
    with closing(sqlite3.connect(database(service))) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def put_back(service: IpamdProcess, copy: Path) -> None:
    """What docs/operations.md says: stop, put the file back, serve with --after-restore once."""
    service.stop()
    path = database(service)
    for name in ("", "-wal", "-shm"):
        Path(f"{path}{name}").unlink(missing_ok=True)
    path.write_bytes(copy.read_bytes())
    options = service.options
    service.options = (*options, "--after-restore")
    service.start()
    service.options = options


def database(service: IpamdProcess) -> Path:
    [path] = service.folder.rglob("*.sqlite")
    return path


def add(agent: Agent, container: str) -> httpx.Response:
    agent.uptime += 1
    return agent.http.post("/v1/cni/add", json=call(container, node=agent.node))


@pytest.mark.parametrize("affinity", ["any", "node"])
def test_no_living_address_is_given_again_by_a_database_from_before(
    service: IpamdProcess, scratch: Path, affinity: str
) -> None:
    service.create_pool("pods", "10.0.0.0/20", cooldown=0, affinity=affinity)
    early, late = Agent(service.http, BEFORE), Agent(service.http, BEFORE)
    for agent in (early, late):
        agent.say([])
    service.http.post("/v1/check", json={})
    back_up(service, scratch / "copy")
    since = {
        agent.node: {f"since-{number}": agent.add(f"since-{number}") for number in range(SINCE)}
        for agent in (early, late)
    }

    put_back(service, scratch / "copy")

    for agent in (early, late):
        agent.http = service.http
    early.lives()
    silent = {each["name"] for each in service.http.get("/v1/restore").json()["silent"]}
    assert silent == {early.node, late.node}, "it knows rows of the former timeline"
    early.held()
    early.lives(**since[early.node])
    refused = add(early, "new")
    assert (refused.status_code, refused.json()["code"]) == (503, 11)
    assert add(early, "c0").status_code == httpx.codes.OK, "a repeat"
    early.delete("c1")
    assert service.http.post("/v1/allocations", json={"owner": "vm"}).status_code == 503
    assert [each["name"] for each in service.http.get("/v1/restore").json()["silent"]] == [late.node]

    service.stop()
    service.start()
    assert add(early, "new").status_code == 503, "it is kept in the database"
    late.http = early.http = service.http
    late.held()
    late.lives(**since[late.node])

    eventually(lambda: service.http.get("/v1/restore").json()["began"] is None)
    fresh = {early.add(f"fresh-{number}") for number in range(2 * SINCE)}
    living = {address for addresses in since.values() for address in addresses.values()}
    assert fresh.isdisjoint(living)
    held = {row["address"]: row["container_id"] for agent in (early, late) for row in agent.held()}
    assert {held[address] for address in since[early.node].values()} == set(since[early.node])
    assert living <= held.keys()
    assert service.contradictions() == []


def test_an_admin_ends_the_waiting(service: IpamdProcess, scratch: Path) -> None:
    service.create_pool("pods", "10.0.0.0/24", cooldown=0)
    agent = Agent(service.http, 1)
    agent.say([])
    service.stop()
    service.options = (*service.options, "--after-restore")
    service.start()
    agent.http = service.http
    assert add(agent, "new").status_code == 503

    assert service.http.post("/v1/restore/finish", json={}).status_code == httpx.codes.NO_CONTENT

    assert add(agent, "new").status_code == httpx.codes.OK
    kinds = [entry["kind"] for entry in service.http.get("/v1/log").json()["items"]]
    assert kinds[:2] == ["restore", "restore"]


def test_nobody_waits_for_a_node_that_an_admin_has_released(service: IpamdProcess) -> None:
    service.create_pool("pods", "10.0.0.0/24", cooldown=0)
    gone, spoken = Agent(service.http, 1), Agent(service.http, 1)
    spoken.say([])
    service.stop()
    service.options = (*service.options, "--after-restore")
    service.start()
    spoken.http = service.http
    spoken.held()
    spoken.say([])
    assert [each["name"] for each in service.http.get("/v1/restore").json()["silent"]] == [gone.node]

    body = {"why": "it burnt", "even_if_alive": True}
    assert service.http.post(f"/v1/nodes/default/{gone.node}/release", json=body).is_success

    eventually(lambda: service.http.get("/v1/restore").json()["began"] is None)
    assert add(spoken, "new").status_code == httpx.codes.OK
