"""Waiters: allocations by REST that wait for room, in one line over all replicas."""

from __future__ import annotations

from dataclasses import dataclass

from ipamd.models.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """One that waits. Its number is its place: who came first has the lowest.

    `lacks` names what it waits for, as `engine/allocation/line` names it, and `pools` from which pools it may
    be served. `beat` is a number that its replica raises for as long as it lives. `number` is 0 until it
    stands in the line.
    """

    replica: str
    owner: str
    pools: tuple[str, ...]
    lacks: tuple[str, ...]
    since: Instant
    until: Instant
    beat: int = 0
    number: int = 0
