"""The agent keeps seats ready for what the node is asked for, and ipamd hears of all that becomes of them."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from ipam_plugin.leases import layout
from tests.agent.process import AgentProcess
from tests.lease_store import LeaseStore
from tests.service import IpamdProcess, running_service, scratch_folder
from tests.waiting import eventually

MEMORY: Final = "/dev/shm"  # a store lies on tmpfs


class Leased:
    """A service, an agent that keeps a lease, the node's plugin, and its store."""

    def __init__(self, service: IpamdProcess, agent: AgentProcess, run: Path) -> None:
        self.service = service
        self.agent = agent
        self.plugin = agent.plugin()
        self.store = LeaseStore.at(run / "ipamd" / "leases" / "store")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.agent.ask("GET", "/status").json()["leases"]
        return found

    def is_open(self) -> bool:
        status = self.status()
        return bool(status["open"] and status["seats"]["free"])

    def is_reported(self) -> bool:
        return not self.store.events()

    def add(self, container: str) -> str:
        ended = self.plugin.call("ADD", CNI_CONTAINERID=container)
        assert ended.code == 0, ended
        address: str = ended.json["ips"][0]["address"]
        return address.partition("/")[0]

    def delete(self, container: str) -> None:
        assert self.plugin.call("DEL", CNI_CONTAINERID=container).code == 0

    def held(self) -> dict[str, str]:
        """Who has which address, as ipamd says it."""
        items = self.service.http.get("/v1/allocations", params={"limit": 500}).json()["items"]
        return {
            item["container_id"]: item["address"].partition("/")[0] for item in items if item["container_id"]
        }

    def seats(self, state: int) -> int:
        return list(self.store.states().values()).count(state)


@pytest.fixture(scope="module")
def leased() -> Iterator[Leased]:
    """A node whose first container was given its address by ipamd, and which holds seats since."""
    with (
        running_service() as service,
        scratch_folder() as folder,
        TemporaryDirectory(dir=MEMORY, prefix="ipamd-") as run,
    ):
        service.create_pool("pods", "10.9.0.0/24", cooldown=0)
        agent = AgentProcess(folder, service.endpoint)
        agent.run = Path(run)
        agent.options = ("--leases", "8")
        agent.start()
        try:
            made = Leased(service, agent, Path(run))
            made.add("first")
            eventually(made.is_open)
            yield made
        finally:
            agent.kill()


def test_a_node_that_was_asked_for_addresses_holds_some_in_advance(leased: Leased) -> None:
    assert leased.seats(layout.FREE) >= 4
    [lease] = leased.service.http.get("/v1/leases").json()["items"]
    assert lease["node"] == "node-a"
    assert lease["seats"] >= 4


def test_while_ipamd_is_away_containers_begin_and_end_and_it_hears_of_them_afterwards(leased: Leased) -> None:
    leased.service.kill()

    given = {name: leased.add(name) for name in ("a1", "a2", "a3")}
    leased.delete("a2")
    del given["a2"]

    leased.service.start()
    eventually(leased.is_reported)
    assert {name: address for name, address in leased.held().items() if name != "first"} == given
    for name in given:
        leased.delete(name)
    eventually(leased.is_reported)
    assert set(leased.held()) == {"first"}


def test_an_agent_that_was_killed_goes_on_with_the_same_seats(leased: Leased) -> None:
    leased.agent.kill()
    address = leased.add("b1")

    leased.agent.start()

    eventually(leased.is_reported)
    assert leased.held()["b1"] == address
    eventually(leased.is_open)
    assert leased.add("b1") == address
    leased.delete("b1")


def test_what_ipamd_ends_ends_in_the_store(leased: Leased) -> None:
    leased.add("c1")
    eventually(leased.is_reported)
    [item] = [
        item
        for item in leased.service.http.get("/v1/allocations").json()["items"]
        if item["container_id"] == "c1"
    ]

    leased.service.http.delete(f"/v1/allocations/{item['id']}")

    eventually(lambda: leased.seats(layout.HELD) == 0)


def test_a_recall_empties_the_store_but_for_what_is_taken(leased: Leased) -> None:
    leased.add("d1")
    eventually(leased.is_reported)
    taken = [number for number, state in leased.store.states().items() if state == layout.HELD]
    before = set(leased.store.states())

    asked = leased.service.http.post("/v1/leases/recall", json={"node": "node-a"})

    assert asked.is_success, asked.text
    eventually(lambda: before & set(leased.store.states()) == set(taken))
    leased.delete("d1")
    eventually(lambda: not before & set(leased.store.states()))


def test_status_shows_the_lease(leased: Leased) -> None:
    eventually(leased.is_open)

    shown = leased.agent.status().out

    assert "lease:          gives for" in shown
    assert "0 taken" in shown
