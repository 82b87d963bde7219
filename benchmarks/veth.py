"""Our main plugin with ipamd, and the reference's with host-local, in real network namespaces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks import spawn
from benchmarks.contenders import (
    DEBIAN_PLUGINS,
    HOST_LOCAL,
    Contender,
    host_local_section,
    ipamd_section,
    network,
)
from benchmarks.filled import check_held, running_filled
from benchmarks.inside import inside, namespaces
from benchmarks.spawn import Burst, containers
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.network.namespace import Namespace
from tests.node_executable import static_plugin
from tests.service import IpamdProcess

NAME: Final = "veth"
ABOUT: Final = """\
A whole ADD and DEL of main plugin and IPAM: `ipamd-veth`, the static file, which asks ipamd and waits for its
durable commit, beside Debian's `bridge` and `ptp` with `host-local`, which asks nobody. Real namespaces,
from posix_spawn to the end of the process, the contenders in turn; then {many} pods at once. After each ADD
every pod has the addresses that were answered, after each DEL none has its interface. CPU time is that of the
main plugin and all that it runs, not the service's."""
MANY: Final = {Scale.QUICK: 5, Scale.FULL: 30}
ROUNDS: Final = {Scale.QUICK: 3, Scale.FULL: 60}
ROUNDS_OF_MANY: Final = {Scale.QUICK: 1, Scale.FULL: 10}
PEERS: Final = ("bridge + host-local", "ptp + host-local")
HALF: Final = Bar(0.5, at_least=False)

Bursts = dict[str, dict[str, list[Burst]]]


def measure(scale: Scale) -> Table:
    """Run it."""
    many = MANY[scale]
    table = Table(NAME, "The main plugin", ABOUT.format(many=many))
    with (
        TemporaryDirectory(prefix="ipamd-bench-") as scratch,
        running_filled({"bench": "10.128.0.0/16"}, pinned=False) as service,
        namespaces("node", *(f"pod-{number}" for number in range(many))) as (node, *pods),
    ):
        folder = Path(scratch)
        contenders = _contenders(service, folder)
        one = _lives(contenders, node, pods[:1], folder, ROUNDS[scale])
        all_at_once = _lives(contenders, node, pods, folder, ROUNDS_OF_MANY[scale])
        check_held(service, "bench", 0)
    _report(table, one, all_at_once, many)
    return table


def _contenders(service: IpamdProcess, folder: Path) -> list[Contender]:
    ours = static_plugin()
    assert ours is not None, "run `make node` first"
    executables = folder / "bin"
    executables.mkdir()
    for each in (
        DEBIAN_PLUGINS / "bridge",
        DEBIAN_PLUGINS / "ptp",
        HOST_LOCAL,
        ours,
        ours.with_name("ipamd-veth"),
    ):
        (executables / each.name).symlink_to(each)
    bridge = {"isGateway": True}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        PEERS[0]: ("bridge", {"bridge": "reference0", **bridge}),
        PEERS[1]: ("ptp", {}),
        "ipamd-veth, routed": ("ipamd-veth", {}),
        "ipamd-veth, bridge": ("ipamd-veth", {"mode": "bridge", "bridge": "ours0", **bridge}),
    }
    made = []
    for number, (name, (main_plugin, keys)) in enumerate(kinds.items()):
        section = (
            host_local_section(folder / f"state-{number}", f"10.{64 + number}.0.0/16")
            if name in PEERS
            else ipamd_section(service, "bench")
        )
        config = folder / f"{number}.json"
        config.write_bytes(network(section, main_plugin, **keys))
        made.append(Contender(name, executables / main_plugin, config, executables))
    return made


def _lives(
    contenders: list[Contender], node: Namespace, pods: Sequence[Namespace], folder: Path, rounds: int
) -> Bursts:
    """ADDs and DELs of all pods at once, the contenders in turn, by verb and contender."""
    found: Bursts = {verb: defaultdict(list) for verb in ("ADD", "DEL")}
    for _ in range(rounds):
        for contender in contenders:
            for verb, burst in _life(contender, node, pods, folder).items():
                found[verb][contender.name].append(burst)
    return found


def _life(contender: Contender, node: Namespace, pods: Sequence[Namespace], folder: Path) -> dict[str, Burst]:
    """An ADD and a DEL of each pod; raises unless it has its address between them and no interface after."""
    ids = containers(len(pods))

    def at_once(verb: str) -> Burst:
        pairs = zip(ids, pods, strict=True)
        with inside(node):
            calls = [contender.call(verb, container, str(pod.path)) for container, pod in pairs]
            return spawn.run(calls, len(calls), folder)

    added = at_once("ADD")
    told = spawn.addresses(added)
    for pod, address in zip(pods, told, strict=True):
        assert pod.addresses("eth0") == {address}, "a pod does not have the address that was answered"
    deleted = at_once("DEL")
    spawn.succeeded(deleted)
    assert not any(pod.has_interface("eth0") for pod in pods), "a pod still has its interface"
    return {"ADD": added, "DEL": deleted}


def _report(table: Table, one: Bursts, many: Bursts, number: int) -> None:
    for verb in ("ADD", "DEL"):
        _rows(
            table,
            f"{verb}",
            "ms",
            {name: [_ms(burst) for burst in found] for name, found in one[verb].items()},
        )
    _rows(table, "ADD: CPU time", "ms", {name: _cpu(found) for name, found in one["ADD"].items()})
    for verb in ("ADD", "DEL"):
        for share, text in ((0.5, "p50"), (0.99, "p99")):
            waits = {name: [burst.percentile(share) for burst in found] for name, found in many[verb].items()}
            _rows(table, f"{verb}, {number} at once: {text}", "ms", waits)
    _rows(
        table, f"ADD, {number} at once: CPU time of one", "ms", {n: _cpu(f) for n, f in many["ADD"].items()}
    )


def _rows(table: Table, measure: str, unit: str, rounds: dict[str, list[float]]) -> None:
    """A row for each of ours beside each of the reference's; the bars are for routed beside bridge."""
    figures = {name: figure(unit, values) for name, values in rounds.items()}
    for name, own in figures.items():
        if name in PEERS:
            continue
        for peer in PEERS:
            bars = (
                (HALF,) if (name, peer) == ("ipamd-veth, routed", PEERS[0]) and "p50" not in measure else ()
            )
            table.add(Row(f"{measure}: {name}", own, peer, figures[peer], bars))


def _ms(burst: Burst) -> float:
    return 1000 * burst.seconds


def _cpu(bursts: list[Burst]) -> list[float]:
    return [1000 * sum(each.cpu for each in burst.done) / len(burst.done) for burst in bursts]
