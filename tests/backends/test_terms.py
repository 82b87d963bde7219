"""That what SQLite finds by terms is what the rows say, whatever became of them, in whatever order."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache, partial
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ipamd.backends.conformance.examples import NOW, allocation, container
from ipamd.backends.drive import run_to_end
from ipamd.backends.interface import Changes, Ended, SetBack
from ipamd.backends.sql.ledger import Reading, SqlLedger
from ipamd.backends.sql.pages import allocations
from ipamd.backends.sql.schema import ALLOCATION_COLUMNS
from ipamd.backends.sql.session import Statement
from ipamd.backends.sql.sqlite import migrating
from ipamd.backends.sql.sqlite.connection import WRITER_SETTINGS, SqliteSession, connect
from ipamd.backends.sql.sqlite.deferred_terms import ROWS_TO_A_PAGE, catch_up, merge
from ipamd.backends.sql.transaction import SqlTransaction
from ipamd.models.allocation import Allocation, Ending, Workload
from ipamd.models.identity import Identity
from ipamd.models.node import NodeKey
from ipamd.models.query import AllocationQuery, HistoryQuery
from tests.backends.matching import matches

ALL = Statement(select(*ALLOCATION_COLUMNS), ())
CLUSTERS = ("default", "east")
NODES = ("node", "node-1", "Node-1")
WORKLOADS = (
    ("ns", "pod"),
    ("ns", "pod-1"),
    ("ns-1", "pod"),
    ("ns", ""),
    (None, "pod"),
    (None, None),
    ("\u00e9", "%_."),
)
PAGE = 3

CHOICE = st.integers(0, 1_000)
KINDS = ("begin", "begin", "end", "drop", "set back", "forget", "rename", "catch up", "merge")
ACTIONS = st.lists(st.tuples(st.sampled_from(KINDS), st.lists(CHOICE, min_size=1, max_size=4)), max_size=20)


@cache
def migrated() -> bytes:
    """An empty database."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.sqlite"
        migrating.migrate(f"sqlite:///{path}", None)
        return path.read_bytes()


class Database:
    """A database of its own, and its rows as they are."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(migrated())
        self.connection = connect(path, WRITER_SETTINGS)
        self.session = SqliteSession(self.connection)
        self.ledger = SqlLedger(self, deferred=True)
        self._numbers = count()

    async def read(self, reading: Reading[Any]) -> Any:
        return await reading(self.session)

    @property
    def rows(self) -> list[Allocation]:
        found: list[Allocation] = run_to_end(allocations(self.session, ALL))
        return found

    def write(self, changes: Changes) -> None:
        self.session.whole("BEGIN IMMEDIATE", SqlTransaction(self.session).write(changes))

    def act(self, action: str, choices: list[int]) -> None:
        live = [row for row in self.rows if row.until is None]
        ended = [row for row in self.rows if row.until is not None]
        ids = {choice: live[choice % len(live)].stored_id for choice in choices} if live else {}
        match action:
            case "begin":
                self.write(Changes(begun=[self.new(choice) for choice in choices]))
            case "end":
                how = Ending.RELEASED
                self.write(Changes(ended=[Ended(row, NOW + 99, how, None, None) for row in {*ids.values()}]))
            case "drop":
                self.write(Changes(dropped=[*{*ids.values()}]))
            case "set back":
                self.write(Changes(set_back=[SetBack(row, NOW - 5, NOW + 98) for row in {*ids.values()}]))
            case "rename":  # by hand
                for row in ids.values():
                    self.connection.execute(
                        "UPDATE allocation SET node = 'node-9' WHERE id = ? AND node > ''", (row,)
                    )
            case "forget":
                for gone in ended[: len(choices)]:
                    self.connection.execute("DELETE FROM allocation WHERE id = ?", (gone.stored_id,))
            case "catch up":
                self.catch_up(1 + choices[0] % 6)
            case "merge":
                pages = 1 + choices[0] % 6
                self.session.whole("BEGIN IMMEDIATE", merge(pages * ROWS_TO_A_PAGE, self.session))

    def new(self, choice: int) -> Allocation:
        number = next(self._numbers)
        namespace, name = WORKLOADS[choice % len(WORKLOADS)]
        holder = container(f"c{number}", node=NODES[choice % len(NODES)], cluster=CLUSTERS[choice // 8 % 2])
        # The order of addresses is not that of numbers.
        address = f"10.0.{choice % 250}.{number}" if choice % 2 else f"fd00::{choice % 250}:{number}"
        since = NOW + number // 3
        return allocation(address, holder=holder, workload=Workload(namespace, name, None), since=since)

    def catch_up(self, most: int) -> int:
        return self.session.whole("BEGIN IMMEDIATE", catch_up(most, self.session))


def lists(database: Database) -> Iterator[tuple[Any, list[Allocation], list[Allocation]]]:
    """Every list by terms: as it is read, page by page, and as it should be."""
    rows = database.rows
    filters: list[dict[str, Any]] = [{"node": node} for node in (*NODES, "node-9")]
    filters += [{"node": node, "cluster": cluster} for node in NODES for cluster in CLUSTERS]
    filters += [{"namespace": namespace} for namespace in ("ns", "ns-1", "\u00e9")]
    filters += [{"namespace": "ns", "name": "pod-1"}, {"name": "pod"}, {"node": "node", "namespace": "ns"}]
    for each in filters:
        meant = [row for row in rows if matches(row, each)]
        query = AllocationQuery(**each)
        living = sorted((row for row in meant if row.until is None), key=query.place)
        yield query, pages(partial(database.ledger.page, query)), living
        for before in (None, NOW + 1):
            past = HistoryQuery(**each, before=before)
            begun = [row for row in meant if before is None or row.since <= before]
            latest = sorted(begun, key=lambda row: (row.since, row.stored_id), reverse=True)
            yield past, pages(partial(database.ledger.history, past)), latest


def pages(ask: Callable[[int | None, int], Any]) -> list[Allocation]:
    found: list[Allocation] = []
    while page := run_to_end(ask(found[-1].stored_id if found else None, PAGE)):
        found += page
    return found


def held(database: Database) -> dict[NodeKey, int]:
    """How many addresses each node holds, as ipamd counts them."""
    nodes = [NodeKey(cluster, node) for node in NODES for cluster in CLUSTERS]
    found = run_to_end(database.ledger.holdings(nodes, [], 100))
    return {node: each.addresses for node, each in found.items()}


def entries(database: Database) -> set[tuple[int, str]]:
    """Which terms, by their letters, the entries have."""
    return set(database.connection.execute("SELECT doc, substr(term, 1, 1) FROM listing_term"))


def expected_entries(row: Allocation) -> Iterator[tuple[int, str]]:
    named, number = row.workload.name is not None or row.workload.namespace is not None, 2 * row.stored_id
    yield from [(number, "c")] + [(number, "d")] * named
    if row.until is None:
        yield from [(number + 1, "a")] + [(number + 1, "b")] * (row.workload.namespace is not None)


@settings(max_examples=40, deadline=None)
@given(actions=ACTIONS)
def test_lists_by_terms_are_what_the_rows_say(actions: list[tuple[str, list[int]]]) -> None:
    with TemporaryDirectory() as folder:
        database = Database(Path(folder) / "x.sqlite")
        with closing(database.connection):
            for action in actions:
                database.act(*action)

            for asked, found, expected in lists(database):
                assert found == expected, asked
            holders = [row.holder for row in database.rows if row.until is None]
            counted = Counter(holder.node_key for holder in holders if isinstance(holder, Identity))
            assert held(database) == {node: each for node, each in counted.items() if node.name in NODES}

            while database.catch_up(3):
                pass
            assert entries(database) == set(chain(*map(expected_entries, database.rows)))
