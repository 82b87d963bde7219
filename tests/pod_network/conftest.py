"""Network namespaces as nodes, with agents that ask a real ipamd."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.network.namespace import MakeNamespace, Namespace
from tests.pod_network.cluster import Document, Fabric, Node, Pod, whole
from tests.service import IpamdProcess

Ipam = Callable[[Node], Document]


@pytest.fixture
def node(make_namespace: MakeNamespace) -> Namespace:
    """A node at 192.0.2.1."""
    namespace = make_namespace("node")
    namespace.run("ip", "link", "add", "eth0", "type", "bridge")
    namespace.run("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
    namespace.run("ip", "address", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
    namespace.run("ip", "link", "set", "eth0", "up")
    return namespace


@pytest.fixture
def service(ipamd_process: IpamdProcess) -> IpamdProcess:
    """The service with a pool of each family for pods."""
    create_pools(ipamd_process)
    return ipamd_process


def create_pools(
    service: IpamdProcess,
    subnets: tuple[str, str] = ("10.64.0.0/16", "fd00:64::/64"),
    block_sizes: tuple[int, int] = (26, 122),
    **fields: Any,
) -> None:
    """A pool of each family for pods."""
    more = {"affinity": "node", "borrow": False, "masquerade": True} | fields
    routes = ("0.0.0.0/0", "::/0")
    for name, subnet, size, route in zip(("pods-v4", "pods-v6"), subnets, block_sizes, routes, strict=True):
        service.create_pool(name, subnet, routes=[{"dst": route}], block_size=size, **more)


@pytest.fixture
def fabric(make_namespace: MakeNamespace, scratch: Path, service: IpamdProcess) -> Iterator[Fabric]:
    """Switches and a router, to put nodes on."""
    made = Fabric(make_namespace, scratch, service.endpoint)
    yield made
    made.end()


def ipam_section(node: Node) -> Document:
    """What pods of a node need to ask the service for an address of each family."""
    return {
        "type": "ipamd-ipam",
        "endpoint": node.endpoint,
        "node": node.name,
        "stateDir": str(node.folder / "state"),
        "pools": ["pods-v4", "pods-v6"],
    }


@pytest.fixture
def ipam() -> Ipam:
    """Makes the `ipam` section of a node's pods."""
    return ipam_section


@pytest.fixture
def nodes(fabric: Fabric) -> tuple[Node, Node]:
    """Two nodes, each on a switch of its own, and both strict about where packets come from."""
    return two_nodes(fabric)


def two_nodes(fabric: Fabric) -> tuple[Node, Node]:
    """Two nodes with a router between them, whose agents know each other."""
    one = fabric.node("node-1", fabric.switch("switch-1", 0), "192.0.2.1")
    two = fabric.node("node-2", fabric.switch("switch-2", 1), "198.51.100.2")
    for node in (one, two):
        node.start()
    whole([one, two])
    return one, two


@pytest.fixture
def pods(fabric: Fabric, nodes: tuple[Node, Node], ipam: Ipam) -> tuple[Pod, Pod]:
    """A pod on each of the two nodes."""
    return fabric.pod("pod-1", nodes[0], ipam), fabric.pod("pod-2", nodes[1], ipam)
