"""That a page, a search and a sum read no more where more is stored, counted in steps of SQLite's machine."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ipamd.backends.conformance.examples import NOW, SEAT, allocation, change_of, container
from ipamd.backends.drive import run_to_end
from ipamd.backends.interface import (
    BlockId,
    BlockOwner,
    BlocksWithFree,
    Changes,
    RememberedRelease,
    RowPosition,
    Undone,
)
from ipamd.backends.sql import change_log, leasing, listing, statements
from ipamd.backends.sql.allocation_rows import allocation_values
from ipamd.backends.sql.announcing import announce
from ipamd.backends.sql.audit import SqlAudit
from ipamd.backends.sql.change_log import entry_values
from ipamd.backends.sql.forgetting import next_piece
from ipamd.backends.sql.lease_rows import seat_values
from ipamd.backends.sql.ledger import Reading, SqlLedger
from ipamd.backends.sql.pool_rows import pool_values
from ipamd.backends.sql.record import record_of
from ipamd.backends.sql.rows import block_values, release_values
from ipamd.backends.sql.schema import BLOCK
from ipamd.backends.sql.sqlite import migrating
from ipamd.backends.sql.sqlite.connection import WRITER_SETTINGS, SqliteSession, connect
from ipamd.backends.sql.sqlite.deferred_terms import catch_up
from ipamd.backends.sql.transaction import SqlTransaction
from ipamd.models.allocation import Allocation, Ending, Idempotency, SeatPosition, Workload
from ipamd.models.block import HELD, Block, new_block
from ipamd.models.catalogue import Snapshot
from ipamd.models.change_log import LogEntry, LogKind, LogQuery
from ipamd.models.identity import Identity, Owner, digest_of
from ipamd.models.issued import CallOrder
from ipamd.models.lease import SeatKey, seat_owner
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind
from ipamd.models.pool import Affinity, Pool
from ipamd.models.query import AllocationQuery, HistoryQuery

FEW, MANY = 200, 20_000
PAGE = 10
HERE, THERE = NodeKey("default", "node-1"), NodeKey("default", "node-2")


class Counting:
    """A database of some size whose steps are counted, and the SQL that it ran."""

    def __init__(self, path: Path, size: int) -> None:
        self.connection = connect(path, WRITER_SETTINGS)
        migrating.apply(self.connection)
        self.session = SqliteSession(self.connection)
        self.ledger = SqlLedger(self, deferred=True)
        self.size = size
        self.steps = 0
        self.ran: list[str] = []
        self.last_moment = once_held(size - 1).since
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
        ran = [text for text in self.ran if text.startswith(("SELECT", "WITH"))]
        rows = [row for text in ran for row in self.connection.execute("EXPLAIN QUERY PLAN " + text)]
        return [row[3] for row in rows]


SUBNETS = {of: ip_network(f"10.{number}.0.0/16") for number, of in enumerate(("early", "most", "late"))}
STEPS_OF_A_ROW = 80
RARE = 20
"""So many rows are of a name of their own at each end of time, whatever the size of the rest."""


def now_held(number: int, size: int) -> Allocation:
    """A live row: the first are `early`, the last are `late` in all that lists filter by."""
    of = "early" if number < RARE else "late" if number >= size - RARE else "most"
    holder: Any = container(f"{of}-container", node=of, cluster=of, network=of)
    holder = structs.replace(holder, ifname=f"eth{number}")
    if number % 2:
        holder = Owner(of, digest_of(str(number)))
    if number % 4 == 3:
        holder = seat_owner(SeatKey(NodeKey(of, of), number))
    return allocation(
        str(SUBNETS[of][0] + number),
        holder=holder,
        pool=of,
        workload=Workload(of, of, None),
        since=NOW + number,
        idempotency=Idempotency(f"key-{number}", b"body") if number % 2 else None,
        seat=SeatPosition(number, 0) if number % 4 in (0, 3) else None,
    )


def once_held(number: int) -> Allocation:
    """An ended row, begun before all that live; the first are `gone`, all others of one address and name."""
    of = "gone" if number < RARE else "past"
    return allocation(
        "10.255.0.2" if number < RARE else "10.255.0.1",
        holder=container(f"{of}-{number}", node=of, cluster="most" if of == "past" else of, network=of),
        workload=Workload(of, of, None),
        since=NOW - 10_000_000 + 100 * number,
        until=NOW - 10_000_000 + 100 * number + 50,
        ending=Ending.RELEASED,
    )


def block(number: int, size: int) -> Block:
    """The last, which wait longest, are of one kind each; the others are full, or of others and in use."""
    kinds = ((None, 1), (HERE, 1), (THERE, 0), (THERE, 1))
    node, allocated = kinds[number % 4] if number >= size - 4 * RARE else (THERE, 1)
    made = new_block("pods", 64 * number, 64, node)
    made.allocated, made.last_freed = allocated, NOW + number
    made.next_free_since = NOW + number if number >= size - 4 * RARE or number % 2 else None
    return made


def fill(session: SqliteSession, connection: sqlite3.Connection, size: int) -> None:
    connection.execute("BEGIN")
    held = [allocation_values(now_held(number, size)) for number in range(size)]
    past = [allocation_values(once_held(number)) for number in range(size)]
    run_to_end(session.run_many(statements.BEGIN_ALLOCATION, past))
    run_to_end(session.run_many(statements.BEGIN_ALLOCATION, held[:-RARE]))
    while run_to_end(catch_up(size, session)):
        pass
    # What came last waits for its terms, as it does at any moment.
    run_to_end(session.run_many(statements.BEGIN_ALLOCATION, held[-RARE:]))
    for name, subnet in SUBNETS.items():
        pool = Pool(name=name, subnet=subnet, block_length=26)
        run_to_end(session.run(statements.SAVE_POOL, *pool_values(pool)))
    releases = [
        RememberedRelease(digest_of(str(number)), CallOrder(1, 1), False, NOW) for number in range(size)
    ]
    undos = [RememberedRelease(digest_of(str(number)), CallOrder(1, 2), True, NOW) for number in range(size)]
    run_to_end(session.run_many(statements.REMEMBER_RELEASE, [release_values(each) for each in releases]))
    run_to_end(session.run_many(statements.REMEMBER_UNDO, [release_values(each) for each in undos]))
    seats = [structs.replace(SEAT, number=number, is_recalled=number < PAGE) for number in range(size)]
    run_to_end(session.run_many(leasing.SAVE_SEAT, [seat_values(each) for each in seats]))
    blocks = [block_values(block(number, size)) for number in range(size)]
    run_to_end(session.run_many(statements.CARVE_BLOCK, blocks))
    run_to_end(
        session.run_many(change_log.NOTE, [entry_values(changed(number, size)) for number in range(size)])
    )
    connection.execute("COMMIT")


def changed(number: int, size: int) -> LogEntry:
    """A change: the first and the last are of a name, a kind and by somebody of their own."""
    of = "early" if number < RARE else "late" if number >= size - RARE else "most"
    kind = {"early": LogKind.NETWORK, "most": LogKind.POOL, "late": LogKind.NODE}[of]
    return change_of(of, NOW + number, f"{of} (token {number % 3})", kind=kind)


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


def page(*, last: Any = None, **query: Any) -> Callable[[Counting], Any]:
    return lambda counting: counting.ledger.page(AllocationQuery(**query), last, PAGE)


def history(*, last: Any = None, **query: Any) -> Callable[[Counting], Any]:
    return lambda counting: counting.ledger.history(HistoryQuery(**query), last, PAGE)


def log(*, last: int | None = None, **query: Any) -> Callable[[Counting], Any]:
    return lambda counting: counting.ledger.log(LogQuery(**query), last, PAGE)


def page_of(filtered: str, value: Any) -> Callable[[Counting], Any]:
    return page(**{filtered: value})


def history_of(filtered: str, value: Any) -> Callable[[Counting], Any]:
    return history(**{filtered: value})


def search(owner: BlockOwner) -> Callable[[Counting], Any]:
    node = None if owner is BlockOwner.ANY else HERE
    wanted = BlocksWithFree("pods", owner, node, NOW + MANY, PAGE)
    return lambda counting: SqlTransaction(counting.session).lock([wanted])


FILTERS = ("pool", "node", "namespace", "owner")
HISTORY_FILTERS = ("node", "name")
PAST, HELD_NOW = ip_address("10.255.0.1"), ip_address("10.0.0.1")
BETWEEN_TERMS = "SCAN listing_term VIRTUAL TABLE INDEX 6:"
"""Both bounds are FTS5's own (FTS5VOCAB_TERM_GE and FTS5VOCAB_TERM_LE)."""

QUESTIONS: dict[str, Callable[[Counting], Any]] = {
    "page of all": page(),
    "second page of all": lambda counting: page(last=counting.size + 50)(counting),
    **{f"page of a common {name}": page_of(name, "most") for name in FILTERS},
    **{f"page of a rare {name}": page_of(name, "late") for name in FILTERS},
    "page of a name": page(name="late"),
    "page of a container": page(container_id="late-container"),
    "page of a node of a cluster": page(cluster="late", node="late"),
    "page of a workload": page(namespace="late", name="late"),
    "page of an address": page(address=ip_address("10.0.0.1")),
    "page of a node of a pool": page(node="late", pool="late"),
    "page of an address of a pool": page(address=ip_address("10.0.0.1"), pool="early"),
    "page of a container of a cluster": page(container_id="late-container", cluster="late"),
    "history of all": history(),
    "second page of history": history(last=FEW + 50),
    "history of all at a moment": history(at=NOW + 150),
    "history of all between two moments": history(after=NOW + 100, before=NOW + 150),
    "history of an address": history(address=PAST),
    "history of a rare address": history(address=ip_address("10.255.0.2")),
    "history of an address that is held": history(address=HELD_NOW),
    "holder of an address that is held": history(address=HELD_NOW, at=NOW + 100),
    "who had an address between two moments": history(
        address=PAST, after=NOW - 10_000_000 + 100 * 100, before=NOW - 10_000_000 + 100 * 105
    ),
    "second page of the history of an address": history(last=50, address=PAST),
    "holder of an address at a moment": history(address=PAST, at=NOW - 10_000_000 + 100 * 100 + 10),
    "holder of an address late": lambda counting: history(address=PAST, at=counting.last_moment)(counting),
    **{f"history of a {name}": history_of(name, "most") for name in HISTORY_FILTERS},
    **{f"past of a {name}": history_of(name, "past") for name in HISTORY_FILTERS},
    **{f"history of a rare {name}": history_of(name, "early") for name in HISTORY_FILTERS},
    **{f"history of a gone {name}": history_of(name, "gone") for name in HISTORY_FILTERS},
    "history of a workload": history(namespace="early", name="early"),
    "history of a node of a cluster": history(cluster="early", node="early"),
    "history of a node at a moment": history(node="most", at=NOW + 150),
    "second page of the log": log(last=50),
    **{f"log of a {of} name": log(name=of) for of in ("early", "most", "gone")},
    **{f"log of {of} tokens": log(by=of) for of in ("early", "most", "gone")},
    **{f"log of a {of} token": log(by=f"{of} (token 1)") for of in ("early", "most", "gone")},
    **{f"log of a kind, {kind}": log(kind=kind) for kind in (LogKind.NETWORK, LogKind.POOL, LogKind.TOKEN)},
    "what a holder has": lambda counting: counting.ledger.held_by(digest_of("1")),
    "what a batch asks of holders": lambda counting: SqlTransaction(counting.session).find(
        [digest_of(str(number)) for number in range(PAGE)]
    ),
    "row of an idempotency key": lambda counting: counting.ledger.by_idempotency_key("key-1"),
    "whose seats are of a rare pool": lambda counting: counting.ledger.seat_counts(["late"]),
    "seats that are recalled": lambda counting: counting.ledger.recalled_seats(),
    "search of all blocks": search(BlockOwner.ANY),
    "search of own blocks": search(BlockOwner.OWN),
    "search of nobody's blocks": search(BlockOwner.NONE),
    "search of empty blocks of others": search(BlockOwner.OTHER_WHILE_EMPTY),
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
    # Where a page goes on is read once.
    plan = [step for step in plan if "there" not in step and "SCALAR SUBQUERY" not in step]
    for before, step in pairwise(["", *plan]):
        assert "SCAN" not in step or "USING" in step or step in (BETWEEN_TERMS, "SCAN listing_reached")
        # Of an address three rows at most are live, and few prefixes are around it. Of a container and of a
        # name there are few, and few wait for terms: sorting them costs nothing. What is sorted to the right
        # has the same address.
        of_few = ("allocation_one_", "allocation_of_prefix", "SCAN listing_reached")
        is_cheap = (
            "RIGHT PART" in step or question == "page of a name" or any(these in before for these in of_few)
        )
        assert "TEMP B-TREE" not in step or is_cheap


@pytest.mark.parametrize(
    "query",
    [
        {"before": NOW + RARE},
        {"by": "early", "kind": LogKind.POOL},
        {"name": "most", "by": "early"},
        {"kind": LogKind.POOL, "after": NOW + MANY},
        {"but_not": LogKind.POOL, "before": NOW + MANY - RARE},
    ],
)
def test_a_filter_that_no_index_serves_reads_so_much_for_a_page_and_goes_on(
    many: Counting, query: dict[str, Any]
) -> None:
    entries = [changed(number, MANY) for number in reversed(range(MANY))]
    expected = [entry for entry in entries if LogQuery(**query).matches(entry)]
    found: list[LogEntry] = []
    following: int | None = None
    for _ in range(2 + MANY // change_log.READ_AT_ONCE + len(expected) // PAGE):
        cost = many.cost(log(last=following, **query))
        page = run_to_end(log(last=following, **query)(many))
        assert cost < 40 * change_log.READ_AT_ONCE
        found += page.entries
        following = page.next
        if following is None:
            break

    assert following is None
    assert [replace(entry, id=None) for entry in found] == expected


def test_a_page_of_the_log_that_its_first_entries_fill_reads_no_more(many: Counting) -> None:
    ask = log(kind=LogKind.POOL, after=NOW)
    cost = many.cost(ask)

    assert len(run_to_end(ask(many)).entries) == PAGE
    assert cost < 3 * STEPS_OF_A_ROW * PAGE


LIVING = [now_held(number, MANY) for number in range(MANY)]


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ({"cluster": "late"}, lambda row: row.cluster == "late"),
        ({"network": "early"}, lambda row: row.network == "early"),
        ({"node": "most", "network": "late"}, lambda row: False),
        ({"namespace": "most", "name": "most", "cluster": "nowhere"}, lambda row: False),
        ({"owner": "most", "pool": "late"}, lambda row: False),
        ({"pool": "most", "owner": "late"}, lambda row: False),
    ],
)
def test_a_page_compares_so_many_rows_and_goes_on(
    many: Counting, query: dict[str, Any], matches: Callable[[Any], bool]
) -> None:
    expected = [row.address for row in LIVING if isinstance(row.holder, Identity) and matches(row.holder)]

    found = read_through(many, lambda last: many.ledger.bounded_page(AllocationQuery(**query), last, PAGE))

    assert [row.address for row in found] == expected


@pytest.mark.parametrize(
    "ask",
    [
        lambda ledger: ledger.bounded_page(AllocationQuery(pool="most", cluster="most"), None, PAGE),
        lambda ledger: ledger.bounded_page(AllocationQuery(node="most", network="most"), None, PAGE),
        lambda ledger: ledger.bounded_page(AllocationQuery(owner="most", pool="most"), None, PAGE),
        lambda ledger: ledger.bounded_history(HistoryQuery(node="past", cluster="most"), None, PAGE),
        lambda ledger: ledger.bounded_history(HistoryQuery(namespace="most"), None, PAGE),
    ],
)
def test_a_page_that_its_first_rows_fill_reads_no_more(many: Counting, ask: Callable[[Any], Any]) -> None:
    many.steps = 0
    page = run_to_end(ask(many.ledger))

    assert len(page.rows) == PAGE and page.next is not None
    assert many.steps < 3 * STEPS_OF_A_ROW * PAGE


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"namespace": "gone"}, RARE),
        ({"cluster": "gone"}, RARE),
        ({"node": "past", "cluster": "gone"}, 0),
        ({"address": PAST, "namespace": "gone"}, 0),
        ({"at": NOW - 10_000_000 + 10}, 1),
        ({"after": NOW - 10_000_000 + 10, "before": NOW - 10_000_000 + 510}, 6),
    ],
)
def test_a_page_of_history_compares_so_many_rows_and_goes_on(
    many: Counting, query: dict[str, Any], expected: int
) -> None:
    found = read_through(many, lambda last: many.ledger.bounded_history(HistoryQuery(**query), last, PAGE))

    assert len(found) == expected
    assert [row.since for row in found] == sorted((row.since for row in found), reverse=True)


def read_through(counting: Counting, ask: Callable[[int | None], Any]) -> list[Allocation]:
    """All pages of a list. Each reads a bounded number of rows."""
    found: list[Allocation] = []
    last: int | None = None
    pages = 0
    while pages == 0 or last is not None:
        counting.steps = 0
        page = run_to_end(ask(last))
        assert counting.steps < STEPS_OF_A_ROW * listing.READ_AT_ONCE
        found += page.rows
        last, pages = page.next, pages + 1
    assert pages <= 2 + 2 * counting.size // listing.READ_AT_ONCE + len(found) // PAGE
    return found


@pytest.mark.parametrize(
    "sums",
    [
        lambda counting: counting.ledger.fill(["pods"]),
        lambda counting: counting.ledger.allocated_in("pods", [(0, 63), (64, 127)]),
    ],
)
def test_sums_read_indexes_of_blocks_alone(many: Counting, sums: Callable[[Counting], Any]) -> None:
    many.cost(sums)

    found = [step for step in many.plan() if "block" in step or "allocation" in step]
    assert found
    assert [step for step in found if not step.startswith("SEARCH block USING COVERING INDEX block_")] == []


def test_blocks_freed_lately_are_found_by_an_index(many: Counting) -> None:
    cost = many.cost(lambda counting: counting.ledger.blocks("pods", NOW + MANY - 10, (0, 63)))

    assert cost < 2000
    assert not [step for step in many.plan() if "SCAN" in step and "CONSTANT" not in step]


def test_a_batch_names_of_a_block_only_what_it_changed(few: Counting) -> None:
    """SQLite writes each index of a column that a statement names."""

    async def take() -> Undone[None] | None:
        transaction = SqlTransaction(few.session)
        [locked] = await transaction.lock([BlocksWithFree("pods", BlockOwner.ANY, None, NOW + MANY, 1)])
        [taken_from] = locked.blocks
        taken_from.free_since[0] = HELD
        taken_from.allocated += 1
        await transaction.write(Changes(blocks=[taken_from]))
        return Undone(None)

    few.ran.clear()
    few.session.whole("BEGIN IMMEDIATE", take())

    [update] = [text for text in few.ran if text.startswith("UPDATE block")]
    named = update.partition("SET ")[2].partition(" WHERE")[0]
    assert [one.name for one in BLOCK.columns if f"{one.name}=" in named] == ["free_since", "allocated"]


PAST_POOL = Pool(name="pods", subnet=ip_network("10.255.0.0/24"), block_length=26)

PORTIONS: dict[str, Callable[[Counting], Any]] = {
    "what is said of a block of which one address had thousands of holders": lambda counting: record_of(
        counting.session, PAST_POOL, int(PAST_POOL.subnet[0])
    ),
    "blocks, the first of them": lambda counting: SqlAudit(counting).blocks(None, PAGE),
    "blocks, some in the middle": lambda counting: SqlAudit(counting).blocks(BlockId("pods", 64), PAGE),
    "rows, the first of them": lambda counting: SqlAudit(counting).rows(None, PAGE),
    "rows, some in the middle": lambda counting: SqlAudit(counting).rows(
        RowPosition("default", PAST.packed, NOW - 9_000_000, 0), PAGE
    ),
    "rows that are old": lambda counting: next_piece(counting.session, NOW, 0),
}


@pytest.mark.parametrize("portion", PORTIONS)
def test_a_portion_of_a_check_or_of_pruning_costs_what_it_costs_where_little_is_stored(
    few: Counting, many: Counting, portion: str
) -> None:
    ask = PORTIONS[portion]
    spread = 5 if portion == "rows that are old" else 1  # looks at a thousand rows, and there are 400

    assert many.cost(ask) <= 1.5 * spread * few.cost(ask) + 100
    tables = ("SCAN allocation", "SCAN there", "SCAN past", "SCAN block")
    assert [step for step in many.plan() if step.startswith(tables)] == []


def test_an_address_that_is_taken_is_no_entry_of_the_index_of_those_who_had_it(few: Counting) -> None:
    """On a page of its own such an entry would cost each ADD a page."""
    by_index = "SELECT id FROM allocation INDEXED BY allocation_of_address"

    assert len(few.connection.execute(f"{by_index} WHERE until IS NOT NULL").fetchall()) == FEW
    with pytest.raises(sqlite3.OperationalError, match="no query solution"):
        few.connection.execute(by_index)


ANNOUNCED_POOL = Pool(name="pods", subnet=ip_network("10.0.0.0/8"), block_length=26, affinity=Affinity.NODE)


def test_what_has_changed_of_a_node_costs_what_it_costs_where_few_have_blocks(
    few: Counting, many: Counting
) -> None:
    async def ask(counting: Counting) -> Any:
        await announce(counting.session, {Announced("default", AnnouncedKind.NODE, "gone")})
        known = Snapshot(pools={"pods": ANNOUNCED_POOL})
        return await counting.ledger.pod_network("default", known, 0)

    assert many.cost(ask) <= 1.5 * few.cost(ask) + 100
    plan = many.plan()
    assert "SEARCH block USING COVERING INDEX block_room_node (pool=? AND cluster=? AND node=?)" in plan
    assert [step for step in plan if "SCAN" in step] == ["SCAN catalogue"]
