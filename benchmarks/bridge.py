"""The reference bridge plugin with each IPAM plugin under it, in real network namespaces."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import spawn
from benchmarks.contenders import DEBIAN_PLUGINS, Contender, host_local_section, ipamd_section, network
from benchmarks.filled import check_held, running_filled
from benchmarks.inside import inside, namespaces
from benchmarks.spawn import containers
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.network.namespace import Namespace
from tests.node_executable import plugins
from tests.service import IpamdProcess

NAME: Final = "bridge"
ABOUT: Final = """\
A whole ADD and DEL of the reference `bridge` plugin (Debian's), which makes a veth pair between two real
network namespaces and runs its IPAM plugin, from posix_spawn to the end of the process; nothing taken.
The contenders call by call in turn, each with a bridge of its own. After each ADD the pod has the address
that was answered."""

Times = dict[str, dict[str, list[float]]]


def measure(scale: Scale) -> Table:
    """Run it."""
    table = Table(NAME, "The bridge plugin", ABOUT)
    calls = 3 if scale is Scale.QUICK else 60
    with (
        TemporaryDirectory(prefix="ipamd-bench-") as scratch,
        running_filled({"bench": "10.128.0.0/16"}, pinned=False) as service,
        namespaces("node", "pod") as (node, pod),
    ):
        folder = Path(scratch)
        contenders = _contenders(service, folder)
        spent: Times = {verb: {contender.name: [] for contender in contenders} for verb in ("ADD", "DEL")}
        for _ in range(calls):
            for contender in contenders:
                _pods_life(contender, node, pod, folder, spent)
        check_held(service, "bench", 0)
    for verb, times in spent.items():
        beside, other = "bridge + host-local", figure("ms", times.pop("host-local"))
        for name, own in times.items():
            bars = (Bar(0.9, at_least=False),) if (verb, name) == ("ADD", "static") else ()
            table.add(Row(f"{verb}: bridge + {name}", figure("ms", own), beside, other, bars))
    return table


def _contenders(service: IpamdProcess, folder: Path) -> list[Contender]:
    made = []
    sections = {name: (path, ipamd_section(service, "bench")) for name, path in plugins().items()}
    sections["host-local"] = DEBIAN_PLUGINS / "host-local", host_local_section(folder / "host-local")
    for number, (name, (path, section)) in enumerate(sections.items()):
        executables = folder / f"bin-{name}"
        executables.mkdir()
        for each in (DEBIAN_PLUGINS / "bridge", path):
            (executables / each.name).symlink_to(each)
        config = folder / f"{name}.json"
        config.write_bytes(network(section, "bridge", bridge=f"bench{number}", isGateway=True))
        made.append(Contender(name, executables / "bridge", config, executables))
    return made


def _pods_life(contender: Contender, node: Namespace, pod: Namespace, folder: Path, spent: Times) -> None:
    """An ADD and a DEL; raises unless the pod has its address between them and no interface after them."""
    container = containers(1)[0]
    with inside(node):
        added = spawn.run([contender.call("ADD", container, str(pod.path))], 1, folder)
    answered = spawn.addresses(added)
    assert pod.addresses("eth0") == set(answered), "the pod does not have the address that was answered"
    with inside(node):
        deleted = spawn.run([contender.call("DEL", container, str(pod.path))], 1, folder)
    spawn.succeeded(deleted)
    assert not pod.has_interface("eth0"), "the pod still has its interface"
    spent["ADD"][contender.name].append(1000 * added.seconds)
    spent["DEL"][contender.name].append(1000 * deleted.seconds)
