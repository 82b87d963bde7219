"""What an ADD costs with ten thousand addresses taken, a million, ten; with many pools and many nodes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from itertools import islice
from typing import Final

from benchmarks import load
from benchmarks.churn import churn
from benchmarks.fill import BLOCK_SIZE, at_random, full_blocks, usable
from benchmarks.filled import check_held, held, running_filled
from benchmarks.load import NODES, Outcome, pods
from benchmarks.pinning import LOAD_CORE, SERVER_CORE
from benchmarks.quiet import until_quiet
from benchmarks.rounds import measured
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.service import IpamdProcess

NAME: Final = "growth"
ABOUT: Final = """\
Durable ADDs over HTTP, 128 connections, SQLite with every index of the schema, ipamd on one core and the
load on the other; the databases were filled in bulk through the backend's own schema; the states are
measured in turn, after a round of each that fills its memory, and the ratio is to the same load on an
empty pool of the same run. From the pool that is 99.9 % full at random half of what is free is taken at a
time and given back, and as much at a time from the empty one beside it."""
CONNECTIONS: Final = 128
POOL: Final = "bench"
WIDE: Final = IPv4Network("10.0.0.0/8")
IPV6: Final = IPv6Network("fd00:1::/64")
EMPTY: Final = "an empty /8"
EMPTY_IN_PIECES: Final = "an empty /8, in pieces"
MANY_POOLS: Final = 10_000
MANY_NODES: Final = 5_000
PAIRS: Final = 1_000_000
BARS: Final = {1_000_000: 0.8, 10_000_000: 0.7}
BAR_NEARLY_FULL: Final = 0.7

Load = Callable[[IpamdProcess], Outcome]


@dataclass(frozen=True)
class State:
    """A service in some state, one round of its load, and the state that it stands beside."""

    name: str
    service: IpamdProcess
    load: Load
    beside: str = EMPTY
    bars: tuple[Bar, ...] = ()

    def loaded(self) -> Outcome:
        """One round, after what the others put off is done."""
        until_quiet()
        return self.load(self.service)


def measure(scale: Scale) -> Table:
    """Run it."""
    rounds, calls = {Scale.QUICK: (1, 500), Scale.FULL: (5, 5_000), Scale.GROWTH: (5, 10_000)}[scale]
    table = Table(NAME, "Growth", ABOUT)
    with ExitStack() as context:
        states = _states(context, scale, calls)
        os.sched_setaffinity(0, {LOAD_CORE})
        for state in states:
            state.loaded()
        found = measured(rounds, lambda: {state.name: state.loaded() for state in states})
    os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
    rates = {name: figure("/s", [each[name].rate for each in found]) for name in found[0]}
    waits = {name: figure("ms", [each[name].percentile(0.99) for each in found]) for name in found[0]}
    for state in states:
        if state.name == state.beside:
            table.add(Row(f"ADD, {state.name}", rates[state.name]))
            table.add(Row(f"p99 of ADD, {state.name}", waits[state.name]))
            continue
        beside = state.beside
        table.add(Row(f"ADD, {state.name}", rates[state.name], beside, rates[beside], state.bars))
        table.add(Row(f"p99 of ADD, {state.name}", waits[state.name], beside, waits[beside]))
    return table


def _states(context: ExitStack, scale: Scale, calls: int) -> list[State]:
    serve = context.enter_context
    adding = _adding(calls)
    states = [State(EMPTY, serve(running_filled({POOL: str(WIDE)})), adding)]
    for taken in _sizes(scale):
        filling = full_blocks(POOL, int(WIDE[0]) + BLOCK_SIZE, taken)
        service = serve(running_filled({POOL: str(WIDE)}, [filling]))
        bars = (Bar(BARS[taken], at_least=True),) if taken in BARS else ()
        states.append(State(f"a /8 with {taken:,} taken", service, adding, bars=bars))
    most = _sizes(scale)[-1]
    filling = full_blocks(POOL, int(IPV6[0]) + BLOCK_SIZE, most, family=6)
    service = serve(running_filled({POOL: str(IPV6)}, [filling]))
    states.append(State(f"an IPv6 /64 with {most:,} taken", service, adding))
    if scale is Scale.GROWTH:
        return states + _many(context, calls)
    return states + _nearly_full(context, scale, calls)


def _sizes(scale: Scale) -> tuple[int, ...]:
    if scale is Scale.FULL:
        return 10_000, 100_000, 1_000_000
    return (10_000,) if scale is Scale.QUICK else (1_000_000, 10_000_000)


def _nearly_full(context: ExitStack, scale: Scale, calls: int) -> list[State]:
    """A pool that is 99.9 % full at random, and an empty one under the same load."""
    network = IPv4Network("10.16.0.0/16" if scale is Scale.QUICK else "10.16.0.0/12")
    free = usable(network) // 1_000
    piece = -(-free // 2)
    loading = _in_pieces(piece, -(-calls // piece) if scale is Scale.FULL else 2)
    empty = context.enter_context(running_filled({POOL: str(WIDE)}))
    filled = context.enter_context(running_filled({POOL: str(network)}, [at_random(POOL, network, free)]))
    name = f"a /{network.prefixlen} that is 99.9 % full at random"
    bars = (Bar(BAR_NEARLY_FULL, at_least=True),)
    return [
        State(EMPTY_IN_PIECES, empty, loading, EMPTY_IN_PIECES),
        State(name, filled, loading, EMPTY_IN_PIECES, bars),
    ]


def _many(context: ExitStack, calls: int) -> list[State]:
    """A million pairs of ADD and DEL, ten thousand pools, five thousand nodes."""
    serve = context.enter_context
    network = IPv4Network("10.16.0.0/12")
    tenth = at_random(POOL, network, usable(network) // 10)
    calm, worn = (serve(running_filled({POOL: str(network)}, [tenth])) for _ in range(2))
    churn(worn, POOL, PAIRS)
    subnets = islice(WIDE.subnets(new_prefix=24), MANY_POOLS)
    named = {f"bench-{number}": str(subnet) for number, subnet in enumerate(subnets)}
    many = serve(running_filled(named))
    nodes, affine = (
        serve(running_filled({POOL: str(WIDE)}, affinity=affinity)) for affinity in ("any", "node")
    )
    from_all = _adding(calls, nodes=MANY_NODES)
    from_all(affine)  # each node has a block of its own from here on
    at_ninety = "a /12 that is 90 % full at random"
    adding = _adding(calls)
    return [
        State(at_ninety, calm, adding),
        State(f"the same after {PAIRS:,} pairs of ADD and DEL", worn, adding, at_ninety),
        State(f"{MANY_POOLS:,} pools in turn", many, _adding(calls, list(named))),
        State(f"{MANY_NODES:,} nodes in turn", nodes, from_all),
        State(f"{MANY_NODES:,} nodes in turn, each with a block of its own", affine, from_all),
    ]


def _adding(calls: int, pools: Sequence[str] = (POOL,), nodes: int = NODES) -> Load:
    """ADDs of new pods that stay."""
    asked = [[pools[number % len(pools)]] for number in range(calls)]

    def run(service: IpamdProcess) -> Outcome:
        before = held(service, pools[0])
        outcome = load.add(service.port, asked, CONNECTIONS, to=pods(calls, nodes))
        check_held(service, pools[0], before + asked.count([pools[0]]))
        return outcome

    return run


def _in_pieces(piece: int, pieces: int) -> Load:
    """ADDs of new pods, which go again when so many have come."""

    def run(service: IpamdProcess) -> Outcome:
        before = held(service, POOL)
        outcomes = []
        for _ in range(pieces):
            coming = pods(piece)
            outcomes.append(load.add(service.port, [[POOL]] * piece, CONNECTIONS, to=coming))
            load.delete(service.port, coming, CONNECTIONS)
            check_held(service, POOL, before)
        return Outcome.together(outcomes)

    return run
