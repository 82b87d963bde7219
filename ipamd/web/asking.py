"""What the views share: who looks, the engine, the admin API, and a form's fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from ipamd.api.access import Access
from ipamd.engine.engine import Engine
from ipamd.web.rendering import VISITOR
from ipamd.web.rest import Refused, Rest
from ipamd.web.sums import SharedSums
from ipamd.web.visitor import Visitor

MOST_FIELDS = 5000

T = TypeVar("T")


def visitor(request: Request) -> Visitor:
    """Who looks."""
    return cast(Visitor, request.scope[VISITOR])


def engine(request: Request) -> Engine:
    """The engine."""
    return cast(Engine, request.app.state.engine)


def access(request: Request) -> Access:
    """The look-up of tokens."""
    return cast(Access, request.app.state.access)


def shared_sums(request: Request) -> SharedSums:
    """What is counted once for all who look."""
    return cast(SharedSums, request.app.state.sums)


def rest(request: Request) -> Rest:
    """The admin API as the visitor may use it."""
    return Rest(request.app.state.rest, visitor(request))


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, without those that were left empty."""
    return {name: value for name, value in await fields(request) if value.strip()}


async def fields(request: Request) -> list[tuple[str, str]]:
    """The fields of a form in their order; one that may be ticked several times comes several times."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, {"detail": "This is no form: send it from the page."})
    try:
        text = (await request.body()).decode("utf-8")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Refused(
            400, {"detail": "This form cannot be read: it is not UTF-8, or has too many fields."}
        ) from None


def asked(request: Request, *names: str) -> dict[str, str]:
    """Parameters of the address that are not empty, without blanks around them."""
    given = request.query_params
    return {name: given[name].strip() for name in names if given.get(name, "").strip()}


def next_page(view: str, given: Mapping[str, str], page: Mapping[str, Any]) -> str | None:
    """The link of a view to the next page of a list of REST with these filters, None on the last one."""
    if page["next"] is None:
        return None
    return f"{view}?{urlencode({**given, 'cursor': page['next']})}"


def read(parse: Callable[[str], T], text: str) -> T:
    """A part of the address of a page as a value. Raises Refused with the sentence of `parse`."""
    try:
        return parse(text)
    except ValueError as why:
        raise Refused(400, {"detail": f"{why}."}) from None
