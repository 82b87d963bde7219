"""What clients were told, kept by themselves, and what the tables say, read by plain SQL."""

import sqlite3
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

HELD = (1 << 63) - 1  # in a block's column free_since: this address is allocated


@dataclass
class Holding:
    """A container was told addresses at `told`; from `given_up`, when its DEL left, they may be anybody's.

    It is `new` where the container surely held nothing before: then it has rows of its own.
    """

    container: str
    addresses: tuple[str, ...]
    told: float
    new: bool
    given_up: float | None = None


class Ledger:
    """One client's own record of its containers: what each was told last, and what it was told ever."""

    def __init__(self) -> None:
        self.holdings: list[Holding] = []
        self.held: dict[str, Holding] = {}
        self.doubtful: set[str] = set()
        self.answered = 0

    def granted(self, container: str, addresses: tuple[str, ...]) -> None:
        """An ADD was answered; a living container must be told what it was told before."""
        self.answered += 1
        new = container not in self.doubtful
        self.doubtful.discard(container)
        known = self.held.get(container)
        if known is not None:
            assert addresses == known.addresses, f"{container} had {known.addresses} and is told {addresses}"
            return
        holding = Holding(container, addresses, time.monotonic(), new)
        self.held[container] = holding
        self.holdings.append(holding)

    def giving_up(self, container: str) -> None:
        """A DEL is about to be sent: from now on nobody counts on the addresses."""
        holding = self.held.pop(container, None)
        if holding is not None:
            holding.given_up = time.monotonic()

    def released(self, container: str) -> None:
        """A DEL was answered."""
        self.answered += 1
        self.doubtful.discard(container)

    def refused(self, container: str) -> None:
        """An ADD was refused: it took nothing."""
        self.answered += 1
        self.doubtful.discard(container)

    def unanswered(self, container: str) -> None:
        """A call got no answer: unless the container is known to live, nobody knows what it has."""
        if container not in self.held:
            self.doubtful.add(container)


def told_twice(ledgers: Iterable[Ledger]) -> list[tuple[Holding, Holding]]:
    """Pairs of holdings that were told of one address at one time."""
    by_address: dict[str, list[Holding]] = defaultdict(list)
    for ledger in ledgers:
        for holding in ledger.holdings:
            for address in holding.addresses:
                by_address[address].append(holding)
    clashes = []
    for holdings in by_address.values():
        holdings.sort(key=lambda holding: holding.told)
        for earlier, later in pairwise(holdings):
            if earlier.given_up is None or earlier.given_up > later.told:
                clashes.append((earlier, later))
    return clashes


class Tables:
    """A database file, read as an auditor would: by SQL, without ipamd's code."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            return connection.execute(statement, values).fetchall()

    def live(self) -> dict[str, tuple[str, ...]]:
        """The containers that hold addresses now."""
        found: dict[str, list[str]] = defaultdict(list)
        for container, address in self.rows(
            "SELECT container_id, address FROM allocation WHERE until IS NULL ORDER BY container_id, position"
        ):
            found[str(container)].append(_shown(address))
        return {container: tuple(addresses) for container, addresses in found.items()}

    def overlapping(self) -> list[tuple[object, ...]]:
        """Rows of one address of which the later began before the earlier had ended."""
        return self.rows(
            """SELECT * FROM (
                 SELECT id, space, hex(address), since, LAG(id) OVER one_address,
                   LAG(COALESCE(until, 9223372036854775807)) OVER one_address AS before
                 FROM allocation WINDOW one_address AS (PARTITION BY space, address ORDER BY since, id)
               ) AS following WHERE before > since"""
        )

    def ever(self) -> Counter[tuple[str, str]]:
        """How often each container has had each address, ended times and living ones."""
        return Counter(
            (str(container), _shown(address))
            for container, address in self.rows("SELECT container_id, address FROM allocation")
        )

    def held_by_blocks(self) -> set[str]:
        """The addresses that blocks say are allocated; their own counts must agree."""
        held = set()
        for first, free_since, allocated, family in self.rows(
            """SELECT first, free_since, allocated, CASE WHEN instr(subnet, ':') THEN 6 ELSE 4 END
               FROM block JOIN pool ON pool.name = block.pool"""
        ):
            assert isinstance(first, bytes)
            assert isinstance(free_since, bytes)
            since = struct.unpack(f"<{len(free_since) // 8}q", free_since)
            number = int.from_bytes(first, "big")
            taken = [number + place for place, moment in enumerate(since) if moment == HELD]
            assert len(taken) == allocated, (number, allocated, taken)
            held |= {_shown(value.to_bytes(4 if family == 4 else 16, "big")) for value in taken}
        return held


def compare(ledgers: Iterable[Ledger], tables: Tables) -> None:
    """Raise unless the tables say what every client was told, and nothing else."""
    ledgers = list(ledgers)
    assert told_twice(ledgers) == []
    assert not any(ledger.doubtful for ledger in ledgers), "a client has not settled what it doubts"
    told = {name: holding.addresses for ledger in ledgers for name, holding in ledger.held.items()}
    live = tables.live()
    assert live == told
    assert tables.overlapping() == []
    ever_told = Counter(
        (holding.container, address)
        for ledger in ledgers
        for holding in ledger.holdings
        if holding.new
        for address in holding.addresses
    )
    assert ever_told - tables.ever() == Counter(), "a holding that was told is not in the history"
    assert tables.held_by_blocks() == {address for addresses in live.values() for address in addresses}


def _shown(packed: object) -> str:
    assert isinstance(packed, bytes)
    return str(ip_address(packed))
