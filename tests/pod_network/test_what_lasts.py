"""What goes on while agent and ipamd are away, what is put back, and what waits for a boot's first pass."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from netlink.connection import NETFILTER
from node_agent.pod_network.filters import TABLE
from node_agent.pod_network.rules import CHAINS
from tests.network.kernel import connect as connect_kernel
from tests.network.namespace import MakeNamespace
from tests.node_executable import node_plugin
from tests.pod_network.cluster import SECONDS, Fabric, Node, Pod, whole
from tests.pod_network.conftest import Ipam, create_pools
from tests.pod_network.talking import PORT, connect, echo, exchange
from tests.service import IpamdProcess
from tests.waiting import eventually

SIZE = 1 << 20
BOUND = 60.0
"""Seconds, on a busy machine. An agent that heard of nothing would look only after five minutes."""


@pytest.fixture
def nodes(fabric: Fabric) -> tuple[Node, Node]:
    one = fabric.node("node-1", fabric.switch("switch-1", 0), "192.0.2.1")
    two = fabric.node("node-2", fabric.switch("switch-2", 1), "198.51.100.2")
    return one, two


@pytest.fixture
def running(nodes: tuple[Node, Node]) -> tuple[Node, Node]:
    for node in nodes:
        node.start()
    whole(list(nodes))
    return nodes


@pytest.fixture
def pods(fabric: Fabric, running: tuple[Node, Node], ipam: Ipam) -> tuple[Pod, Pod]:
    return fabric.pod("pod-1", running[0], ipam), fabric.pod("pod-2", running[1], ipam)


def routing(node: Node) -> list[str]:
    return sorted(node.run("ip", "route").splitlines() + node.run("ip", "-6", "route").splitlines())


def test_a_connection_lasts_while_agent_and_ipamd_are_away(
    running: tuple[Node, Node], pods: tuple[Pod, Pod], service: IpamdProcess
) -> None:
    before = [routing(node) for node in running]
    address = pods[1].addresses[0]
    with echo(pods[1].namespace, address), connect(pods[0].namespace, address, PORT) as connection:
        assert exchange(connection, SIZE)

        service.kill()
        for node in running:
            node.stop(signal.SIGKILL)
        assert exchange(connection, SIZE)

        for node in running:
            node.start()
        eventually(lambda: all(node.document() is not None for node in running))
        assert exchange(connection, SIZE)
        assert [routing(node) for node in running] == before

        service.start()
        whole(list(running))
        assert exchange(connection, SIZE)

    assert [routing(node) for node in running] == before


def test_what_somebody_breaks_is_put_back(running: tuple[Node, Node], pods: tuple[Pod, Pod]) -> None:
    node = running[0]
    address, address_six = pods[1].addresses
    for fault in (
        "ip link delete vxlan.ipamd",
        "ip route flush proto 151",
        "ip -6 route flush proto 151",
        "ip route replace $(ip route show proto 151 dev vxlan.ipamd | cut -d' ' -f1) via 192.0.2.254",
        "ip link set vxlan.ipamd down",
        "ip address flush dev vxlan.ipamd",
        "ip neighbour flush dev vxlan.ipamd nud permanent",
        "ip link set eth0 down; ip link set eth0 up; ip route add default via 192.0.2.254",
    ):
        before = routing(node)
        node.run("sh", "-ec", fault)
        try:
            eventually(lambda: pods[0].reaches(address) and pods[0].reaches(address_six), BOUND)
            eventually(lambda before=before: routing(node) == before, BOUND)  # type: ignore[misc]
        except AssertionError as error:
            raise AssertionError(f"{fault} is not put back: {node.document()}") from error


def test_a_stopped_agent_that_wakes_up_changes_nothing_that_is_right(
    running: tuple[Node, Node], pods: tuple[Pod, Pod], fabric: Fabric, ipam: Ipam
) -> None:
    running[0].signal(signal.SIGSTOP)
    second = fabric.pod("pod-3", running[0], ipam)
    before = routing(running[0])
    running[0].signal(signal.SIGCONT)

    eventually(lambda: running[0].is_whole(1))
    assert routing(running[0]) == before
    assert all(pods[1].reaches(address) for address in second.addresses)


def test_no_pod_begins_before_the_network_stands(
    fabric: Fabric, nodes: tuple[Node, Node], ipam: Ipam
) -> None:
    """As after a reboot, when the network's configuration is there before the agent."""
    nodes[1].start()
    pod = fabric.unborn_pod("pod-1", nodes[0], ipam)

    refused = pod.call("ADD")
    assert refused["code"] == 11
    assert "the pod network does not stand yet on this node" in refused["msg"]
    assert pod.call("STATUS")["code"] == 50

    nodes[0].start()
    whole(list(nodes))
    pod.add()
    other = fabric.pod("pod-2", nodes[1], ipam)
    assert all(pod.reaches(address) for address in other.addresses)
    assert pod.call("STATUS") == {}


@pytest.mark.parametrize(
    "mark",
    ["echo 00000000-0000-0000-0000-000000000000 > /run/ipamd/network/ready", "rm -r /run/ipamd/network"],
    ids=["the mark of another boot", "an empty /run"],
)
def test_after_a_reboot_each_add_that_succeeds_has_the_network(
    running: tuple[Node, Node], fabric: Fabric, ipam: Ipam, mark: str
) -> None:
    """The configuration is kept, runtimes try all the time, and the agent comes late."""
    one, two = running
    far = fabric.pod("far", two, ipam)
    one.stop(signal.SIGKILL)
    one.run("sh", "-ec", f"ip link delete vxlan.ipamd; ip route flush proto 151; {mark}")
    one.run("ip", "-6", "route", "flush", "proto", "151")
    pods = [fabric.unborn_pod(f"pod-{number}", one, ipam) for number in range(4)]

    assert {pod.call("ADD")["code"] for pod in pods} == {11}
    with ThreadPoolExecutor(len(pods)) as threads:
        trying = [threads.submit(add_until_it_succeeds, pod, far) for pod in pods]
        time.sleep(1)
        assert not any(attempt.done() for attempt in trying)
        one.start()
        first = [attempt.result() for attempt in trying]

    assert first == [[True] * 4] * len(pods)


def add_until_it_succeeds(pod: Pod, far: Pod) -> list[bool]:
    """Whether then the very first packet arrives, to and from each address of another node's pod."""
    pod.add_as_soon_as_it_may()
    ways = [(pod, one) for one in far.addresses] + [(far, one) for one in pod.addresses]
    return [sender.sends(address) for sender, address in ways]


def test_nodes_that_were_announced_before_there_was_a_pool_take_part_in_it(
    make_namespace: MakeNamespace, scratch: Path, ipamd_process: IpamdProcess, ipam: Ipam
) -> None:
    fabric = Fabric(make_namespace, scratch, ipamd_process.endpoint)
    try:
        one = fabric.node("node-1", fabric.switch("switch-1", 0), "192.0.2.1")
        two = fabric.node("node-2", fabric.switch("switch-2", 1), "198.51.100.2")
        for node in (one, two):
            node.start()
        eventually(lambda: [*one.modes(), *two.modes()] == [two.name, one.name], SECONDS)

        create_pools(ipamd_process)

        def have_addresses() -> bool:
            tunnel = "vxlan.ipamd"
            return all(
                node.namespace.has_interface(tunnel) and len(node.namespace.addresses(tunnel)) == 2
                for node in (one, two)
            )

        eventually(have_addresses, SECONDS)
        eventually(lambda: one.is_whole(1) and two.is_whole(1), SECONDS)
        pod, other = fabric.pod("pod-1", one, ipam), fabric.pod("pod-2", two, ipam)
        eventually(lambda: all(pod.reaches(address) for address in other.addresses), SECONDS)
        assert one.status().returncode == 0
    finally:
        fabric.end()


def test_nothing_is_left_of_it_on_a_node_that_gives_it_up(nodes: tuple[Node, Node], fabric: Fabric) -> None:
    one = nodes[0]
    one.run("ip", "route", "add", "10.64.200.0/24", "via", "192.0.2.254")  # an admin's
    before = routing(one)
    for node in nodes:
        node.start()
    whole(list(nodes))
    root = one.folder / "root"
    root.mkdir()
    executables = ("--executables", str(node_plugin().parents[1]))
    one.agent("install", "--root", str(root), "--endpoint", one.endpoint, *executables)

    one.stop()
    assert routing(one) != before
    one.agent("uninstall", "--root", str(root), "--pod-network")

    assert routing(one) == before
    assert not one.namespace.has_interface("vxlan.ipamd")
    filters = connect_kernel(one.namespace, NETFILTER)
    told = filters.exchange([TABLE.get(), *(TABLE.get_chain(chain.name) for chain in CHAINS)])
    filters.close()
    assert all(answer.refusal is not None for answer in told)
    assert one.run("sh", "-c", "ls /run/ipamd") == ""
    one.agent("uninstall", "--root", str(root), "--pod-network")  # a second try finds nothing, and ends well
