"""What a packet costs on its way under our main plugin, and under the reference's bridge."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks import spawn
from benchmarks.connection import Connection, compared
from benchmarks.contenders import Contender, network
from benchmarks.inside import inside, namespaces
from benchmarks.main_plugins import executables
from benchmarks.spawn import containers
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.network.namespace import Namespace
from tests.veth.beyond import BEYOND, NODE, wire

NAME: Final = "data-path"
ABOUT: Final = """\
One TCP connection of a pod, to a host beyond its node or to another pod, under `ipamd-veth` in mode routed
and under Debian's `bridge`, host-local under both. One thread holds both ends, and time is its CPU time: so a
figure is what the kernel does for each packet between the two, and nothing else. {slices} slices of
{seconds} s for each, in turn; the ratio is the median of each two slices' ratios. Where pods are masqueraded,
connections are tracked. With br_netfilter the node's packet filter sees bridged packets too, as Kubernetes
asks for. A pair carries unsegmented packets of up to 64 KiB, so throughput says little of offloads."""
TRACKING: Final = """\
Where the time goes between two pods: routed packets pass the tracking of connections, bridged ones do not
unless br_netfilter is on. Without tracking the two paths cost nearly the same."""
SLICES: Final = {Scale.QUICK: 1, Scale.FULL: 30}
SECONDS: Final = {Scale.QUICK: 0.01, Scale.FULL: 0.025}
OURS: Final = "routed"
REFERENCE: Final = "bridge"
KINDS: Final[dict[str, dict[str, Any]]] = {
    OURS: {"main_plugin": "ipamd-veth"},
    REFERENCE: {"main_plugin": "bridge", "isGateway": True},
}
FAMILIES: Final = ("IPv4", "IPv6")
SUBNETS: Final = ("10.77.0.0/16", "fd77::/64")


@dataclass(frozen=True)
class Traffic:
    """From a pod to where, on what node, and what it must reach beside the reference."""

    name: str
    bar: Bar
    to_pod: bool = False
    masquerade: bool = True
    filtered: bool = False


SAME: Final = Bar(1.0, at_least=True)
NEARLY: Final = Bar(0.9, at_least=True)
TRAFFIC: Final = (
    Traffic("pod to beyond", SAME, masquerade=False),
    Traffic("pod to beyond, masqueraded", SAME),
    Traffic("pod to beyond, masqueraded, br_netfilter", SAME, filtered=True),
    Traffic("pod to pod", NEARLY, to_pod=True, masquerade=False),
    Traffic("pod to pod, connections tracked", NEARLY, to_pod=True),
    Traffic("pod to pod, connections tracked, br_netfilter", SAME, to_pod=True, filtered=True),
)


@dataclass(frozen=True)
class Side:
    """A node with two pods, and what is beyond it; addresses are of both families, in their order."""

    masquerade: bool
    node: Namespace
    beyond: Namespace
    pods: Sequence[Namespace]
    addresses: Sequence[Sequence[str]]


def measure(scale: Scale) -> Table:
    """Run it."""
    about = ABOUT.format(slices=SLICES[scale], seconds=SECONDS[scale])
    table = Table(NAME, "The data path", about, notes=[TRACKING.replace("\n", " ")])
    with TemporaryDirectory(prefix="ipamd-bench-") as scratch, ExitStack() as context:
        files = executables(Path(scratch) / "bin")
        sides = {
            (kind, masquerade): context.enter_context(_side(files, kind, masquerade))
            for kind in KINDS
            for masquerade in (False, True)
        }
        for traffic in TRAFFIC:
            own, reference = (sides[kind, traffic.masquerade] for kind in (OURS, REFERENCE))
            for family in range(len(FAMILIES)):
                _compare(table, traffic, (own, reference), family, scale)
    return table


@contextmanager
def _side(files: Path, kind: str, masquerade: bool) -> Iterator[Side]:
    """A node of this kind, its pods connected."""
    name = f"{kind}-{'masquerade' if masquerade else 'plain'}"
    parts = [f"{name}-{part}" for part in ("node", "beyond", "web", "api")]
    ipam = {
        "type": "host-local",
        "dataDir": str(files.parent / name),
        "ranges": [[{"subnet": subnet}] for subnet in SUBNETS],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    }
    config = files.parent / f"{name}.json"
    config.write_bytes(network(ipam, ipMasq=masquerade, **KINDS[kind]))
    contender = Contender(name, files / KINDS[kind]["main_plugin"], config, files)
    with namespaces(*parts) as (node, beyond, *pods):
        wire(node, beyond)
        addresses = [_add(contender, node, pod, files.parent) for pod in pods]
        if not masquerade:
            for subnet, gateway in zip(SUBNETS, NODE, strict=True):
                beyond.run("ip", "route", "add", subnet, "via", gateway)
        yield Side(masquerade, node, beyond, pods, addresses)


def _add(contender: Contender, node: Namespace, pod: Namespace, folder: Path) -> list[str]:
    with inside(node):
        burst = spawn.run([contender.call("ADD", containers(1)[0], str(pod.path))], 1, folder)
    spawn.succeeded(burst)
    return [each["address"].partition("/")[0] for each in json.loads(burst.done[0].stdout)["ips"]]


def _compare(table: Table, traffic: Traffic, sides: tuple[Side, Side], family: int, scale: Scale) -> None:
    """Rows of ours beside the reference's, slice by slice in turn."""
    connections = [_connect(traffic, side, family) for side in sides]
    for measure, unit, own, other in compared(connections, SLICES[scale], SECONDS[scale]):
        name = f"{traffic.name}, {FAMILIES[family]}: {measure}"
        table.add(Row(name, figure(unit, own), REFERENCE, figure(unit, other), (traffic.bar,), paired=True))


def _connect(traffic: Traffic, side: Side, family: int) -> Connection:
    """A connection for this traffic; raises unless its source is masqueraded exactly where it should be."""
    for key in ("iptables", "ip6tables"):
        side.node.sysctl(f"net/bridge/bridge-nf-call-{key}", str(int(traffic.filtered)))
    own = side.addresses[0][family]
    server, address, source = side.beyond, BEYOND[family], NODE[family] if traffic.masquerade else own
    if traffic.to_pod:
        server, address, source = side.pods[1], side.addresses[1][family], own
    connection = Connection(side.pods[0], server, address)
    assert connection.source == source, f"{traffic.name} comes from {connection.source}, not {source}"
    return connection
