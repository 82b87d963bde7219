"""Entity tags: which revision somebody saw, and whether it still stands (RFC 9110, 8.8.3 and 13.1.1)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Header

from ipamd.api.problems import Problem
from ipamd.models.errors import StaleRevision

IfMatch = Annotated[
    str | None, Header(description="The ETag of what was read; a change that came between is a 412.")
]

_TAGS: Final = re.compile(r'\s*(?:W/)?"[^"]*"\s*(?:,\s*(?:W/)?"[^"]*"\s*)*')
_STRONG: Final = re.compile(r'(W/)?"([^"]*)"')


def entity_tag(revision: int) -> dict[str, str]:
    """The header that names a revision."""
    return {"ETag": f'"{revision}"'}


def expected_revision(if_match: str | None, current: int | None) -> int | None:
    """The revision that must still stand, None where any will do.

    `current` is that of what is to change, None where there is nothing. Raises StaleRevision when no tag
    matches it (a weak one never does), and a problem for what is not a list of tags.
    """
    if if_match is None:
        return None
    if if_match.strip() == "*":
        if current is None:
            raise StaleRevision("it does not exist, and If-Match: * wants that it does")
        return current
    if _TAGS.fullmatch(if_match) is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "invalid", 'If-Match: write an ETag in quotes, such as "17", or *'
        )
    strong = {tag for weak, tag in _STRONG.findall(if_match) if not weak}
    if current is None or str(current) not in strong:
        raise StaleRevision("it has changed since it was read: read it again, and repeat the change")
    return current
