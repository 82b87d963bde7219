"""ipamd beside what others keep addresses with: Kea DHCP, and etcd as an IPAM writes to it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import load
from benchmarks.etcd import running_etcd, writes
from benchmarks.filled import check_held, held
from benchmarks.kea import in_file, in_postgres, running_kea
from benchmarks.pinning import LOAD_CORE, SERVER_CORE, running_ipamd
from benchmarks.quiet import until_quiet
from benchmarks.rounds import measured
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.postgres import running_postgres
from tests.service import IpamdProcess

NAME: Final = "peers"
ABOUT: Final = """\
Durable ADDs a second, 128 at once, beside Kea (Debian's `kea-dhcp4`, loaded by its own `perfdhcp`) and etcd
(Debian's, one member), in turns. Each server has one core, each load the other; PostgreSQL runs on both.
What one has put off is done before the next begins.
A machine may be four times slower than another, so what counts is the ratio of one run."""
NOTES: Final = (
    "Kea: a lease is four UDP packets through a veth pair; an ADD is one request and its answer over "
    "HTTP on loopback. Kea's memfile syncs nothing: what it answered last is lost with the power. On "
    "PostgreSQL each lease is a commit of its own. Kea runs in one thread. perfdhcp offers it "
    "half as much again until it does not keep up; the most exchanges that were completed count.",
    "etcd: a call is one compare-and-swap of a key with 1 KB, as Calico writes a block, over HTTP by "
    "etcd's own JSON gateway, 128 at once. It is synced before it is answered, as an ADD is. Nothing is "
    "decided: an IPAM on etcd reads before it writes, and writes a handle too.",
)
POOL: Final = "bench"
AT_ONCE: Final = 128
LOADS: Final = {Scale.QUICK: (1, 600, 1), Scale.FULL: (5, 5_000, 2)}
"""Rounds, calls in each, and the seconds of each rate that Kea is offered."""

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
MEMFILE: Final = "Kea, memfile"
KEA_POSTGRESQL: Final = "Kea, PostgreSQL"
ETCD: Final = "etcd"
BARS: Final = {(SQLITE, MEMFILE): 1.0, (POSTGRESQL, KEA_POSTGRESQL): 6.0}


def measure(scale: Scale) -> Table:
    """Run it."""
    rounds, calls, seconds = LOADS[scale]
    table = Table(NAME, "Beside Kea and etcd", ABOUT, notes=list(NOTES))
    with ExitStack() as context:
        os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
        folder = Path(context.enter_context(TemporaryDirectory(prefix="ipamd-bench-")))
        postgres = context.enter_context(running_postgres(fsync="on", full_page_writes="on"))
        database = context.enter_context(postgres.copy())
        services = {
            SQLITE: context.enter_context(running_ipamd()),
            POSTGRESQL: context.enter_context(running_ipamd(postgres.url(database))),
        }
        for service in services.values():
            service.create_pool(POOL, "10.0.0.0/8", cooldown=0)
        etcd = context.enter_context(running_etcd(folder / "etcd"))
        leases = {
            MEMFILE: in_file(folder),
            KEA_POSTGRESQL: context.enter_context(in_postgres(postgres)),
        }
        os.sched_setaffinity(0, {LOAD_CORE})

        def rates_of_each() -> dict[str, float]:
            found = {name: _adds(service, calls) for name, service in services.items()}
            until_quiet()
            found[ETCD] = writes(etcd, calls, AT_ONCE)
            for name, place in leases.items():
                with running_kea(folder, place) as kea:
                    until_quiet()
                    found[name] = kea.rate(seconds)
            return found

        found = measured(rounds, rates_of_each)
        os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
    rates = {name: figure("/s", [rates[name] for rates in found]) for name in found[0]}
    for name in services:
        for peer in (MEMFILE, KEA_POSTGRESQL, ETCD):
            limit = BARS.get((name, peer))
            bars = (Bar(limit, at_least=True),) if limit is not None else ()
            table.add(Row(f"ADD, {name}", rates[name], peer, rates[peer], bars))
    return table


def _adds(service: IpamdProcess, calls: int) -> float:
    before = held(service, POOL)
    until_quiet()
    rate = load.add(service.port, [[POOL]] * calls, AT_ONCE).rate
    check_held(service, POOL, before + calls)
    return rate
