"""A service that keeps as much as the largest installations: pools, reservations, nodes, allocations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from typing import Any, Final

from benchmarks.copied import copy_to_postgres
from benchmarks.fill import BLOCK_SIZE, Filling, fill_sqlite, full_blocks
from benchmarks.fill_postgres import fill_postgres
from benchmarks.filled import check_held
from benchmarks.followers import publish
from benchmarks.pinning import running_ipamd
from tests.service import IpamdProcess

WIDE: Final = "wide"
WIDE_SUBNET: Final = IPv4Network("10.0.0.0/8")
SMALL: Final = IPv4Network("11.0.0.0/8")
SMALL_LENGTH: Final = 22
NODES: Final = {"name": "to-nodes", "subnet": "12.0.0.0/8", "affinity": "node"}
AT_ONCE: Final = 5_000
"""So many entries are applied in one change."""


@dataclass(frozen=True)
class Population:
    """How many there are. Half of the addresses are in one /8, the others in /22."""

    pools: int
    reservations: int
    addresses: int
    nodes: int

    @property
    def of_a_node(self) -> float:
        """How many of the addresses each node has."""
        return self.addresses / self.nodes

    @property
    def small(self) -> list[str]:
        """The names of the /22."""
        return [f"small-{number:05}" for number in range(self.pools)]

    def pool_documents(self) -> list[dict[str, Any]]:
        """The /8, and the /22."""
        subnets = islice(SMALL.subnets(new_prefix=SMALL_LENGTH), self.pools)
        small = zip(self.small, subnets, strict=True)
        return [
            {"name": WIDE, "subnet": str(WIDE_SUBNET)},
            *({"name": name, "subnet": str(subnet)} for name, subnet in small),
        ]

    def reservation_documents(self) -> Iterator[dict[str, Any]]:
        """Single addresses: a hundredth all over the /8, the others in the last quarter of each /22."""
        wide = self.reservations // 100
        step = WIDE_SUBNET.num_addresses // wide
        for number in range(wide):
            yield _reservation(int(WIDE_SUBNET[0]) + number * step + step - 2, number)
        each = (self.reservations - wide) // self.pools
        for pool, subnet in enumerate(islice(SMALL.subnets(new_prefix=SMALL_LENGTH), self.pools)):
            for number in range(each):
                yield _reservation(int(subnet[768 + 2 * number]), wide + pool * each + number)

    def fillings(self) -> Iterator[Filling]:
        """Who has addresses: the first half of the /8 block after block, and of each /22 a part."""
        half = self.addresses // 2
        yield full_blocks(WIDE, int(WIDE_SUBNET[0]) + BLOCK_SIZE, half)
        each = half // self.pools // BLOCK_SIZE * BLOCK_SIZE
        for name, subnet in zip(
            self.small, islice(SMALL.subnets(new_prefix=SMALL_LENGTH), self.pools), strict=True
        ):
            yield full_blocks(name, int(subnet[0]) + BLOCK_SIZE, each)


def _reservation(address: int, number: int) -> dict[str, Any]:
    return {"address": str(IPv4Address(address)), "owner": f"kept-{number}"}


QUOTA: Final = {"name": "team-1", "limit": 50, "namespaces": ["team-1"]}
HOLD: Final = {
    "name": "team-1",
    "size": 1,
    "seconds": 86_400,
    "pool": NODES["name"],
    "namespaces": ["team-1"],
}


@contextmanager
def running_populated(population: Population, database_url: str | None = None) -> Iterator[IpamdProcess]:
    """A service on one core, with all of them in its database."""
    with running_ipamd(pinned=False) as service:
        service.create_pool(**NODES)
        publish(service, population.nodes)
        _apply(service, "pools", population.pool_documents())
        _apply(service, "reservations", list(population.reservation_documents()))
        _apply(service, "quotas", [QUOTA])
        service.http.post("/v1/holds", json=HOLD).raise_for_status()
        service.stop()
        if database_url is None:
            fill_sqlite(service.database, population.fillings(), past=True, nodes=population.nodes)
            service.start()
            check_held(service, WIDE, next(population.fillings()).taken)
            yield service
            return
        copy_to_postgres(service.database, database_url)
    fill_postgres(database_url, population.fillings(), past=True, nodes=population.nodes)
    with running_ipamd(database_url, pinned=False) as service:
        check_held(service, WIDE, next(population.fillings()).taken)
        yield service


def _apply(service: IpamdProcess, kind: str, documents: list[dict[str, Any]]) -> None:
    for begin in range(0, len(documents), AT_ONCE):
        body = {kind: documents[begin : begin + AT_ONCE]}
        answer = service.http.post("/v1/apply", json=body, timeout=600)
        assert answer.is_success, answer.text[:1000]
