"""Entity tags: which revision a client read, and whether it is still current (RFC 9110, 8.8.3, 13.1.1)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Header

from ipamd.api.problems import Problem
from ipamd.models.errors import StaleRevision

IfMatch = Annotated[
    str | None,
    Header(description="The ETag that was read. If anything has changed since, the answer is 412."),
]

_TAGS: Final = re.compile(r'\s*(?:W/)?"[^"]*"\s*(?:,\s*(?:W/)?"[^"]*"\s*)*')
_STRONG: Final = re.compile(r'(W/)?"([^"]*)"')


def entity_tag(revision: int) -> dict[str, str]:
    """The header `ETag` of a revision."""
    return {"ETag": f'"{revision}"'}


def expected_revision(if_match: str | None, current: int | None) -> int | None:
    """The revision that must be current for the change, None if any revision will do.

    `current` is the revision now, None if there is nothing to change. Raises StaleRevision if no tag matches
    it (a weak tag never does), and a problem if the header is not a list of tags.
    """
    if if_match is None:
        return None
    if if_match.strip() == "*":
        if current is None:
            raise StaleRevision(
                "it does not exist, and `If-Match: *` demands that it does: leave out the header"
            )
        return current
    if _TAGS.fullmatch(if_match) is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "invalid", 'If-Match: write an ETag in quotes such as "17", or *'
        )
    strong = {tag for weak, tag in _STRONG.findall(if_match) if not weak}
    if current is None or str(current) not in strong:
        raise StaleRevision("it has changed since you read it: read it again, then change it")
    return current
