"""Pods that come and go for a long time, so that a database has a past."""

from __future__ import annotations

import random
from typing import Final

from benchmarks import load
from benchmarks.filled import check_held, held
from benchmarks.load import Pod, pods
from tests.service import IpamdProcess

CONNECTIONS: Final = 128
PIECE: Final = 10_000
"""So many come at a time, and as many of all that live go."""


def churn(service: IpamdProcess, pool: str, pairs: int, piece: int = PIECE) -> None:
    """As many ADDs and DELs, in an order of chance; raises unless all is free again that they took."""
    before = held(service, pool)
    alive: list[Pod] = []
    for number in range(pairs // piece):
        coming = pods(piece)
        load.add(service.port, [[pool]] * piece, CONNECTIONS, to=coming)
        alive += coming
        if number:
            random.shuffle(alive)
            going, alive = alive[:piece], alive[piece:]
            load.delete(service.port, going, CONNECTIONS)
    load.delete(service.port, alive, CONNECTIONS)
    check_held(service, pool, before)
