"""The reference bridge plugin with each IPAM plugin under it, in real network namespaces."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.contenders import DEBIAN_PLUGINS, Contender, host_local_section, ipamd_section, network
from benchmarks.filled import check_held, running_filled
from benchmarks.inside import namespaces
from benchmarks.main_plugins import life
from benchmarks.table import Bar, Row, Scale, Table, figure
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
                for verb, burst in life(contender, node, [pod], folder).items():
                    spent[verb][contender.name].append(1000 * burst.seconds)
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
