"""Requests: a reader asks for an address or a reservation, and an admin decides."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ipamd.web.asking import asked, form, next_page, rest
from ipamd.web.forms import ALLOCATION, RESERVATION, body_of
from ipamd.web.rendering import HEADERS, render
from ipamd.web.rest import Refused

LIMIT: Final = 50
SHAPES: Final = {"allocation": ALLOCATION, "reservation": RESERVATION}
DECISIONS: Final = ("approve", "refuse")
_FIELDS: Final = ("address", "pool", "space", "owner", "namespace", "name")


async def show(request: Request) -> Response:
    """What was asked for, the latest first; and a form to ask, filled in as a link says."""
    return await _list(request, None, asked(request, *_FIELDS, "kind"))


async def ask(request: Request) -> Response:
    """Ask for something."""
    given = await form(request)
    kind = given.get("kind", "allocation")
    shape = SHAPES.get(kind, ALLOCATION)
    texts = {name: text for name, text in given.items() if name in _FIELDS}
    body = {kind: body_of(shape, texts), **({"note": given["why"]} if "why" in given else {})}
    try:
        await rest(request).ask("POST", "/v1/requests", body)
    except Refused as refused:
        return await _list(request, refused, given)
    return RedirectResponse("/ui/requests", HTTPStatus.SEE_OTHER, HEADERS)


async def decide(request: Request) -> Response:
    """Approve or refuse a request."""
    number, decision = request.path_params["number"], request.path_params["decision"]
    if decision not in DECISIONS or not number.isdecimal():
        raise Refused(404, {"detail": "There is no such decision."})
    given = await form(request)
    body = {"reason": given["reason"]} if "reason" in given else {}
    try:
        await rest(request).ask("POST", f"/v1/requests/{number}/{decision}", body)
    except Refused as refused:
        return await _list(request, refused, {})
    return RedirectResponse("/ui/requests", HTTPStatus.SEE_OTHER, HEADERS)


async def _list(request: Request, refused: Refused | None, draft: dict[str, str]) -> Response:
    given = asked(request, "state", "by", "cursor")
    page = await rest(request).get("/v1/requests", {**given, "limit": LIMIT})
    status = refused.status if refused is not None else HTTPStatus.OK
    beside, others = _beside(refused, draft)
    return render(
        request,
        "requests.html",
        status,
        items=page["items"],
        given=given,
        more=next_page("/ui/requests", given, page),
        beside=beside,
        others=others,
        draft=draft,
    )


def _beside(refused: Refused | None, draft: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """What is wrong with which field of the form that asks, and what is said above it."""
    if refused is None:
        return {}, []
    wrong = {where.removeprefix(f"{draft.get('kind')}."): why for where, why in refused.fields.items()}
    beside = {where: why for where, why in wrong.items() if where in _FIELDS}
    others = [f"{where}: {why}" for where, why in wrong.items() if where not in beside]
    return beside, others if beside else [refused.detail]


ROUTES: Final = [
    Route("/ui/requests", show),
    Route("/ui/requests/new", ask, methods=["POST"]),
    Route("/ui/requests/{number}/{decision}", decide, methods=["POST"]),
]
