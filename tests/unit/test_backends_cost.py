"""That a page, a search and a sum read no more where more is stored, counted in steps of SQLite's machine."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ipamd.backends.drive import run_to_end
from ipamd.backends.interface import Whose, WithRoom
from ipamd.backends.sql import migrations, statements
from ipamd.backends.sql.ledger import Reading, SqlLedger
from ipamd.backends.sql.rows import allocation_values, block_values
from ipamd.backends.sql.sqlite.connection import WRITER_SETTINGS, SqliteSession, connect
from ipamd.backends.sql.transaction import SqlTransaction
from ipamd.models.allocation import Allocation, Ending, Workload
from ipamd.models.block import new_block
from ipamd.models.identity import Owner, digest_of
from ipamd.models.node import NodeKey
from ipamd.models.query import AllocationQuery, HistoryQuery
from tests.unit.conftest import NOW, allocation, container

FEW, MANY = 200, 20_000
PAGE = 10
HERE = NodeKey("default", "node-1")


class Counting:
    """A database of some size whose steps are counted, and the SQL that it ran."""

    def __init__(self, path: Path, size: int) -> None:
        self.connection = connect(path, WRITER_SETTINGS)
        migrations.apply(self.connection)
        self.session = SqliteSession(self.connection)
        self.ledger = SqlLedger(self)
        self.steps = 0
        self.ran: list[str] = []
        fill(self.session, self.connection, size)
        self.connection.set_progress_handler(self._step, 1)
        self.connection.set_trace_callback(self.ran.append)

    def _step(self) -> int:
        self.steps += 1
        return 0

    async def read(self, reading: Reading[Any]) -> Any:
        return await reading(self.session)

    def cost(self, ask: Callable[["Counting"], Any]) -> int:
        """Steps that a question takes; it must answer something."""
        self.steps = 0
        self.ran.clear()
        assert run_to_end(ask(self))
        return self.steps

    def plan(self) -> list[str]:
        """How SQLite goes about what it ran last."""
        ran = [text for text in self.ran if text.startswith("SELECT")]
        rows = [row for text in ran for row in self.connection.execute("EXPLAIN QUERY PLAN " + text)]
        return [row[3] for row in rows]


def rows_of(number: int) -> Allocation:
    """Half of them live, half ended; most of one pool, node, network and namespace, one in ten of others."""
    rare = number % 10 == 0
    holder: Any = container(
        f"c{number}",
        node="rare" if rare else "node-1",
        cluster="rare" if rare else "default",
        network="rare" if rare else "pods",
    )
    if number % 20 == 2:
        holder = Owner("many", digest_of(str(number)))
    live = number % 4 < 2 or number % 20 == 2
    return allocation(
        str(ip_address("10.0.0.0") + number),
        holder=holder,
        pool="rare" if rare else "pods",
        workload=Workload("rare" if rare else "shop", "many" if number % 5 == 0 else f"web-{number}", None),
        since=NOW + number,
        until=None if live else NOW + number + 50,
        ending=None if live else Ending.RELEASED,
    )


def fill(session: SqliteSession, connection: sqlite3.Connection, size: int) -> None:
    connection.execute("BEGIN")
    rows = [allocation_values(rows_of(number)) for number in range(size)]
    run_to_end(session.run_many(statements.BEGIN_ALLOCATION, rows))
    past = [
        allocation_values(
            allocation(
                "10.255.0.1",
                f"past-{number}",
                since=NOW + 100 * number,
                until=NOW + 100 * number + 50,
                ending=Ending.RELEASED,
            )
        )
        for number in range(size)
    ]
    run_to_end(session.run_many(statements.BEGIN_ALLOCATION, past))
    blocks = []
    for number in range(size):
        block = new_block("pods", 64 * number, 64, (None, HERE, NodeKey("default", "other"))[number % 3])
        block.next_free_since = NOW + number if number % 2 else None
        block.last_freed = NOW + number
        blocks.append(block_values(block))
    run_to_end(session.run_many(statements.CARVE_BLOCK, blocks))
    connection.execute("COMMIT")


@contextmanager
def database(path: Path, size: int) -> Iterator[Counting]:
    counting = Counting(path, size)
    with closing(counting.connection):
        yield counting


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counting]:
    with database(tmp_path_factory.mktemp("few") / "x.sqlite", FEW) as counting:
        yield counting


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counting]:
    with database(tmp_path_factory.mktemp("many") / "x.sqlite", MANY) as counting:
        yield counting


def page(last: int | None = None, **query: Any) -> Callable[[Counting], Any]:
    return lambda counting: counting.ledger.page(AllocationQuery(**query), last, PAGE)


def history(last: int | None = None, **query: Any) -> Callable[[Counting], Any]:
    return lambda counting: counting.ledger.history(HistoryQuery(**query), last, PAGE)


def search(whose: Whose) -> Callable[[Counting], Any]:
    node = None if whose is Whose.ANYBODYS else HERE
    wanted = WithRoom("pods", whose, node, NOW + MANY, PAGE)
    return lambda counting: SqlTransaction(counting.session).lock([wanted])


QUESTIONS = {
    "page of all": page(),
    "second page of all": page(last=50),
    "page of a pool": page(pool="pods"),
    "page of a rare pool": page(pool="rare"),
    "page of a cluster": page(cluster="default"),
    "page of a rare cluster": page(cluster="rare"),
    "page of a network": page(network="pods"),
    "page of a rare network": page(network="rare"),
    "page of a node": page(node="node-1"),
    "page of a node of a cluster": page(cluster="rare", node="rare"),
    "page of a namespace": page(namespace="rare"),
    "page of a name": page(name="many"),
    "page of a workload": page(namespace="shop", name="web-1"),
    "page of a container": page(container_id="c1"),
    "page of an owner": page(owner="many"),
    "page of an address": page(address=ip_address("10.0.0.1")),
    "page of an address of a pool": page(address=ip_address("10.0.0.1"), pool="pods"),
    "page of a container of a cluster": page(container_id="c1", cluster="default", network="pods"),
    "history of all": history(),
    "second page of history": history(last=50),
    "history of an address": history(address=ip_address("10.255.0.1")),
    "second page of the history of an address": history(last=FEW + 50, address=ip_address("10.255.0.1")),
    "holder of an address at a moment": history(address=ip_address("10.255.0.1"), at=NOW + 1010),
    "history of a name": history(name="web-2"),
    "history of a workload": history(namespace="shop", name="web-2"),
    "history of a namespace": history(namespace="rare"),
    "history of all at a moment": history(at=NOW + 150),
    "history of a node": history(node="node-1"),
    "history of a node at a moment": history(node="node-1", at=NOW + 150),
    "history of a rare node of a cluster": history(cluster="rare", node="rare"),
    "history of a name of many": history(name="many"),
    "history of a cluster": history(cluster="default"),
    "history of a rare cluster": history(cluster="rare"),
    "history of all until a moment": history(after=NOW + 100, before=NOW + 150),
    "search of all blocks": search(Whose.ANYBODYS),
    "search of own blocks": search(Whose.OWN),
    "search of nobody's blocks": search(Whose.NOBODYS),
    "search of empty blocks of others": search(Whose.EMPTY_OF_OTHERS),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_page_costs_what_it_costs_where_little_is_stored(
    few: Counting, many: Counting, question: str
) -> None:
    ask = QUESTIONS[question]

    assert many.cost(ask) <= 1.5 * few.cost(ask) + 100


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_page_is_found_by_an_index_and_is_not_sorted(few: Counting, question: str) -> None:
    few.cost(QUESTIONS[question])

    plan = few.plan()

    assert plan
    for before, step in pairwise(["", *plan]):
        assert "SCAN" not in step or "USING" in step
        # Of an address one row at most is live: sorting it costs nothing.
        assert "TEMP B-TREE" not in step or "allocation_one_owner" in before


def test_usage_reads_one_index_of_blocks_and_no_allocation(many: Counting) -> None:
    many.cost(lambda counting: counting.ledger.fill(["pods"]))

    assert many.plan() == ["SEARCH block USING COVERING INDEX block_sums (pool=?)"]


def test_blocks_freed_lately_are_found_by_an_index(many: Counting) -> None:
    cost = many.cost(lambda counting: counting.ledger.blocks("pods", NOW + MANY - 10, (0, 63)))

    assert cost < 2000
    assert not [step for step in many.plan() if "SCAN" in step and "CONSTANT" not in step]
