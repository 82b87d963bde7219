"""The plugin as a whole process, from spawn to exit, against host-local and against bare processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import spawn
from benchmarks.contenders import (
    HOST_LOCAL,
    SUBNET,
    Contender,
    fill_host_local,
    host_local_section,
    ipamd_section,
    network,
)
from benchmarks.empty_route import running_empty_route
from benchmarks.fill import BLOCK_SIZE, full_blocks
from benchmarks.filled import check_held, held, running_filled
from benchmarks.load import body, pods, request
from benchmarks.spawn import Burst, Call, containers
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.node_executable import plugins
from tests.service import IpamdProcess

NAME: Final = "plugin"
ABOUT: Final = """\
From posix_spawn to the end of the process; ipamd on SQLite (synchronous=FULL) over a Unix socket, on the
same two cores. One at a time: the contenders call by call in turn. Many at once: in rounds in turn.
host-local is Debian's; it reads the folder of its network at every ADD and DEL. It has no STATUS: its
VERSION stands in for it. `python3` is the interpreter of the CPython plugin. A call alone stands beside the
same request of a C program to the same server with a route that decides and stores nothing."""
NO_INPUT: Final = Path("/dev/null")
C_CLIENT: Final = "one request in C"
TO_EMPTY_ROUTE: Final = "one request in C to an empty route"

Rounds = dict[str, list[float]]


def measure(scale: Scale) -> Table:
    """Run it."""
    table = Table(NAME, "The plugin as a whole process", ABOUT)
    for taken in (0, 1_000) if scale is Scale.QUICK else (0, 10_000, 50_000):
        with TemporaryDirectory(prefix="ipamd-bench-") as folder:
            _measure_with(table, taken, Path(folder), quick=scale is Scale.QUICK)
    return table


def _measure_with(table: Table, taken: int, folder: Path, *, quick: bool) -> None:
    # The first block stays out: host-local, too, begins after the gateway.
    first = int(IPv4Network(SUBNET)[0]) + BLOCK_SIZE
    filling = [full_blocks("bench", first, taken)] if taken else []
    empty_route = folder / "empty.sock"
    with ExitStack() as context:
        service = context.enter_context(running_filled({"bench": SUBNET}, filling, pinned=False))
        if taken == 0:
            context.enter_context(running_empty_route(empty_route, pinned=False))
        fill_host_local(folder / "host-local", [str(IPv4Address(first + number)) for number in range(taken)])
        contenders = _contenders(service, folder)
        limits = _limits(service, empty_route, folder) if taken == 0 else {}
        calls = 5 if quick else 40 if taken < 50_000 else 15
        before = held(service, "bench")
        _one_at_a_time(table, taken, contenders, limits, folder, calls)
        if taken < 50_000:
            for at_once in (8,) if quick else (8, 32):
                _many_at_once(table, taken, at_once, contenders, folder, 1 if quick else 5)
        check_held(service, "bench", before + calls * (taken == 0))  # what a limit took stays


def _contenders(service: IpamdProcess, folder: Path) -> dict[str, Contender]:
    sections = {name: (path, ipamd_section(service, "bench")) for name, path in plugins().items()}
    sections["host-local"] = HOST_LOCAL, host_local_section(folder / "host-local")
    contenders = {}
    for name, (path, section) in sections.items():
        config = folder / f"{name}.json"
        config.write_bytes(network(section))
        contenders[name] = Contender(name, path, config)
    status = folder / "status.json"
    status.write_bytes(network(ipamd_section(service, "bench"), version="1.1.0"))
    return contenders


def _limits(service: IpamdProcess, empty_route: Path, folder: Path) -> dict[str, Callable[[], Call]]:
    """Bare processes, by name."""
    client = folder / "one_request"
    source = Path(__file__).with_name("one_request.c")
    subprocess.run(["cc", "-O2", "-static", "-o", str(client), str(source)], check=True)

    def one_request(to: Path) -> Call:
        asked = folder / "request"
        asked.write_bytes(request("/v1/cni/add", body(pods(1)[0], "bench"), close=True))
        return Call((str(client), str(to)), {}, asked)

    return {
        "/bin/true": lambda: Call(("/bin/true",), {}, NO_INPUT),
        "python3 -I -S -c pass": lambda: Call((sys.executable, "-I", "-S", "-c", "pass"), {}, NO_INPUT),
        C_CLIENT: lambda: one_request(service.socket),
        TO_EMPTY_ROUTE: lambda: one_request(empty_route),
    }


def _one_at_a_time(
    table: Table,
    taken: int,
    contenders: dict[str, Contender],
    limits: dict[str, Callable[[], Call]],
    folder: Path,
    calls: int,
) -> None:
    spent: dict[str, Rounds] = {verb: {} for verb in ("ADD", "DEL", "STATUS")}
    bare: Rounds = {name: [] for name in limits}
    for _ in range(calls):
        for name, contender in contenders.items():
            container = containers(1)[0]
            for verb, call in _cycle(contender, container, folder):
                burst = spawn.run([call], 1, folder)
                spawn.addresses(burst) if verb == "ADD" else spawn.succeeded(burst)
                spent[verb].setdefault(name, []).append(1000 * burst.seconds)
        for name, make in limits.items():
            burst = spawn.run([make()], 1, folder)
            spawn.succeeded(burst)
            bare[name].append(1000 * burst.seconds)
    state = f"{taken:,} taken" if taken else "empty"
    for verb, rounds in spent.items():
        for name in contenders:
            if name != "host-local":
                beside = "host-local VERSION" if verb == "STATUS" else "host-local"
                own, other = figure("ms", rounds[name]), figure("ms", rounds["host-local"])
                table.add(Row(f"{verb}, {state}: {name}", own, beside, other, _bars(verb, name, taken)))
    for name, times in bare.items():
        table.add(Row(f"limit: {name}", figure("ms", times)))
    if bare:
        own, other = figure("ms", spent["ADD"]["cpython"]), figure("ms", bare["python3 -I -S -c pass"])
        bars = (Bar(2.0, at_least=False),)
        table.add(Row("ADD, empty: cpython", own, "python3 -I -S -c pass", other, bars))
        empty = figure("ms", bare[TO_EMPTY_ROUTE])
        alone = {name: times for name, times in spent["ADD"].items() if name != "host-local"}
        for name, times in {**alone, C_CLIENT: bare[C_CLIENT]}.items():
            table.add(Row(f"ADD, empty: {name}", figure("ms", times), TO_EMPTY_ROUTE, empty))


def _cycle(contender: Contender, container: str, folder: Path) -> list[tuple[str, Call]]:
    """A container's life, and a question about the node's."""
    status = contender.call("VERSION")
    if contender.name != "host-local":
        status = Contender(contender.name, contender.executable, folder / "status.json").call("STATUS")
    return [
        ("ADD", contender.call("ADD", container)),
        ("DEL", contender.call("DEL", container)),
        ("STATUS", status),
    ]


def _bars(verb: str, name: str, taken: int) -> tuple[Bar, ...]:
    limits = {0: 0.6, 50_000: 0.05}
    if (verb, name) != ("ADD", "static") or taken not in limits:
        return ()
    return (Bar(limits[taken], at_least=False),)


def _many_at_once(
    table: Table, taken: int, at_once: int, contenders: dict[str, Contender], folder: Path, rounds: int
) -> None:
    rates: Rounds = {name: [] for name in contenders}
    slowest: Rounds = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            # host-local with a full folder takes seconds for what we do in a moment.
            number = at_once if name == "host-local" and taken else 4 * at_once
            burst = _add_and_delete(contender, containers(number), at_once, folder)
            rates[name].append(burst.rate)
            slowest[name].append(burst.percentile(1.0))
    state = f"{taken:,} taken" if taken else "empty"
    for name in contenders:
        if name == "host-local":
            continue
        bars: tuple[Bar, ...] = ()
        if name == "static" and at_once == 32:
            bars = (Bar(20 if taken else 2, at_least=True),)
        own, other = figure("ADD/s", rates[name]), figure("ADD/s", rates["host-local"])
        table.add(Row(f"{at_once} at once, {state}: {name}", own, "host-local", other, bars))
        own, other = figure("ms", slowest[name]), figure("ms", slowest["host-local"])
        table.add(Row(f"slowest ADD of {at_once} at once, {state}: {name}", own, "host-local", other))


def _add_and_delete(contender: Contender, ids: list[str], at_once: int, folder: Path) -> Burst:
    burst = spawn.run([contender.call("ADD", container) for container in ids], at_once, folder)
    spawn.addresses(burst)
    spawn.succeeded(spawn.run([contender.call("DEL", container) for container in ids], at_once, folder))
    return burst
