"""Names as parts of a path: a name with a slash is one part (`a%2Fb`), not two."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import Scope

SLASH: Final = "\uffff"
"""Stands for a slash within a name while the path is split. It is no character, so no name has it."""

DOTS: Final = "\ufffe"
"""Stands before a name that is `.` or `..` in an address of the page: a browser would take the name, encoded
or not, for a step back. It is no character either.
"""

_ENCODED: Final = re.compile("%2f", re.IGNORECASE)


class NameConvertor(Convertor[str]):
    """One part of a path, with its slashes: `{name:name}` in a route."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return value.removeprefix(DOTS).replace(SLASH, "/")

    def to_string(self, value: str) -> str:
        return segment(value)


register_url_convertor("name", NameConvertor())


def with_names_whole(scope: Scope) -> Scope:
    """A request whose path keeps the slashes within names apart from those between its parts."""
    raw: str = scope["raw_path"].decode("latin-1")
    if "%" not in raw or _ENCODED.search(raw) is None:
        return scope
    return {**scope, "path": SLASH.join(map(unquote, _ENCODED.split(raw)))}


def segment(name: str) -> str:
    """A name as one part of an address that a browser follows."""
    return quote(DOTS + name if name in (".", "..") else name, safe="")


def part(name: str) -> str:
    """A name as it stands in a path that was read by `with_names_whole`."""
    return name.replace("/", SLASH)


def shown(path: str) -> str:
    """Such a path for people to read."""
    return path.replace(SLASH, "%2F")
