"""What an ADD and a DEL cost on a node where many pods live already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.contenders import Contender
from benchmarks.filled import check_held, running_filled
from benchmarks.inside import crowd, namespaces
from benchmarks.main_plugins import (
    BRIDGE,
    POOL,
    REFERENCE,
    REFERENCE_PTP,
    ROUTED,
    SUBNET,
    call,
    life,
    main_plugins,
    milliseconds,
)
from benchmarks.spawn import addresses, containers
from benchmarks.table import Row, Scale, Table, figure
from tests.network.namespace import Namespace

NAME: Final = "living"
ABOUT: Final = """\
A whole ADD and DEL of one pod on a node where many pods live, and where none does, all in one kernel. Each
contender has a node of its own and makes the many itself, {at_once} at a time. A bridge takes no more than
1,024 ports. The figures without pods are from before the many came and after they went. `host-local` reads
the folder of its network at each call, so it grows with the pods of its node."""
LIVING: Final = {
    Scale.QUICK: {ROUTED: 20, REFERENCE_PTP: 20},
    Scale.FULL: {ROUTED: 1_500, REFERENCE_PTP: 1_500},
    Scale.GROWTH: {BRIDGE: 1_000, REFERENCE: 1_000},
}
PEER: Final = {ROUTED: REFERENCE_PTP, BRIDGE: REFERENCE}
ROUNDS: Final = {Scale.QUICK: 2, Scale.FULL: 20, Scale.GROWTH: 20}
AT_ONCE: Final = 8
NONE: Final = "none there"
THERE: Final = "many there"

Times = dict[tuple[str, str], dict[str, list[float]]]


def measure(scale: Scale) -> Table:
    """Run it."""
    living, rounds = LIVING[scale], ROUNDS[scale]
    table = Table(NAME, "A node where many pods live", ABOUT.format(at_once=AT_ONCE))
    spent: Times = {}
    with (
        TemporaryDirectory(prefix="ipamd-bench-") as scratch,
        running_filled({POOL: SUBNET}, pinned=False) as service,
    ):
        folder = Path(scratch)
        for name, contender in main_plugins(service, folder, list(living)).items():
            for verb, times in _measured(contender, living[name], rounds, folder).items():
                spent[verb, name] = times
        check_held(service, POOL, 0)
    _report(table, spent, living)
    return table


def _measured(
    contender: Contender, living: int, rounds: int, folder: Path
) -> dict[str, dict[str, list[float]]]:
    """Times by verb, with none there and with so many."""
    found: dict[str, dict[str, list[float]]] = {verb: defaultdict(list) for verb in ("ADD", "DEL")}

    def lives(state: str) -> None:
        for _ in range(rounds):
            for verb, burst in life(contender, node, [pod], folder).items():
                found[verb][state] += milliseconds([burst])

    with namespaces("node", "pod") as (node, pod):
        lives(NONE)
        with _living(contender, node, living, folder):
            lives(THERE)
        lives(NONE)
    return found


@contextmanager
def _living(contender: Contender, node: Namespace, number: int, folder: Path) -> Iterator[None]:
    """So many pods on the node, each with an address of its own."""
    with crowd(node, number) as pods:
        living = dict(zip(containers(number), pods, strict=True))
        addresses(call("ADD", contender, node, living, folder, AT_ONCE))
        yield
        call("DEL", contender, node, living, folder, AT_ONCE)


def _report(table: Table, spent: Times, living: dict[str, int]) -> None:
    for verb in ("ADD", "DEL"):
        figures = {
            (name, state): figure("ms", rounds)
            for name in living
            for state, rounds in spent[verb, name].items()
        }
        for name, number in living.items():
            own = figures[name, THERE]
            table.add(Row(f"{verb}, {number:,} there: {name}", own, NONE, figures[name, NONE]))
        for name, peer in PEER.items():
            if name in living:
                measure = f"{verb}, {living[name]:,} there: {name}"
                table.add(Row(measure, figures[name, THERE], peer, figures[peer, THERE]))
