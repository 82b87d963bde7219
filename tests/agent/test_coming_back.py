"""A node that was removed while it was away comes back: it learns it, and names what it uses of others."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agent.leased import leased_node
from tests.agent.process import AgentProcess
from tests.api.plugin_call import call
from tests.network.conftest import DEBIAN_PLUGINS, plugin_folder
from tests.network.namespace import MakeNamespace, Namespace
from tests.node_executable import node_plugin
from tests.service import IpamdProcess, running_service
from tests.veth.executable import MainPlugin, put
from tests.waiting import eventually

LOOKS = "1"


class Machine:
    """A machine with an agent, whose containers the main plugin connects."""

    def __init__(self, service: IpamdProcess, agent: AgentProcess, machine: Namespace, plugins: Path) -> None:
        self.service = service
        self.agent = agent
        self._machine = machine
        self._plugins = plugins
        agent.machine = machine
        agent.options = ("--look-every", LOOKS)
        self._network = {
            "cniVersion": "1.0.0",
            "name": "pods",
            "type": "ipamd-veth",
            "ipam": {
                "type": "ipamd-ipam",
                "endpoint": service.endpoint,
                "node": agent.node,
                "stateDir": str(agent.state),
            },
        }

    def container(self, name: str, netns: Namespace) -> MainPlugin:
        given = {"CNI_CONTAINERID": name, "CNI_NETNS": str(netns.path)}
        return MainPlugin(self._machine, self._plugins, self._network, given)

    def add(self, name: str, netns: Namespace) -> str:
        """A container begins; its address."""
        self.container(name, netns).add()
        [held] = [row for row in self.service.allocations() if row["container_id"] == name]
        address: str = held["address"]
        return address

    def holders(self) -> dict[str, str | None]:
        """Who has which address."""
        rows = self.service.allocations()
        return {row["address"]: row["container_id"] or row["owner"] for row in rows}

    def remove(self) -> None:
        body = {"why": "off for good, they say", "even_if_alive": True}
        answer = self.service.http.post(f"/v1/nodes/default/{self.agent.node}/remove", json=body)
        assert answer.is_success, answer.text


@pytest.fixture
def machine(scratch: Path, make_namespace: MakeNamespace) -> Iterator[Machine]:
    plugins = plugin_folder(scratch / "bin", DEBIAN_PLUGINS, node_plugin())
    put(plugins, "static")
    with ExitStack() as stack:
        service = stack.enter_context(running_service(None, "--leak-grace", LOOKS))
        service.create_pool("pods", "10.0.0.0/16", cooldown=0)
        agent = AgentProcess(scratch, service.endpoint)
        stack.callback(agent.kill)
        yield Machine(service, agent, make_namespace("machine"), plugins)


@pytest.mark.parametrize("is_running", [False, True], ids=["its-agent-was-off", "its-agent-was-cut-off"])
def test_a_node_that_comes_back_names_what_it_uses_of_others_and_keeps_the_rest(
    machine: Machine, make_namespace: MakeNamespace, is_running: bool
) -> None:
    web, db = make_namespace("web"), make_namespace("db")
    theirs, own = machine.add("web", web), machine.add("db", db)
    machine.agent.start()
    eventually(lambda: "2 of containers" in machine.agent.status().out)
    if not is_running:
        machine.agent.kill()

    machine.remove()
    other = machine.service.http.post("/v1/allocations", json={"owner": "vm-1", "address": theirs})
    assert other.is_success, other.text
    if not is_running:
        machine.agent.start()

    eventually(lambda: machine.holders() == {theirs: "vm-1", own: "db"})
    eventually(lambda: "conflict:" in machine.agent.status().out)
    told = machine.agent.status()
    assert told.code == 1
    assert f"container web uses {theirs}, and must not" in told.out
    assert "vm-1" in told.out
    log = machine.agent.log.read_text()
    assert log.count("an address that is used here is another's") == 1

    machine.container("web", web).call("DEL")
    assert machine.holders() == {theirs: "vm-1", own: "db"}, "the end of who lost it frees nothing of others"
    eventually(lambda: machine.agent.status().code == 0)
    assert "conflict:" not in machine.agent.status().out


def test_a_node_that_comes_back_gives_nothing_of_its_former_lease() -> None:
    with leased_node(4, "10.9.0.0/27") as node:
        http = node.service.http
        seats = [row["address"] for row in node.service.allocations() if row["owner"]]
        assert len(seats) == 4
        node.agent.kill()

        removed = http.post(
            f"/v1/nodes/default/{node.agent.node}/remove", json={"why": "gone", "even_if_alive": True}
        ).json()
        assert (removed["released"], removed["seats"]) == (1, 4)
        for number, address in enumerate(seats):
            taken = http.post("/v1/allocations", json={"owner": f"vm-{number}", "address": address})
            assert taken.is_success, taken.text
        node.agent.start()
        eventually(lambda: node.is_open() and node.is_reported())

        given = {node.add(f"new-{number}") for number in range(4)}
        assert given.isdisjoint(address.partition("/")[0] for address in seats)
        eventually(node.is_reported)
        held = {row["address"].partition("/")[0]: row["owner"] for row in node.service.allocations()}
        assert {owner for owner in held.values() if owner and owner.startswith("vm-")} == {
            f"vm-{number}" for number in range(4)
        }
        assert given <= held.keys()
        elsewhere = http.post("/v1/cni/add", json=call("elsewhere", node="another"))
        assert elsewhere.is_success, elsewhere.text
