"""Allocations that wait for room as JSON."""

from __future__ import annotations

from typing_extensions import TypedDict

from ipamd.models.instant import rfc3339
from ipamd.models.waiter import Waiter


class ShownWaiter(TypedDict):
    """An allocation that waits. Whoever came first has the lowest `number`.

    `lacks` says for what it waits: full pools and holds, a quota that is used up, or an address that somebody
    has or a sticky pool keeps.
    """

    number: int
    owner: str
    pools: list[str]
    lacks: list[str]
    since: str
    until: str


def document_of(waiter: Waiter) -> ShownWaiter:
    """A waiter as it is shown."""
    return {
        "number": waiter.number,
        "owner": waiter.owner,
        "pools": list(waiter.pools),
        "lacks": list(waiter.lacks),
        "since": rfc3339(waiter.since),
        "until": rfc3339(waiter.until),
    }
