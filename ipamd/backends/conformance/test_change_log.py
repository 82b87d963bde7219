"""The change log: it is read as it was written, page by page, and its old part can be dropped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ipamd.backends.conformance.examples import NOW, change_of, log
from ipamd.backends.interface import Backend, CatalogueChange
from ipamd.models.change_log import LogEntry, LogKind, LogQuery

pytestmark = pytest.mark.asyncio

ANN, ANNA, BEN = "ann (token 2)", "anna (token 3)", "ben % _"
CHANGES = [
    change_of("pods", NOW + 1, ANN),
    change_of("10.0.0.7", NOW + 2, BEN, kind=LogKind.RESERVATION, before={"owner": "vm-1"}, after=None),
    change_of("pods", NOW + 3, ANNA, before={"priority": 7}, after={"priority": 8, "routes": [{"dst": "ä"}]}),
    change_of("default/node-1", NOW + 4, BEN, kind=LogKind.NODE),
    change_of("default", NOW + 5, ANN, kind=LogKind.NETWORK),
    change_of("12", NOW + 6, ANN, kind=LogKind.TOKEN, after={"id": 12, "expires": None}),
    change_of("default", NOW + 7, BEN),
]
QUERIES = [
    LogQuery(),
    LogQuery(kind=LogKind.POOL),
    LogQuery(but_not=LogKind.TOKEN),
    LogQuery(name="default"),
    LogQuery(name="default", kind=LogKind.NETWORK),
    LogQuery(by="ann"),
    LogQuery(by="ann "),
    LogQuery(by=ANN, kind=LogKind.POOL),
    LogQuery(by="ann", name="pods"),
    LogQuery(by="an", but_not=LogKind.TOKEN, before=NOW + 5),
    LogQuery(by="ben %"),
    LogQuery(by="%"),
    LogQuery(after=NOW + 3),
    LogQuery(before=NOW + 3),
    LogQuery(after=NOW + 2, before=NOW + 6, by=BEN),
    LogQuery(name="no such"),
]


async def read(backend: Backend, query: LogQuery | None = None) -> list[LogEntry]:
    """All that a query finds, without ids."""
    found = await backend.ledger.log(query or LogQuery(), None, 1000)
    return [replace(entry, id=None) for entry in found.entries]


async def test_the_change_log_holds_what_matches_the_latest_first(backend: Backend) -> None:
    await log(backend, *CHANGES[:4])
    await log(backend, *CHANGES[4:])

    for query in QUERIES:
        expected = [entry for entry in reversed(CHANGES) if query.matches(entry)]
        assert await read(backend, query) == expected, query


async def test_pages_of_the_change_log_put_together_are_all_of_it(backend: Backend) -> None:
    await log(backend, *CHANGES)

    for query in (LogQuery(), LogQuery(kind=LogKind.POOL), LogQuery(name="default"), LogQuery(by="ann")):
        whole = list((await backend.ledger.log(query, None, 1000)).entries)
        pages: list[LogEntry] = []
        following: int | None = None
        while not pages or following is not None:
            page = await backend.ledger.log(query, following, 2)
            assert len(page.entries) <= 2
            pages += page.entries
            following = page.next
            await log(backend, change_of("default", NOW + 9))  # what comes later is on no later page
        assert pages == whole


async def test_an_id_of_the_change_log_names_one_entry_for_ever(backend: Backend) -> None:
    await log(backend, *CHANGES)
    before = {entry.id for entry in (await backend.ledger.log(LogQuery(), None, 1000)).entries}
    while await backend.forget_log(NOW + 100):
        pass

    await log(backend, CHANGES[0])

    [entry] = (await backend.ledger.log(LogQuery(), None, 1000)).entries
    assert entry.stored_id > max(number for number in before if number is not None)


async def test_what_is_old_in_the_change_log_is_dropped_and_nothing_else(backend: Backend) -> None:
    many = [change_of("pods", NOW + number) for number in range(1100)]
    await log(backend, *many)

    while await backend.forget_log(NOW + 1089):
        pass

    assert await read(backend) == list(reversed(many[1090:]))
    assert not await backend.forget_log(NOW + 1089)


async def test_the_change_log_of_a_change_that_raises_is_not_there(backend: Backend) -> None:
    async def fail(catalogue: CatalogueChange) -> None:
        await catalogue.raise_revision()
        await catalogue.log(CHANGES)
        raise LookupError

    with pytest.raises(LookupError):
        await backend.change(fail)

    assert await read(backend) == []
