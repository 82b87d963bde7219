"""What a packet costs between pods of two nodes that the agents connect, and by plain routes without us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.connection import Connection, compared
from benchmarks.inside import namespaces
from benchmarks.offloads import switch
from benchmarks.pinning import running_ipamd
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.network.namespace import Namespace
from tests.pod_network.cluster import Document, Node, Pod, whole
from tests.service import IpamdProcess
from tests.waiting import eventually

NAME: Final = "between-nodes"
ABOUT: Final = """\
One TCP connection between pods of two nodes, which the agents connect directly or by vxlan, and between two
more pods of two more nodes by plain routes: no packet filter, no tracking of connections, no agent. One
thread holds both ends, and time is its CPU time: so a figure is what the kernel does for each byte or round
trip. {slices} slices of {seconds} s for each, in turn; the ratio is the median of each two slices' ratios.
Without offloads (GSO, TSO and GRO off on the links between the nodes) each packet is one of the MTU, as it is
on a network card that cannot cut."""
TRACKING: Final = """\
Where the time goes: beside plain routes whose nodes track connections (12 slices each, in a run of its own),
as kube-proxy asks for, direct has the ratios 0.96 and 0.95, and vxlan 0.69 both. The check of containers'
sources is 0.02 to 0.04 of the ratios to untracked routes."""
SLICES: Final = {Scale.QUICK: 1, Scale.FULL: 30}
SECONDS: Final = {Scale.QUICK: 0.01, Scale.FULL: 0.025}
UPLINK: Final = "eth0"
POOLS: Final = {"pods-v4": ("10.64.0.0/16", "0.0.0.0/0"), "pods-v6": ("fd00:64::/64", "::/0")}
BARS: Final = {"direct": Bar(0.95, at_least=True), "vxlan": Bar(0.7, at_least=True)}
FAMILIES: Final = {"direct": (0,), "vxlan": (0, 1)}
"""Pods of IPv6 go by the tunnel in any case while nodes reach each other by IPv4."""
NAMES: Final = ("IPv4", "IPv6")
PLAIN: Final = "plain routes"
PLAIN_PODS: Final = (("10.65.1.2", "fd00:65:1::2"), ("10.65.2.2", "fd00:65:2::2"))


@dataclass(frozen=True)
class Side:
    """Two nodes, and a pod on each; addresses are the second pod's, of both families."""

    nodes: Sequence[Namespace]
    pods: Sequence[Namespace]
    addresses: Sequence[str]


def measure(scale: Scale) -> Table:
    """Run it."""
    about = ABOUT.format(slices=SLICES[scale], seconds=SECONDS[scale])
    table = Table(NAME, "The data path between nodes", about, notes=[TRACKING.replace("\n", " ")])
    with ExitStack() as context:
        service = context.enter_context(running_ipamd(pinned=False))
        for name, (subnet, route) in POOLS.items():
            more = {"affinity": "node", "borrow": False, "masquerade": True, "routes": [{"dst": route}]}
            service.create_pool(name, subnet, **more)
        plain = context.enter_context(_plain())
        nodes, ours = context.enter_context(_ours(service))
        for offloads in (True, False):
            for node in (*plain.nodes, *ours.nodes):
                switch(node, UPLINK, on=offloads)
            for mode, families in FAMILIES.items():
                service.http.patch("/v1/network", json={"mode": mode}).raise_for_status()
                _settle(nodes, mode)
                for family in families:
                    _compare(table, mode, (ours, plain), family, scale, offloads=offloads)
    return table


@contextmanager
def _plain() -> Iterator[Side]:
    with namespaces("plain-1", "plain-2", "plain-pod-1", "plain-pod-2") as (one, two, *pods):
        _wire(one, two)
        for number, (node, pod) in enumerate(zip((one, two), pods, strict=True), 1):
            other = 3 - number
            pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "pod", "netns", node.name)
            node.run("ip", "link", "set", "pod", "up")
            pod.run("ip", "link", "set", "eth0", "up")
            _route_plainly(node, pod, number, other)
        yield Side((one, two), pods, PLAIN_PODS[1])


def _route_plainly(node: Namespace, pod: Namespace, number: int, other: int) -> None:
    for address, far, hop, gateway, size in (
        (PLAIN_PODS[number - 1][0], f"10.65.{other}.0/24", f"192.0.2.{other}", f"10.65.{number}.1", 24),
        (
            PLAIN_PODS[number - 1][1],
            f"fd00:65:{other}::/64",
            f"2001:db8::{other}",
            f"fd00:65:{number}::1",
            64,
        ),
    ):
        detection = ["nodad"] if ":" in address else []
        node.run("ip", "address", "add", f"{gateway}/{size}", "dev", "pod", *detection)
        node.run("ip", "route", "add", far, "via", hop)
        pod.run("ip", "address", "add", f"{address}/{size}", "dev", "eth0", *detection)
        pod.run("ip", "route", "add", "default", "via", gateway)


@contextmanager
def _ours(service: IpamdProcess) -> Iterator[tuple[list[Node], Side]]:
    with (
        TemporaryDirectory(prefix="ipamd-") as scratch,
        namespaces("ours-1", "ours-2", "ours-pod-1", "ours-pod-2") as (one, two, *pods),
        ExitStack() as context,
    ):
        _wire(one, two)
        nodes = []
        for number, namespace in enumerate((one, two), 1):
            name = f"node-{number}"
            node = Node(name, namespace, Path(scratch) / name, service.endpoint)
            context.callback(node.end)
            node.start()
            nodes.append(node)
        whole(nodes)
        made = [
            Pod(f"pod-{number}", node, namespace, _ipam(node))
            for number, (node, namespace) in enumerate(zip(nodes, pods, strict=True), 1)
        ]
        for pod in made:
            pod.add()
        yield nodes, Side((one, two), pods, made[1].addresses)


def _ipam(node: Node) -> Document:
    return {
        "type": "ipamd-ipam",
        "endpoint": node.endpoint,
        "node": node.name,
        "stateDir": str(node.folder / "state"),
        "pools": list(POOLS),
    }


def _wire(one: Namespace, two: Namespace) -> None:
    """Two nodes on one link, 192.0.2.1 and 192.0.2.2, that forward."""
    one.run("ip", "link", "add", UPLINK, "type", "veth", "peer", "name", UPLINK, "netns", two.name)
    for number, node in enumerate((one, two), 1):
        node.sysctl("net/ipv4/ip_forward", "1")
        node.sysctl("net/ipv6/conf/all/forwarding", "1")
        node.run("ip", "link", "set", UPLINK, "up")
        node.run("ip", "address", "add", f"192.0.2.{number}/24", "dev", UPLINK)
        node.run("ip", "address", "add", f"2001:db8::{number}/64", "dev", UPLINK, "nodad")
        node.run("ip", "route", "add", "default", "via", f"192.0.2.{3 - number}")


def _settle(nodes: Sequence[Node], mode: str) -> None:
    eventually(lambda: all(set(node.modes().values()) == {mode} for node in nodes))


def _compare(
    table: Table, mode: str, sides: tuple[Side, Side], family: int, scale: Scale, *, offloads: bool
) -> None:
    """Rows of ours beside plain routes, slice by slice in turn."""
    connections = [Connection(side.pods[0], side.pods[1], side.addresses[family]) for side in sides]
    what = f"{mode}, {NAMES[family]}" + ("" if offloads else ", without offloads")
    for measured, unit, own, other in compared(connections, SLICES[scale], SECONDS[scale]):
        row = Row(
            f"{what}: {measured}", figure(unit, own), PLAIN, figure(unit, other), (BARS[mode],), paired=True
        )
        table.add(row)
