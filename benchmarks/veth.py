"""Our main plugin with ipamd, and the reference's with host-local: one pod, and many at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.contenders import Contender
from benchmarks.filled import check_held, running_filled
from benchmarks.inside import namespaces
from benchmarks.main_plugins import (
    OURS,
    PEERS,
    POOL,
    REFERENCE,
    ROUTED,
    SUBNET,
    life,
    main_plugins,
    milliseconds,
)
from benchmarks.spawn import Burst
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.network.namespace import Namespace

NAME: Final = "veth"
ABOUT: Final = """\
A whole ADD and DEL of main plugin and IPAM: `ipamd-veth`, the static file, which asks ipamd and waits for its
durable commit, beside Debian's `bridge` and `ptp` with `host-local`, which asks nobody. Real namespaces,
from posix_spawn to the end of the process, the contenders in turn; then {many} pods at once. After each ADD
every pod has the addresses that were answered, after each DEL none has its interface. CPU time is that of the
main plugin and all that it runs, not the service's."""
# How many pods at once, and in how many rounds.
ROUNDS: Final = {Scale.QUICK: {1: 3, 5: 1}, Scale.FULL: {1: 60, 30: 10, 100: 5}}
HALF: Final = Bar(0.5, at_least=False)
SHARES: Final = {"p50": 0.5, "p99": 0.99}

Bursts = dict[str, dict[str, list[Burst]]]


def measure(scale: Scale) -> Table:
    """Run it."""
    sizes = ROUNDS[scale]
    many = " and ".join(str(size) for size in sizes if size > 1)
    table = Table(NAME, "The main plugin", ABOUT.format(many=many))
    with (
        TemporaryDirectory(prefix="ipamd-bench-") as scratch,
        running_filled({POOL: SUBNET}, pinned=False) as service,
        namespaces("node", *(f"pod-{number}" for number in range(max(sizes)))) as (node, *pods),
    ):
        folder = Path(scratch)
        contenders = main_plugins(service, folder)
        found = {
            size: _lives(contenders, node, pods[:size], folder, rounds) for size, rounds in sizes.items()
        }
        check_held(service, POOL, 0)
    for size, bursts in found.items():
        if size == 1:
            _report_one(table, bursts)
        else:
            _report_many(table, bursts, size)
    return table


def _lives(
    contenders: dict[str, Contender], node: Namespace, pods: Sequence[Namespace], folder: Path, rounds: int
) -> Bursts:
    """ADDs and DELs of all pods at once, the contenders in turn, by verb and contender."""
    found: Bursts = {verb: defaultdict(list) for verb in ("ADD", "DEL")}
    for _ in range(rounds):
        for name, contender in contenders.items():
            for verb, burst in life(contender, node, pods, folder).items():
                found[verb][name].append(burst)
    return found


def _report_one(table: Table, found: Bursts) -> None:
    for verb, bursts in found.items():
        _rows(table, verb, {name: milliseconds(each) for name, each in bursts.items()}, HALF)
    _rows(table, "ADD: CPU time", {name: _cpu(each) for name, each in found["ADD"].items()}, HALF)


def _report_many(table: Table, found: Bursts, size: int) -> None:
    for verb, bursts in found.items():
        for text, share in SHARES.items():
            waits = {name: [burst.percentile(share) for burst in each] for name, each in bursts.items()}
            bars = (HALF,) if text == "p99" else ()
            _rows(table, f"{verb}, {size} at once: {text}", waits, *bars)
    cpu = {name: _cpu(each) for name, each in found["ADD"].items()}
    _rows(table, f"ADD, {size} at once: CPU time of one", cpu, HALF)


def _rows(table: Table, measure: str, rounds: dict[str, list[float]], *bars: Bar) -> None:
    """A row for each of ours beside each of the reference's; the bars are for routed beside bridge."""
    figures = {name: figure("ms", values) for name, values in rounds.items()}
    for name in OURS:
        for peer in PEERS:
            own = bars if (name, peer) == (ROUTED, REFERENCE) else ()
            table.add(Row(f"{measure}: {name}", figures[name], peer, figures[peer], own))


def _cpu(bursts: Sequence[Burst]) -> list[float]:
    """Milliseconds of CPU time for each process of a burst."""
    return [1000 * sum(each.cpu for each in burst.done) / len(burst.done) for burst in bursts]
