"""A pod under our main plugin with a lease, against the reference plugins; and a node with nothing to do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from benchmarks import processor_time
from benchmarks.contenders import Contender, host_local_section, network
from benchmarks.inside import namespaces
from benchmarks.main_plugins import executables, life, milliseconds
from benchmarks.spawn import Burst
from benchmarks.table import Bar, Row, Table, figure
from tests.agent.leased import leased_node
from tests.agent.process import AgentProcess
from tests.service import scratch_folder

REFERENCE: Final = "bridge + host-local"
LEASED: Final = "ipamd-veth, routed"
SUBNET: Final = "10.64.0.0/16"  # the reference's
HALF: Final = Bar(0.5, at_least=False)
SEATS: Final = 8


def add_pods(table: Table, ours: Contender, folder: Path, rounds: int) -> None:
    """Measure ADD and DEL of whole pods; `ours` is made for a network of the store that stands in /run."""
    spent: dict[tuple[str, str], list[Burst]] = {}
    with namespaces("node", "pod") as (node, pod):
        contenders = (ours, _reference(folder))
        for _ in range(rounds):
            for contender in contenders:
                for verb, burst in life(contender, node, [pod], folder).items():
                    spent.setdefault((verb, contender.name), []).append(burst)
    for verb in ("ADD", "DEL"):
        own, other = spent[verb, ours.name], spent[verb, REFERENCE]
        figures = figure("ms", milliseconds(own)), figure("ms", milliseconds(other))
        table.add(Row(f"{verb} of a pod with a lease: {LEASED}", figures[0], REFERENCE, figures[1], (HALF,)))
        cpu = [figure("ms", [1000 * each.done[0].cpu for each in bursts]) for bursts in (own, other)]
        table.add(Row(f"CPU time of {verb} of a pod with a lease", cpu[0], REFERENCE, cpu[1], (HALF,)))


def main_plugin(folder: Path, section: dict[str, object]) -> Contender:
    """The main plugin with an `ipam` section of ours."""
    files = executables(folder / "bin")
    config = folder / "pod.json"
    config.write_bytes(network(section, "ipamd-veth"))
    return Contender(LEASED, files / "ipamd-veth", config, files)


def _reference(folder: Path) -> Contender:
    config = folder / "reference.json"
    section = host_local_section(folder / "reference", SUBNET)
    config.write_bytes(network(section, "bridge", bridge="reference0", isGateway=True))
    return Contender(REFERENCE, folder / "bin" / "bridge", config, folder / "bin")


def add_idle(table: Table, seconds: float) -> None:
    """Measure an agent that keeps a lease while no pod begins or ends, beside one that keeps none."""
    with leased_node(SEATS) as node, scratch_folder() as folder:
        bare = AgentProcess(folder, node.service.endpoint, "node-b")
        bare.start()
        try:
            time.sleep(seconds / 4)  # what a start leaves to do is done
            shares = _shares([node.agent, bare], seconds)
        finally:
            bare.kill()
    with_lease, without = [figure("% of a core", [share]) for share in shares]
    table.add(Row("an agent with a lease and nothing to do", with_lease, "without", without))


def _shares(agents: list[AgentProcess], seconds: float) -> list[float]:
    numbers = [agent.process.pid for agent in agents if agent.process is not None]
    before = [processor_time.seconds(number) for number in numbers]
    time.sleep(seconds)
    return [
        100 * (processor_time.seconds(number) - then) / seconds
        for number, then in zip(numbers, before, strict=True)
    ]
