"""The rate of ADDs against the fill of a pool, with and without cooldown: a table and a picture."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Final

from benchmarks import load
from benchmarks.fill import Filling, at_random, usable
from benchmarks.filled import check_held, running_filled
from benchmarks.load import Outcome, Pod, pods
from benchmarks.picture import Series, draw
from benchmarks.pinning import LOAD_CORE, SERVER_CORE
from benchmarks.report import RESULTS
from benchmarks.table import Figure, Row, Scale, Table, figure
from tests.service import IpamdProcess

NAME: Final = "fill"
ABOUT: Final = """\
ADDs a second into pools that are full to some share, at random, {connections} at once, {piece} at a time,
which go again before the next come, so that the share holds; SQLite (synchronous=FULL), ipamd on one core
and the load on the other. With a cooldown of {cooldown} s half of what is free, or what those {piece}
leave of it, was given back a moment ago. The /24 are {small} pools in turn, for one alone has too little
room. The pools of a run are measured in turn, the empty ones among them, to which the ratio is."""
CONNECTIONS: Final = 16
PIECE: Final = 32
SMALL_POOLS: Final = 32
ROUNDS: Final = 5
PIECES: Final = 5
COOLDOWN: Final = 3
AFTER_COOLDOWN: Final = 0.1
LEVELS: Final = {
    Scale.QUICK: (0.0, 90.0, 99.9),
    Scale.FULL: (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9),
    Scale.GROWTH: (0.0, 50.0, 99.9),
}
SMALL, MIDDLE, WIDE = 24, 16, 8
SPACE: Final = IPv4Network("10.0.0.0/8")


@dataclass
class State:
    """Pools of one size that are full to one share, and how fast they gave addresses, by cooldown."""

    prefix: int
    level: float
    subnets: dict[str, IPv4Network]
    free: int  # in each of them
    outcomes: dict[int, list[Outcome]] = field(default_factory=dict)
    at_rest: float = 0.0  # when all that was given back has cooled down

    @property
    def fillings(self) -> list[Filling]:
        return [at_random(name, subnet, self.free) for name, subnet in self.subnets.items()]

    def rate(self, cooldown: int) -> Figure:
        return figure("ADD/s", [outcome.rate for outcome in self.outcomes[cooldown]])


def measure(scale: Scale) -> Table:
    """Run it."""
    about = ABOUT.format(connections=CONNECTIONS, piece=PIECE, cooldown=COOLDOWN, small=SMALL_POOLS)
    table = Table(NAME, "The rate against the fill of a pool", about)
    if scale is Scale.GROWTH:
        curves = {WIDE: _one_by_one(table, LEVELS[scale])}
    else:
        curves = _together(table, LEVELS[scale], quick=scale is Scale.QUICK)
    if scale is not Scale.QUICK:
        table.picture = "fill.svg" if scale is Scale.FULL else "fill-growth.svg"
        RESULTS.mkdir(exist_ok=True)
        labels = [f"{level:g} %" for level in LEVELS[scale]]
        (RESULTS / table.picture).write_text(
            draw("ADDs a second against the fill of the pool", labels, _series(curves))
        )
    return table


def _together(table: Table, levels: Sequence[float], *, quick: bool) -> dict[int, list[State]]:
    """All in one database, in turn."""
    curves = {prefix: _states(prefix, levels) for prefix in ((SMALL,) if quick else (SMALL, MIDDLE))}
    states = [state for curve in curves.values() for state in curve]
    subnets = {name: str(subnet) for state in states for name, subnet in state.subnets.items()}
    with running_filled(subnets, [each for state in states for each in state.fillings]) as service:
        _measure([(state, service) for state in states], *((1, 2) if quick else (ROUNDS, PIECES)))
    for curve in curves.values():
        for state in curve:
            _report(table, state, curve[0])
    return curves


def _one_by_one(table: Table, levels: Sequence[float]) -> list[State]:
    """A /8 at each level, a database of gigabytes, and beside each an empty one that is measured anew."""
    curve: list[State] = []
    for level in levels[1:]:
        empty, state = _states(WIDE, (levels[0], level))
        with (
            running_filled({name: str(SPACE) for name in empty.subnets}) as beside,
            running_filled({name: str(SPACE) for name in state.subnets}, state.fillings) as service,
        ):
            _measure([(empty, beside), (state, service)], ROUNDS, PIECES)
        curve += [state] if curve else [empty, state]
        _report(table, state, empty)
    return curve


def _states(prefix: int, levels: Sequence[float]) -> list[State]:
    # Each size has a part of its own of the space, so that no two pools overlap.
    pieces = list(SPACE.subnets(prefixlen_diff=1)) if prefix > WIDE else [SPACE]
    subnets = pieces[0 if prefix == SMALL else -1].subnets(new_prefix=prefix)
    pools = SMALL_POOLS if prefix == SMALL else 1
    states: list[State] = []
    for level in levels:
        if prefix == WIDE:
            named = {f"wide-{level:g}".replace(".", "-"): SPACE}
        else:
            named = {f"of-{prefix}-{len(states)}-{number}": next(subnets) for number in range(pools)}
        room = usable(next(iter(named.values())))
        free = max(round(room * (1 - level / 100)), PIECE // pools)
        states.append(State(prefix, level, named, free))
    return states


def _measure(states: Sequence[tuple[State, IpamdProcess]], rounds: int, pieces: int) -> None:
    os.sched_setaffinity(0, {LOAD_CORE})
    for cooldown in (COOLDOWN, 0):
        for state, service in states:
            for name in state.subnets:
                service.http.patch(f"/v1/pools/{name}", json={"cooldown": cooldown}).raise_for_status()
        run = _cooling if cooldown else _running
        for _ in range(rounds):
            for state, service in states:
                time.sleep(max(state.at_rest - time.monotonic(), 0))
                state.outcomes.setdefault(cooldown, []).append(run(state, service, pieces))
                state.at_rest = time.monotonic() + cooldown + AFTER_COOLDOWN
    for state, service in states:
        for filling in state.fillings:
            check_held(service, filling.pool, filling.taken)
    os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})


def _running(state: State, service: IpamdProcess, pieces: int) -> Outcome:
    """Pieces that come and go one after the other."""
    outcomes = []
    for _ in range(pieces):
        outcome, coming = _come(state, service, PIECE)
        outcomes.append(outcome)
        load.delete(service.port, coming, CONNECTIONS)
    return Outcome.together(outcomes)


def _cooling(state: State, service: IpamdProcess, pieces: int) -> Outcome:
    """Pieces that come while others cool down, and go together when no more may come."""
    free = state.free * len(state.subnets)
    cooling = min(free // 2, free - PIECE, pieces * PIECE)
    if cooling:
        load.delete(service.port, _come(state, service, cooling)[1], CONNECTIONS)
    outcomes: list[Outcome] = []
    came: list[Pod] = []
    for _ in range(min(pieces, (free - cooling) // PIECE)):
        outcome, coming = _come(state, service, PIECE)
        outcomes.append(outcome)
        came += coming
    load.delete(service.port, came, CONNECTIONS)
    return Outcome.together(outcomes)


def _come(state: State, service: IpamdProcess, number: int) -> tuple[Outcome, list[Pod]]:
    coming, names = pods(number), list(state.subnets)
    asked = [[names[place % len(names)]] for place in range(number)]
    return load.add(service.port, asked, CONNECTIONS, to=coming), coming


def _report(table: Table, state: State, empty: State) -> None:
    for cooldown in (0, COOLDOWN):
        measure = f"/{state.prefix}, {state.level:g} % full, {_kind(cooldown)}"
        if state is empty:
            table.add(Row(measure, state.rate(cooldown)))
        else:
            table.add(Row(measure, state.rate(cooldown), "empty", empty.rate(cooldown)))


def _series(curves: dict[int, list[State]]) -> list[Series]:
    return [
        Series(
            f"/{prefix}, {_kind(cooldown)}", [state.rate(cooldown).median for state in curve], cooldown > 0
        )
        for prefix, curve in curves.items()
        for cooldown in (0, COOLDOWN)
    ]


def _kind(cooldown: int) -> str:
    return "with cooldown" if cooldown else "without cooldown"
