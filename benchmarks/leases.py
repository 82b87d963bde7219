"""The plugin as a whole process with a lease, which asks nobody, against host-local."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks import leased_pods, spawn
from benchmarks.contenders import (
    HOST_LOCAL,
    SUBNET,
    Contender,
    fill_host_local,
    host_local_section,
    network,
)
from benchmarks.inside import own_run
from benchmarks.spawn import Burst, Call, containers
from benchmarks.table import Bar, Row, Scale, Table, figure
from ipam_plugin.leases import layout
from node_agent.leasing.seating import Grant, fill
from node_agent.node import MOST_SEATS
from tests.lease_store import NODE, LeaseStore
from tests.node_executable import static_plugin

NAME: Final = "leases"
ABOUT: Final = """\
ADD and DEL of the static plugin from the store of a lease, from posix_spawn to the end of the process; the
store lies on tmpfs, and so does host-local's folder. Nobody is asked: there is neither ipamd nor an agent.
The store has 64 free seats, the most that a node holds. One at a time: call by call in turn. Many at once: in
rounds in turn; processes that do nothing (`busybox true`) show what this machine starts at most. A pod: the
main plugin with its IPAM plugin, in real network namespaces. The agent without work asks a service."""
MEMORY: Final = "/dev/shm"
AT_ONCE: Final = 32
FREE: Final = MOST_SEATS
NOTHING: Final = ("/bin/busybox", "true")


def measure(scale: Scale) -> Table:
    """Run it."""
    table = Table(NAME, "The plugin with a lease", ABOUT)
    quick = scale is Scale.QUICK
    for taken in (0, 200):
        with TemporaryDirectory(prefix="ipamd-bench-", dir=MEMORY) as folder:
            _measure_with(table, taken, Path(folder), quick=quick)
    with TemporaryDirectory(prefix="ipamd-bench-", dir=MEMORY) as folder:
        _measure_pods(table, Path(folder), 3 if quick else 60)
    leased_pods.add_idle(table, 2 if quick else 20)
    return table


def _measure_with(table: Table, taken: int, folder: Path, *, quick: bool) -> None:
    ours, theirs = _contenders(folder)
    first = int(IPv4Network(SUBNET)[0]) + 256
    fill_host_local(folder / "host-local", [str(IPv4Address(first + number)) for number in range(taken)])
    store = _store(folder, ours.config, taken + FREE)
    state = f"from a lease, {taken or 'nothing'} taken"
    with own_run(folder / "run"):
        if taken:
            spawn.addresses(spawn.run([ours.call("ADD", each) for each in containers(taken)], 4, folder))
        _one_at_a_time(table, state, ours, theirs, folder, 10 if quick else 200)
        _tail(table, state, ours, folder, 50 if quick else 1000)
        _many_at_once(table, state, ours, theirs, folder, 1 if quick else 5)
    held = list(store.states().values()).count(layout.HELD)
    assert held == taken, f"{held} seats are held, not {taken}"


def _contenders(folder: Path) -> tuple[Contender, Contender]:
    plugin = static_plugin()
    assert plugin is not None, "run `make node` first"
    sections = {
        "lease": (plugin, _section(folder)),
        "host-local": (HOST_LOCAL, host_local_section(folder / "host-local")),
    }
    made = []
    for name, (path, section) in sections.items():
        config = folder / f"{name}.json"
        config.write_bytes(network(section))
        made.append(Contender(name, path, config))
    return made[0], made[1]


def _section(folder: Path) -> dict[str, Any]:
    return {"type": "ipamd-ipam", "node": NODE, "stateDir": str(folder / "state")}


def _measure_pods(table: Table, folder: Path, rounds: int) -> None:
    ours = leased_pods.main_plugin(folder, _section(folder))
    _store(folder, ours.config, FREE)
    with own_run(folder / "run"):
        leased_pods.add_pods(table, ours, folder, rounds)


def _store(folder: Path, config: Path, seats: int) -> LeaseStore:
    """A store with so many free seats for a network."""
    store = LeaseStore(folder / "run" / "ipamd" / "leases" / "store")
    document: dict[str, Any] = json.loads(config.read_bytes())
    section = json.dumps(document["ipam"]).encode()
    key = layout.configuration_key(document["name"], document["cniVersion"], section)
    first = int(IPv4Network(SUBNET)[0]) + 1
    grants = [Grant(number, key, _answer(first + number)) for number in range(1, seats + 1)]
    with store.locked() as locked:
        assert not fill(locked, grants)
    return store


def _answer(address: int) -> bytes:
    ips = [{"address": f"{IPv4Address(address)}/12", "gateway": "10.128.0.1"}]
    return json.dumps({"cniVersion": "1.0.0", "ips": ips, "routes": [{"dst": "0.0.0.0/0"}]}).encode()


def _one_at_a_time(
    table: Table, state: str, ours: Contender, theirs: Contender, folder: Path, calls: int
) -> None:
    spent: dict[tuple[str, str], list[Burst]] = {}
    for _ in range(calls):
        container = containers(1)[0]
        for verb in ("ADD", "DEL"):
            for contender in (ours, theirs):
                burst = spawn.run([contender.call(verb, container)], 1, folder)
                spawn.addresses(burst) if verb == "ADD" else spawn.succeeded(burst)
                spent.setdefault((verb, contender.name), []).append(burst)
    for verb in ("ADD", "DEL"):
        own, other = spent[verb, ours.name], spent[verb, theirs.name]
        row = Row(
            f"{verb}, {state}",
            figure("ms", [*map(_time, own)]),
            "host-local",
            figure("ms", [*map(_time, other)]),
            (Bar(0.3, at_least=False),),
        )
        table.add(row)
        own_cpu, other_cpu = figure("ms", [*map(_cpu, own)]), figure("ms", [*map(_cpu, other)])
        table.add(Row(f"CPU time of {verb}, {state}", own_cpu, "host-local", other_cpu))


def _time(burst: Burst) -> float:
    return 1000 * burst.seconds


def _cpu(burst: Burst) -> float:
    return 1000 * burst.done[0].cpu


def _tail(table: Table, state: str, ours: Contender, folder: Path, calls: int) -> None:
    """How much longer the slowest ADD of a hundred takes than one in the middle."""
    times = []
    for container in containers(calls):
        burst = spawn.run([ours.call("ADD", container)], 1, folder)
        times.append(burst.done[0].seconds)
        spawn.succeeded(spawn.run([ours.call("DEL", container)], 1, folder))
    times.sort()
    slow, middle = figure("ms", [1000 * times[99 * calls // 100]]), figure("ms", [1000 * times[calls // 2]])
    table.add(Row(f"p99 of {calls:,} ADDs, {state}", slow, "p50", middle, (Bar(4, at_least=False),)))


def _many_at_once(
    table: Table, state: str, ours: Contender, theirs: Contender, folder: Path, rounds: int
) -> None:
    rates: dict[str, list[float]] = {ours.name: [], theirs.name: []}
    floor = []
    for _ in range(rounds):
        floor.append(spawn.run([Call(NOTHING, {}, ours.config)] * AT_ONCE, AT_ONCE, folder).rate)
        for contender in (ours, theirs):
            ids = containers(AT_ONCE)
            burst = spawn.run([contender.call("ADD", each) for each in ids], AT_ONCE, folder)
            spawn.addresses(burst)
            spawn.succeeded(spawn.run([contender.call("DEL", each) for each in ids], AT_ONCE, folder))
            rates[contender.name].append(burst.rate)
    own, other = figure("ADD/s", rates[ours.name]), figure("ADD/s", rates[theirs.name])
    bars = (Bar(5, at_least=True),)
    table.add(Row(f"{AT_ONCE} at once, {state}", own, "host-local", other, bars))
    table.add(Row(f"{AT_ONCE} at once that do nothing", figure("processes/s", floor)))
