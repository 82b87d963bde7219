"""Change requests: they are read as they were saved, and those that were decided can be dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from ipamd.backends.conformance.examples import NOW
from ipamd.backends.interface import Backend, CatalogueChange
from ipamd.models.change_request import ChangeRequest, RequestKind, RequestQuery, RequestState

pytestmark = pytest.mark.asyncio

OPEN: Final = ChangeRequest(
    id=1,
    kind=RequestKind.ALLOCATION,
    wanted={"owner": "vm-ä", "pool": "pods"},
    note="<b>",
    created=NOW,
    created_by="eve (token 3)",
)
APPROVED: Final = replace(
    OPEN,
    id=2,
    kind=RequestKind.RESERVATION,
    created_by="loopback",
    state=RequestState.APPROVED,
    decided=NOW + 2,
    decided_by="ann (token 2)",
    reason="why not",
    outcome={"reservation": 7, "address": "10.0.0.7"},
)
REFUSED: Final = replace(APPROVED, id=3, state=RequestState.REFUSED, decided=NOW + 5, outcome=None)
APPROVING: Final = replace(REFUSED, id=4, state=RequestState.APPROVING, decided=NOW + 1, note=None)
ALL: Final = [OPEN, APPROVED, REFUSED, APPROVING]


async def save(backend: Backend, *requests: ChangeRequest) -> None:
    """One change that saves requests."""

    async def change(catalogue: CatalogueChange) -> None:
        await catalogue.raise_revision()
        for request in requests:
            await catalogue.save_request(request)

    await backend.change(change)


async def read(backend: Backend, query: RequestQuery | None = None) -> list[ChangeRequest]:
    return list(await backend.ledger.requests(query or RequestQuery(), None, 100))


async def test_requests_are_read_as_they_were_saved_the_latest_first(backend: Backend) -> None:
    await save(backend, *ALL)

    queries = [
        RequestQuery(state=state, by=by) for state in (None, *RequestState) for by in (None, "loopback")
    ]
    for query in queries:
        assert await read(backend, query) == [each for each in reversed(ALL) if query.matches(each)], query
    assert [await backend.ledger.request(number) for number in (4, 1, 5)] == [APPROVING, OPEN, None]
    assert list(await backend.ledger.requests(RequestQuery(), 4, 2)) == [REFUSED, APPROVED]


async def test_a_change_reads_a_request_as_the_last_change_left_it(backend: Backend) -> None:
    await save(backend, OPEN)
    decided = replace(OPEN, state=RequestState.REFUSED, decided=NOW, decided_by="ann", reason="no")

    async def refuse(catalogue: CatalogueChange) -> list[ChangeRequest | None]:
        await catalogue.raise_revision()
        before = await catalogue.request(OPEN.id)
        await catalogue.save_request(decided)
        return [before, await catalogue.request(OPEN.id), await catalogue.request(99)]

    assert await backend.change(refuse) == [OPEN, decided, None]
    assert await read(backend) == [decided]


async def test_requests_that_were_decided_long_ago_are_dropped_and_nothing_else(backend: Backend) -> None:
    await save(backend, *ALL)

    while await backend.forget_requests(NOW + 4):
        pass

    assert await read(backend) == [APPROVING, REFUSED, OPEN]
