"""A database that is put back: nothing that lives is given again, and all of it comes back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.api.lease_holder import LeaseHolder
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


def put_back(service: IpamdProcess, copy: Path, *options: str) -> None:
    """Stop, put the file in its place, and serve with these options once."""
    service.stop()
    path = database(service)
    for name in ("", "-wal", "-shm"):
        Path(f"{path}{name}").unlink(missing_ok=True)
    path.write_bytes(copy.read_bytes())
    usual = service.options
    service.options = (*usual, *options)
    service.start()
    service.options = usual


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

    put_back(service, scratch / "copy", "--after-restore")

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
    [finding] = service.contradictions()
    assert finding["what"].startswith("the database was put back; nothing is given")

    assert service.http.post("/v1/restore/finish", json={}).status_code == httpx.codes.NO_CONTENT

    assert add(agent, "new").status_code == httpx.codes.OK
    kinds = [entry["kind"] for entry in service.http.get("/v1/log").json()["items"]]
    assert kinds[:2] == ["restore", "restore"]


@pytest.mark.parametrize("verb", ["release", "remove"])
def test_nobody_waits_for_a_node_that_an_admin_has_released(service: IpamdProcess, verb: str) -> None:
    service.create_pool("pods", "10.0.0.0/24", cooldown=0)
    gone, spoken = Agent(service.http, 1), Agent(service.http, 1)
    holder = LeaseHolder(service.http, "pods")
    holder.node = gone.node
    holder.ask()
    spoken.say([])
    service.stop()
    service.options = (*service.options, "--after-restore")
    service.start()
    spoken.http = service.http
    spoken.held()
    spoken.say([])
    assert [each["name"] for each in service.http.get("/v1/restore").json()["silent"]] == [gone.node]

    body = {"why": "it burnt", "even_if_alive": True}
    assert service.http.post(f"/v1/nodes/default/{gone.node}/{verb}", json=body).is_success

    eventually(lambda: service.http.get("/v1/restore").json()["began"] is None)
    assert add(spoken, "new").status_code == httpx.codes.OK


def test_ipamd_notices_that_its_database_is_older_than_what_a_node_was_told(
    service: IpamdProcess, scratch: Path
) -> None:
    service.create_pool("pods", "10.0.0.0/24", cooldown=0)
    told, idle = Agent(service.http, BEFORE), Agent(service.http, BEFORE)
    for agent in (told, idle):
        agent.speaks()
    back_up(service, scratch / "copy")
    since = told.add("since")
    for agent in (told, idle):
        agent.speaks()

    put_back(service, scratch / "copy")
    told.http = idle.http = service.http
    idle.speaks()
    assert service.http.get("/v1/restore").json()["began"] is None, "nothing is known of it yet"
    told.speaks()

    restore = service.http.get("/v1/restore").json()
    assert f"node {told.node} of cluster default was told of allocation" in restore["cause"]
    refused = add(idle, "new")
    assert (refused.status_code, refused.json()["code"]) == (503, 11)
    assert "is an older one" in refused.json()["msg"]
    assert "ipamctl restore finish" in refused.json()["msg"]
    assert add(told, "c0").status_code == httpx.codes.OK, "a repeat"
    assert service.logged("the database is an older one")
    assert "ipamd_restoring 1.0" in service.http.get("/metrics").text
    assert [finding["kind"] for finding in service.contradictions()] == ["put-back"]
    told.held()
    told.lives(since=since)
    idle.speaks()
    eventually(lambda: service.http.get("/v1/restore").json()["began"] is None)
    assert add(idle, "new").status_code == httpx.codes.OK
    assert since in {row["address"] for row in told.held()}
    assert "ipamd_restoring 0.0" in service.http.get("/metrics").text
    assert service.contradictions() == []


def test_ipamd_notices_that_a_change_by_an_admin_was_lost(service: IpamdProcess, scratch: Path) -> None:
    service.create_pool("pods", "10.0.0.0/24", cooldown=0)
    agent = Agent(service.http, 1)
    agent.speaks()
    back_up(service, scratch / "copy")
    service.create_pool("more", "10.0.1.0/24", cooldown=0)
    agent.speaks()

    put_back(service, scratch / "copy")
    agent.http = service.http
    agent.speaks()

    assert "of change" in service.http.get("/v1/restore").json()["cause"]


def test_ipamd_notices_that_the_restore_itself_was_lost(service: IpamdProcess, scratch: Path) -> None:
    service.create_pool("pods", "10.0.0.0/24", cooldown=0)
    agent = Agent(service.http, 1)
    agent.speaks()
    back_up(service, scratch / "copy")
    put_back(service, scratch / "copy", "--after-restore")
    agent.http = service.http
    agent.speaks()
    first = agent.timeline

    put_back(service, scratch / "copy")
    agent.http = service.http
    agent.speaks()
    agent.speaks()

    assert "put back" in service.http.get("/v1/restore").json()["cause"]
    assert first is not None
    assert agent.timeline is not None
    assert int(agent.timeline.split("-")[0]) == int(first.split("-")[0]) + 1


@pytest.mark.parametrize("lie", ["a huge id", "another node's receipt", "a receipt of its own making"])
def test_no_agent_can_have_ipamd_believe_that_its_database_is_older(service: IpamdProcess, lie: str) -> None:
    service.create_pool("pods", "10.0.0.0/24", cooldown=0)
    other, liar = Agent(service.http, 3), Agent(service.http, 1)
    for agent in (other, liar):
        agent.speaks()
    if lie == "a huge id":
        liar.told = (1 << 62) - 1
        liar.say([])
    elif lie == "another node's receipt":
        liar.receipt = other.receipt
    else:
        assert liar.receipt is not None
        liar.receipt = f".9999.9999.{liar.receipt.rpartition('.')[2]}"

    for _ in range(2):
        liar.say([])

    assert service.http.get("/v1/restore").json()["began"] is None
    assert add(other, "new").status_code == httpx.codes.OK


def test_a_node_that_was_forgotten_and_one_that_was_released_may_come_back(service: IpamdProcess) -> None:
    service.create_pool("pods", "10.0.0.0/24", cooldown=0)
    forgotten, released, removed = (Agent(service.http, 3) for _ in range(3))
    for agent in (forgotten, released, removed):
        agent.speaks()
    labels = {"labels": {"rack": "r1"}}
    assert service.http.put(f"/v1/nodes/default/{forgotten.node}", json=labels).is_success

    assert service.http.delete(f"/v1/nodes/default/{forgotten.node}").is_success
    body = {"why": "it burnt", "even_if_alive": True}
    for agent, verb in ((released, "release"), (removed, "remove")):
        assert service.http.post(f"/v1/nodes/default/{agent.node}/{verb}", json=body).is_success
    for agent in (forgotten, released, removed):
        agent.told = 0
        assert agent.say([])["is_anew"] is True
        assert agent.say([])["is_anew"] is False
        agent.speaks()

    assert service.http.get("/v1/restore").json()["began"] is None


def add_with_prefix(agent: Agent, container: str) -> tuple[str, str]:
    """A container begins; its address and its prefix."""
    agent.uptime += 1
    body = call(container, node=agent.node, config={"args": {"cni": {"prefix": 28}}})
    answer = agent.http.post("/v1/cni/add", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    [prefix] = answer.json()["ipamd.io/prefixes"]
    return answer.json()["ips"][0]["address"].partition("/")[0], prefix


def lives_with_prefix(agent: Agent, container: str, address: str, prefix: str) -> httpx.Response:
    who = {"network": "pods", "container_id": container, "ifname": "eth0", "netns": [4, 4026532888]}
    return agent.post([], living=[{**who, "addresses": [address], "prefix": prefix}])


@pytest.mark.parametrize("affinity", ["any", "node"])
@pytest.mark.parametrize("state", ["active", "draining"])
def test_a_prefix_that_lives_is_adopted_and_given_to_nobody_else(
    service: IpamdProcess, scratch: Path, affinity: str, state: str
) -> None:
    service.create_pool("pods", "10.0.0.0/24", cooldown=0, affinity=affinity)
    agent = Agent(service.http, BEFORE)
    agent.say([])
    service.http.patch("/v1/pools/pods", json={"state": state})
    back_up(service, scratch / "copy")
    service.http.patch("/v1/pools/pods", json={"state": "active"})
    since = {container: add_with_prefix(agent, container) for container in ("since-1", "since-2")}

    put_back(service, scratch / "copy", "--after-restore")
    agent.http = service.http
    agent.held()
    for container, (address, prefix) in since.items():
        said = lives_with_prefix(agent, container, address, prefix).json()
        assert (said["adopted"], said["conflicts"]) == (1, [])

    eventually(lambda: service.http.get("/v1/restore").json()["began"] is None)
    service.http.patch("/v1/pools/pods", json={"state": "active"})
    fresh = {add_with_prefix(agent, f"fresh-{number}")[1] for number in range(4)}
    assert fresh.isdisjoint(prefix for _, prefix in since.values())
    told = lives_with_prefix(agent, "since-1", *since["since-1"]).json()
    assert (told["adopted"], told["conflicts"]) == (0, [])
    rows = service.allocations(container_id="since-1")
    assert [row["prefix_length"] for row in rows] == [None, 28]
    assert service.contradictions() == []
    agent.delete("since-1")
    assert service.allocations(container_id="since-1") == []


def test_a_prefix_that_lives_and_is_anothers_in_part_is_named_until_that_ends(
    service: IpamdProcess, scratch: Path
) -> None:
    service.create_pool("pods", "10.0.0.0/26", cooldown=0)
    agent = Agent(service.http, 1)
    agent.say([])
    vm = {"owner": "vm", "address": "10.0.0.20"}
    held = service.http.post("/v1/allocations", json=vm).json()
    back_up(service, scratch / "copy")
    service.http.delete(f"/v1/allocations/{held['id']}")
    assert add_with_prefix(agent, "other")[1] == "10.0.0.32/28"
    address, prefix = add_with_prefix(agent, "later")
    assert prefix == "10.0.0.16/28"

    put_back(service, scratch / "copy", "--after-restore")
    agent.http = service.http
    agent.held()
    [conflict] = lives_with_prefix(agent, "later", address, prefix).json()["conflicts"]

    assert "10.0.0.20" in conflict["why"]
    assert "vm" in conflict["why"]
    assert "living-conflict" in {each["kind"] for each in service.contradictions()}
    assert service.http.get("/v1/restore").json()["began"] is not None
    service.http.delete(f"/v1/allocations/{held['id']}")
    assert lives_with_prefix(agent, "later", address, prefix).json()["adopted"] == 1
    assert {row["prefix_length"] for row in service.allocations(container_id="later")} == {None, 28}


def test_a_prefix_that_no_holder_may_have_is_named_and_one_outside_all_pools_is_let_be(
    service: IpamdProcess,
) -> None:
    service.create_pool("pods", "10.0.0.0/24", cooldown=0, exclusions=["10.0.0.50"])
    agent = Agent(service.http, 1)
    agent.say([])

    refused = lives_with_prefix(agent, "p1", "10.0.0.5", "10.0.0.48/28").json()
    outside = lives_with_prefix(agent, "p2", "10.0.0.6", "10.9.0.0/28").json()
    wrong = [lives_with_prefix(agent, "p3", "10.0.0.7", text) for text in ("10.0.0.49/28", "10.0.0.8", "x")]

    assert "10.0.0.50 is in it, and it is excluded" in refused["conflicts"][0]["why"]
    assert (outside["adopted"], outside["conflicts"]) == (1, [])
    assert [each.status_code for each in wrong] == [422, 422, 422]
