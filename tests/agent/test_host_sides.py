"""A running agent keeps the node's ends of containers' links as the main plugin made them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.process import AgentProcess
from tests.agent.stopping import stopped_before
from tests.network.conftest import DEBIAN_PLUGINS, node, plugin_folder
from tests.network.namespace import MakeNamespace, Namespace
from tests.node_executable import node_plugin
from tests.veth.beyond import BEYOND, NODE, UPLINK, answers, routes, shown, wire
from tests.veth.conftest import container, third_party
from tests.veth.executable import Document, MainPlugin, put
from tests.veth.ipam import NAME, ThirdParty
from tests.waiting import eventually

__all__ = ["container", "node", "third_party"]

ADDRESSES = ("10.5.0.7", "fd05::7")
ROUTE_OF_A_CONTAINER = bytes.fromhex("02200000fe96")
"""How the kernel is told of one: IPv4, 32 bits, the main table, protocol 150."""
DUAL: Document = {
    "cniVersion": "1.0.0",
    "ips": [{"address": "10.5.0.7/24"}, {"address": "fd05::7/64"}],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}


@pytest.fixture
def plugins(scratch: Path) -> Path:
    folder = plugin_folder(scratch / "bin", DEBIAN_PLUGINS, node_plugin())
    put(folder, "static")
    return folder


@pytest.fixture
def plugin(
    node: Namespace,
    container: Namespace,
    plugins: Path,
    third_party: ThirdParty,
    make_namespace: MakeNamespace,
) -> MainPlugin:
    """The main plugin on a node with an uplink."""
    wire(node, make_namespace("beyond"))
    third_party.answers("ADD", DUAL)
    network = {"cniVersion": "1.0.0", "name": "pods", "type": "ipamd-veth", "ipam": {"type": NAME}}
    return MainPlugin(node, plugins, network, {"CNI_CONTAINERID": "web", "CNI_NETNS": str(container.path)})


@pytest.fixture
def agent(node: Namespace, scratch: Path) -> Iterator[AgentProcess]:
    """An agent on the node that reaches no ipamd: it needs none for this."""
    process = AgentProcess(scratch, f"unix://{scratch}/nobody.sock")
    process.machine = node
    process.start()
    yield process
    process.kill()


def standing(node: Namespace, name: str) -> tuple[list[Any], ...]:
    """Permanent neighbours, routes and addresses of a host side."""
    known = shown(node, "neigh", "show", "dev", name, "nud", "permanent")
    neighbours = sorted((one["dst"], one["lladdr"]) for one in known)
    led = sorted(
        (one["dst"], one.get("prefsrc", ""), one["protocol"]) for one in routes(node) if one["dev"] == name
    )
    [told] = shown(node, "address", "show", "dev", name)
    return neighbours, led, sorted((one["local"], one["prefixlen"]) for one in told["addr_info"])


def all_answer(node: Namespace) -> bool:
    return all(answers(node, address) for address in ADDRESSES)


@pytest.mark.parametrize("is_up", [True, False], ids=["at once", "down meanwhile"])
def test_a_container_whose_mac_changes_stays_reachable(
    plugin: MainPlugin, node: Namespace, container: Namespace, agent: AgentProcess, is_up: bool
) -> None:
    name = plugin.add()["interfaces"][0]["name"]
    assert all_answer(node)

    if not is_up:
        container.run("ip", "link", "set", "eth0", "down")
    container.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:77")
    if not is_up:
        container.run("ip", "link", "set", "eth0", "up")

    neighbours = [(one, "02:00:00:00:00:77") for one in ADDRESSES]
    eventually(lambda: standing(node, name)[0] == neighbours)
    if is_up:
        assert all_answer(node)


def test_a_host_side_that_went_down_and_up_is_as_it_was(
    plugin: MainPlugin, node: Namespace, agent: AgentProcess
) -> None:
    name = plugin.add()["interfaces"][0]["name"]
    before = standing(node, name)

    node.run("ip", "link", "set", name, "down")
    node.run("ip", "link", "set", name, "up")

    eventually(lambda: standing(node, name) == before)
    assert all_answer(node)


@pytest.mark.parametrize(
    "taken",
    [
        ("route", "del", "10.5.0.7"),
        ("-6", "route", "del", "fd05::7"),
        ("address", "del", "169.254.1.1/32"),
        ("address", "del", "fe80::1/64"),
    ],
    ids=" ".join,
)
def test_what_somebody_takes_away_of_a_host_side_is_put_back(
    plugin: MainPlugin, node: Namespace, agent: AgentProcess, taken: tuple[str, ...]
) -> None:
    name = plugin.add()["interfaces"][0]["name"]
    before = standing(node, name)

    node.run("ip", *taken, "dev", name)

    eventually(lambda: standing(node, name) == before)
    assert all_answer(node)


PREFIXES = ("10.5.0.48/28", "fd05::40/122")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_route_to_a_prefix_of_a_container_is_put_back(
    plugin: MainPlugin, third_party: ThirdParty, node: Namespace, agent: AgentProcess, prefix: str
) -> None:
    third_party.answers("ADD", {**DUAL, "ipamd.io/prefixes": PREFIXES})
    name = plugin.add()["interfaces"][0]["name"]
    before = standing(node, name)
    assert prefix in [dst for dst, _, _ in before[1]]

    node.run("ip", *(["-6"] if ":" in prefix else []), "route", "del", prefix)
    eventually(lambda: standing(node, name) == before)
    node.run("ip", "link", "set", name, "down")
    node.run("ip", "link", "set", name, "up")

    eventually(lambda: standing(node, name) == before)
    assert all_answer(node)


def test_an_agent_that_starts_puts_right_what_happened_before(
    plugin: MainPlugin, node: Namespace, agent: AgentProcess
) -> None:
    name = plugin.add()["interfaces"][0]["name"]
    before = standing(node, name)
    agent.stop()
    node.run("ip", "link", "set", name, "down")
    node.run("ip", "link", "set", name, "up")
    assert standing(node, name) != before

    agent.start()

    eventually(lambda: standing(node, name) == before)


def test_a_route_whose_source_went_with_the_uplink_gets_it_again(
    plugin: MainPlugin, node: Namespace, agent: AgentProcess
) -> None:
    name = plugin.add()["interfaces"][0]["name"]
    before = standing(node, name)
    [told] = shown(node, "link", "show", "dev", name)

    node.run("ip", "address", "del", f"{NODE[0]}/24", "dev", UPLINK)
    node.run("ip", "link", "set", name, "alias", told["ifalias"])  # the kernel tells of no route that went
    eventually(lambda: sources_of(node, "10.5.0.7") == [None])
    node.run("ip", "address", "add", f"{NODE[0]}/24", "dev", UPLINK)
    node.run("ip", "route", "add", "default", "via", BEYOND[0])

    eventually(lambda: standing(node, name) == before)


def sources_of(node: Namespace, address: str) -> list[str | None]:
    return [one.get("prefsrc") for one in routes(node) if one["dst"] == address]


def test_a_route_that_moved_while_the_agent_stood_still_between_reading_and_writing_stands(
    plugin: MainPlugin, node: Namespace, agent: AgentProcess
) -> None:
    name = plugin.add()["interfaces"][0]["name"]
    assert agent.process is not None
    node.run("ip", "route", "del", "10.5.0.7")
    with stopped_before(agent.process.pid, ROUTE_OF_A_CONTAINER):
        node.run("ip", "link", "add", "other0", "up", "type", "bridge")
        node.run("ip", "route", "add", "10.5.0.7", "dev", "other0", "proto", "150")

    eventually(lambda: "repaired a host side" in agent.log.read_text())
    assert [one["dev"] for one in routes(node) if one["dst"] == "10.5.0.7"] == ["other0"]
    node.run("ip", "link", "del", name)
    assert [one["dev"] for one in routes(node) if one["dst"] == "10.5.0.7"] == ["other0"]


def test_an_address_that_another_interface_has_by_now_is_left_to_it(
    plugin: MainPlugin, node: Namespace, agent: AgentProcess
) -> None:
    name = plugin.add()["interfaces"][0]["name"]
    node.run("ip", "link", "add", "other0", "up", "type", "bridge")

    node.run("ip", "route", "replace", "10.5.0.7", "dev", "other0")
    node.run("ip", "-6", "route", "del", "fd05::7", "dev", name)

    eventually(lambda: "repaired a host side" in agent.log.read_text())
    assert [one["dev"] for one in routes(node) if one["dst"] == "10.5.0.7"] == ["other0"]
    assert ("fd05::7", NODE[1]) in [(one["dst"], one.get("prefsrc")) for one in routes(node)]
