"""A service whose database was filled in bulk while it was away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.fill import Filling, fill_sqlite
from benchmarks.load import create_pools
from benchmarks.pinning import running_ipamd, start
from tests.service import IpamdProcess


@contextmanager
def running_filled(
    pools: Mapping[str, str], fillings: Sequence[Filling] = (), *, pinned: bool = True, **fields: Any
) -> Iterator[IpamdProcess]:
    """Serve pools by name and subnet from SQLite, some of their addresses taken; without cooldown."""
    with running_ipamd(pinned=pinned) as service:
        create_pools(service.port, pools, **fields)
        if fillings:
            service.stop()
            fill_sqlite(service.database, fillings)
            start(service, pinned=pinned)
        for filling in fillings:
            check_held(service, filling.pool, filling.taken)
        yield service


def held(service: IpamdProcess, pool: str) -> int:
    """How many addresses of a pool somebody has, by its own account."""
    answer = service.http.get(f"/v1/pools/{pool}/usage")
    allocated: int = answer.raise_for_status().json()["allocated"]
    return allocated


def check_held(service: IpamdProcess, pool: str, expected: int) -> None:
    """Raise if an address was lost, or is still held that was given back."""
    found = held(service, pool)
    assert found == expected, f"pool {pool} holds {found} addresses, not {expected}"
