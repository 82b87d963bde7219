"""The same done to many things, one after the other, each with its own answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from ipamd.web.rest import Refused, Rest


class Chosen(NamedTuple):
    """One thing that was ticked: what REST knows it by, and what people do."""

    key: str
    called: str


def chosen(text: str) -> Chosen:
    """What a ticked box sends: a key, and after a blank what it is called if that is something else."""
    key, _, called = text.partition(" ")
    return Chosen(key, called or key)


@dataclass(frozen=True, slots=True)
class Bulk:
    """One action on many things. `effect` says what becomes of each."""

    title: str
    button: str
    effect: str
    done: str
    back: str
    act: Callable[[Rest, str], Awaitable[None]]

    async def carry_out(self, api: Rest, key: str) -> str:
        """Do it to one of them; a sentence that says what became of it."""
        try:
            await self.act(api, key)
        except Refused as refused:
            return f"refused: {refused.detail}"
        return self.done


def _deleting(path: str) -> Callable[[Rest, str], Awaitable[None]]:
    async def act(api: Rest, key: str) -> None:
        await api.ask("DELETE", path + quote(key, safe=""))

    return act


def _stating(state: str) -> Callable[[Rest, str], Awaitable[None]]:
    async def act(api: Rest, key: str) -> None:
        await api.ask("PATCH", "/v1/pools/" + quote(key, safe=""), {"state": state})

    return act


async def _keep(api: Rest, key: str) -> None:
    row: Mapping[str, Any] = await api.get("/v1/allocations/" + quote(key, safe=""))
    holder = {name: row[name] for name in ("owner", "namespace", "name") if row[name] is not None}
    if not holder:
        raise Refused(422, {"detail": "its container has no name that a later one could come back under"})
    await api.ask("POST", "/v1/reservations", {"address": row["address"], "space": row["space"], **holder})


BULK: Final = {
    "release": Bulk(
        "Release allocations",
        "Release",
        "loses its holder. Whoever uses it is not told.",
        "released",
        "/ui/allocations",
        _deleting("/v1/allocations/"),
    ),
    "keep": Bulk(
        "Reserve addresses for their holders",
        "Reserve",
        "is kept for its holder, also while that does not have it.",
        "reserved",
        "/ui/reservations",
        _keep,
    ),
    "end": Bulk(
        "End reservations",
        "End",
        "is not kept any more. A holder keeps the address that it has.",
        "ended",
        "/ui/reservations",
        _deleting("/v1/reservations/"),
    ),
    "drain": Bulk(
        "Drain pools",
        "Drain",
        "keeps its allocations and gives nothing new.",
        "draining",
        "/",
        _stating("draining"),
    ),
    "activate": Bulk(
        "Activate pools", "Activate", "gives addresses again.", "active", "/", _stating("active")
    ),
}
