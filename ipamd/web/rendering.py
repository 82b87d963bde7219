"""Templates, and the headers of every page: it runs our own scripts alone and stands in no frame."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from functools import cache
from math import log2
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as markup_escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from hosting.foreign_text import escape
from ipamd import __version__
from ipamd.api.segments import segment
from ipamd.models.instant import rfc3339
from ipamd.models.lease import LEASE_OWNER, node_of_seats
from ipamd.models.node import NodeKey
from ipamd.web import drawing
from ipamd.web.visitor import Visitor

HERE: Final = Path(__file__).parent
FOLDERS: Final = (HERE / "static", HERE / "vendored")

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
VISITOR: Final = "ipamd.visitor"
LIVE: Final = "ipamd.live"
"""Keys of a scope: who looks, and whether only what changes by itself is asked for."""


def visible(value: object) -> object:
    """Foreign text with its control characters shown; a template escapes its markup besides."""
    return escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def as_written(text: str) -> Markup:
    """The text of a field that comes back with a form: lines and all, for it must come back the same."""
    return markup_escape(text)


def when(text: str | None) -> Markup:
    """A moment: UTC here, in the reader's zone as soon as our script has run."""
    if text is None:
        return Markup("&mdash;")
    moment = datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0, tzinfo=None)
    # Written once for each row of a list: `Markup.format` takes ten times as long.
    written = f'<time datetime="{moment.isoformat()}Z">{moment.isoformat(" ")} UTC</time>'
    return Markup(written)  # noqa: S704  # digits and what stands between them


_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_CODE: Final = re.compile(r"`([^`]+)`")


def said(sentence: str) -> Markup:
    """A sentence of the service: its moments in the reader's zone, and what stands in backticks as code."""
    written = _MOMENT.sub(lambda found: when(found.group()), markup_escape(escape(sentence)))
    return Markup(_CODE.sub(r"<code>\1</code>", written))  # noqa: S704  # escaped above


def ahead_for(owner: str | None) -> NodeKey | None:
    """The node that holds an address in advance under this owner's name, None of any other owner."""
    return node_of_seats(owner) if owner is not None and owner.startswith(f"{LEASE_OWNER}:") else None


def grouped(number: int) -> Markup:
    """A number as people read it; one with more digits than they read as a power of two."""
    if number >= 1 << 40:
        exact = number & (number - 1) == 0
        return Markup("{}2^{}").format("" if exact else "≈\u00a0", round(log2(number)))
    written = str(number) if number < 10_000 else f"{number:,}".replace(",", "\u202f")
    return Markup(written)  # noqa: S704  # digits, and blanks between them


@cache
def asset(name: str) -> str:
    """The address of a file of ours, which changes with its content, so that a browser may keep it."""
    for folder in FOLDERS:
        file = folder / name
        if file.is_file():
            return f"/ui/static/{name}?{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
    raise FileNotFoundError(name)


def link(*parts: str) -> str:
    """A path of the page out of names that others chose."""
    return "/ui/" + "/".join(map(segment, parts))


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"when": when, "moment": lambda instant: when(rfc3339(instant)), "grouped": grouped}
    made.filters |= {"as_written": as_written, "said": said}
    made.globals |= {"asset": asset, "link": link, "ahead_for": ahead_for, "version": __version__}
    made.globals |= {"drawn_addresses": drawing.addresses, "drawn_prefixes": drawing.prefixes}
    made.globals |= {"drawn_space": drawing.parts_of_space}
    return made


ENVIRONMENT: Final = _environment()


def path_of(request: Request) -> str:
    """The path of a view as it was asked for: names in it are still encoded."""
    raw: bytes = request.scope["raw_path"]
    return raw.decode("latin-1")


def address_of(request: Request) -> str:
    """The address of a view on this origin."""
    query = f"?{request.url.query}" if request.url.query else ""
    return path_of(request) + query


def render(request: Request, template: str, status: int = 200, **given: Any) -> HTMLResponse:
    """A page; of a live one only its moving part, if that is what was asked for."""
    visitor: Visitor | None = request.scope.get(VISITOR)
    context = {"visitor": visitor, "path": path_of(request), "here": address_of(request), **given}
    found = ENVIRONMENT.get_template(template)
    if request.scope.get(LIVE):
        block = found.blocks["live"](found.new_context(context)) if "live" in found.blocks else ()
        return HTMLResponse("".join(block), status, HEADERS)
    return HTMLResponse(found.render(context), status, HEADERS)
