"""Tables in and out: what a file would do is shown before it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ipamd.web.asking import form, rest, visitor
from ipamd.web.changed import changed_fields
from ipamd.web.forms import Difference
from ipamd.web.rendering import HEADERS, render
from ipamd.web.rest import Refused

KINDS: Final = ("pools", "reservations", "allocations")


class _Table(Response):
    """A table as REST sends it, piece by piece: it may have millions of lines."""

    def __init__(self, request: Request, kind: str) -> None:
        super().__init__()
        self._request = request
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = visitor(self._request).token
        path = f"/v1/csv/{self._kind}"
        kept = {
            key: scope[key]
            for key in ("type", "asgi", "http_version", "method", "scheme", "client", "server")
        }
        asked: Scope = {
            **kept,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [] if token is None else [(b"authorization", b"Bearer " + token.encode())],
        }

        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *ours]}
            await send(message)

        await self._request.app.state.rest(asked, receive, forward)


async def download(request: Request) -> Response:
    """A table for a spreadsheet."""
    kind = request.path_params["kind"]
    if kind not in KINDS:
        raise Refused(404, {"detail": f"There is no table of {kind}."})
    return _Table(request, kind)


async def tables(request: Request) -> Response:
    """Tables to take along, and a form to apply one: first as a dry run, then for good."""
    if request.method != "POST":
        return _show(request, {})
    given = await form(request)
    kind = given.get("kind", "")
    if kind not in KINDS:
        raise Refused(422, {"detail": "Choose what the table is of: pools, reservations or allocations."})
    body = {"text": given.get("text", ""), "dry_run": given.get("do") != "apply"}
    if given.get("prune") == "yes":
        body["prune"] = True
    try:
        applied = await rest(request).ask("POST", f"/v1/csv/{kind}", body)
    except Refused as refused:
        return _show(request, given, refused=refused)
    return _show(request, given, applied=_changes(applied.document))


def _changes(applied: dict[str, Any]) -> dict[str, Any]:
    """What a table changes, also one of allocations, which are given and never changed."""
    if "given" not in applied:
        return {**applied, "changes": [_change(each) for each in applied["changes"]]}
    left = applied["containers"]
    warnings = [f"Left alone: {left} of containers, which get theirs from their runtime."] if left else []
    given = [_given(each) for each in applied["given"]]
    return {**applied, "changes": given, "warnings": warnings}


@dataclass(frozen=True, slots=True)
class Changed:
    """One change of a table: what is done to what, where, and which fields differ."""

    action: str
    what: str
    where: str
    fields: Sequence[Difference] = ()


def _given(row: Mapping[str, Any]) -> Changed:
    return Changed("give", f"{row['address']} to {row['owner']}", f"space {row['space']}")


def _change(change: Mapping[str, Any]) -> Changed:
    """A change as it is shown: of what is made or deleted all fields would be too much."""
    stated = change["after"] or change["before"]
    called = stated["address"] if change["kind"] == "reservation" else stated["name"]
    where = f"space {stated['space']}" if change["kind"] == "reservation" else stated["subnet"]
    fields = changed_fields(change) if change["action"] == "change" else ()
    return Changed(change["action"], f"{change['kind']} {called}", where, fields)


def _show(
    request: Request, given: dict[str, str], refused: Refused | None = None, applied: Any = None
) -> Response:
    status = refused.status if refused is not None else 200
    return render(request, "tables.html", status, given=given, refused=refused, applied=applied, kinds=KINDS)


ROUTES: Final = [
    Route("/ui/tables", tables, methods=["GET", "POST"]),
    Route("/ui/tables/{kind}", download),
]
