"""A burst of pods on ten nodes at once, with as many addresses as pods; and the same as a restart."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import spawn
from benchmarks.contenders import HOST_LOCAL, Contender, host_local_section, ipamd_section, network
from benchmarks.filled import check_held, running_filled
from benchmarks.spawn import Burst, containers
from benchmarks.table import Row, Scale, Table, figure
from tests.node_executable import node_plugin
from tests.service import IpamdProcess

NAME: Final = "burst"
ABOUT: Final = """\
{pods:,} pods on {nodes} simulated nodes, each a process of the plugin that a node gets, all started at
once on this one machine; as many addresses as pods, no cooldown; then a restart: all deleted at once, and
as many new ones added. ipamd has one pool for all nodes. host-local has no such thing: each of its nodes
has a folder and a range of its own, as many addresses as its pods."""
VENDOR: Final = (
    "Beside it the only table that a vendor publishes, Spiderpool's: 10 nodes, 100 Deployments of 10 "
    "pods, as many addresses as pods: Spiderpool 207 s, Kube-OVN 405 s, Whereabouts did not finish. It "
    "counts whole pods (scheduler, kubelet, sandbox) on ten real machines; ours counts the IPAM plugin "
    "and its service, on one."
)
NODES: Final = 10
PODS: Final = {Scale.QUICK: 100, Scale.FULL: 1_500}
ROUNDS: Final = {Scale.QUICK: 1, Scale.FULL: 3}
FIRST: Final = int(IPv4Address("10.200.0.10"))
SUBNET: Final = "10.200.0.0/19"
STEPS: Final = ("first burst, ADD", "restart, DEL", "restart, ADD")
SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "slowest": 1.0}

Nodes = list[Contender]


def measure(scale: Scale) -> Table:
    """Run it."""
    pods = PODS[scale]
    table = Table(NAME, "A burst of pods", ABOUT.format(pods=pods, nodes=NODES), notes=[VENDOR])
    found: dict[str, dict[str, list[Burst]]] = {step: defaultdict(list) for step in STEPS}
    ranges = [str(IPv4Address(FIRST)) + "-" + str(IPv4Address(FIRST + pods - 1))]
    with (
        TemporaryDirectory(prefix="ipamd-bench-") as scratch,
        running_filled({"bench": SUBNET}, pinned=False, ranges=ranges) as service,
    ):
        folder = Path(scratch)
        for number in range(ROUNDS[scale]):
            own = folder / str(number)
            own.mkdir()
            for name, nodes in (("ipamd", _ours(service, own)), ("host-local", _host_local(own, pods))):
                for step, burst in _round(nodes, pods, own).items():
                    found[step][name].append(burst)
            check_held(service, "bench", 0)
    _report(table, found)
    return table


def _ours(service: IpamdProcess, folder: Path) -> Nodes:
    nodes = []
    for number in range(NODES):
        config = folder / f"ipamd-{number}.json"
        config.write_bytes(network(ipamd_section(service, "bench", f"node-{number}")))
        nodes.append(Contender("ipamd", node_plugin(), config))
    return nodes


def _host_local(folder: Path, pods: int) -> Nodes:
    each = pods // NODES
    nodes = []
    for number in range(NODES):
        bounds = {
            "rangeStart": str(IPv4Address(FIRST + number * each)),
            "rangeEnd": str(IPv4Address(FIRST + (number + 1) * each - 1)),
        }
        config = folder / f"host-local-{number}.json"
        section = host_local_section(folder / f"host-local-{number}", SUBNET, **bounds)
        config.write_bytes(network(section))
        nodes.append(Contender("host-local", HOST_LOCAL, config))
    return nodes


def _round(nodes: Nodes, pods: int, folder: Path) -> dict[str, Burst]:
    """A burst and a restart; raises unless each pod got an address of its own at each of the two."""
    first, second = containers(pods), containers(pods)
    bursts = [
        _at_once("ADD", nodes, first, folder),
        _at_once("DEL", nodes, first, folder),
        _at_once("ADD", nodes, second, folder),
    ]
    assert set(spawn.addresses(bursts[0])) == set(spawn.addresses(bursts[2])), "not all addresses came back"
    _at_once("DEL", nodes, second, folder)
    return dict(zip(STEPS, bursts, strict=True))


def _at_once(verb: str, nodes: Nodes, ids: list[str], folder: Path) -> Burst:
    calls = [nodes[number % NODES].call(verb, container) for number, container in enumerate(ids)]
    burst = spawn.run(calls, len(calls), folder)
    spawn.succeeded(burst)
    return burst


def _report(table: Table, found: dict[str, dict[str, list[Burst]]]) -> None:
    for step, bursts in found.items():
        total = {name: figure("s", [burst.seconds for burst in each]) for name, each in bursts.items()}
        table.add(Row(f"{step}: all of them", total["ipamd"], "host-local", total["host-local"]))
        for measure, share in SHARES.items():
            waits = {
                name: figure("ms", [burst.percentile(share) for burst in each])
                for name, each in bursts.items()
            }
            table.add(Row(f"{step}: {measure}", waits["ipamd"], "host-local", waits["host-local"]))
