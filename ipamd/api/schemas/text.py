"""Texts, addresses and moments of the admin API, read strictly."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from ipamd.models.address import AddressRange, parse_address, parse_network
from ipamd.models.instant import Instant, from_datetime
from ipamd.models.limits import LONGEST_NAME, LONGEST_POOL_NAME, POOL_NAME
from ipamd.models.node import node_name

NO_MOMENT: Final = "is not a time such as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00.5+01:00"

_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
"""RFC 3339, section 5.6, which is stricter than what Python reads."""


_NAME: Final = re.compile(POOL_NAME)


class Document(BaseModel):
    """A JSON object. Unknown fields are refused, and no value is converted from another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _storable(text: str) -> str:
    """Refuse NUL and half a surrogate pair: databases cannot store them."""
    if "\0" in text:
        raise ValueError("holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode") from None
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return text


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError(
            f"{text[:LONGEST_POOL_NAME]!r} is not a name: write letters, digits, `.`, `_` or `-`, "
            f"{LONGEST_POOL_NAME} at most, the first a letter or a digit"
        )
    return text


def _accepted_by(read: Callable[[str], object]) -> Callable[[str], str]:
    """A check that `read` accepts a text. The text itself is kept."""

    def check(text: str) -> str:
        read(text)
        return text

    return check


def _digits(written: object) -> object:
    """In a URL only digits are a number: pydantic would accept `1.0` and ` 1` too."""
    if isinstance(written, str) and not (written.isascii() and written.isdigit()):
        raise ValueError("is not a whole number")
    return written


Number = Annotated[int, BeforeValidator(_digits), Field(strict=False)]
"""A whole number in a URL."""

Word = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_NAME),
    AfterValidator(_storable),
    AfterValidator(_printable),
]
"""A name that somebody else chose, of a node, a network, a workload: any printable characters."""

NodeName = Annotated[Word, AfterValidator(node_name)]
"""A node's name, as ipamd knows it: without regard to case."""

Note = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_storable)]
"""Free text for people."""

Name = Annotated[
    str,
    AfterValidator(_name),
    Field(json_schema_extra={"pattern": f"^{POOL_NAME}$", "maxLength": LONGEST_POOL_NAME}),
]
"""A name in ipamd: of a pool, an address space, a cluster."""

Address = Annotated[
    str,
    AfterValidator(_accepted_by(parse_address)),
    Field(json_schema_extra={"format": "ip-address"}, examples=["10.0.0.7", "fd00::7"]),
]
Prefix = Annotated[
    str,
    AfterValidator(_accepted_by(parse_network)),
    Field(json_schema_extra={"format": "ip-prefix"}, examples=["10.0.0.0/16", "fd00::/64"]),
]
Range = Annotated[
    str,
    AfterValidator(_accepted_by(AddressRange.parse)),
    Field(
        json_schema_extra={"format": "ip-range"}, examples=["10.0.0.7", "10.0.0.0/28", "10.0.0.7-10.0.0.9"]
    ),
]
"""An address, a prefix or `first-last`."""


def moment(text: str) -> Instant:
    """An RFC 3339 time with an offset. Raises ValueError with a sentence."""
    if _MOMENT.fullmatch(text) is None:
        raise ValueError(NO_MOMENT)
    try:
        return from_datetime(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise ValueError(NO_MOMENT) from None


Moment = Annotated[
    str,
    StringConstraints(max_length=64),
    AfterValidator(_accepted_by(moment)),
    Field(json_schema_extra={"format": "date-time"}, examples=["2026-01-31T12:00:00Z"]),
]


def without_nulls(value: BaseModel) -> dict[str, Any]:
    """The given fields of a document that are not null."""
    return {key: found for key, found in value.model_dump(exclude_unset=True).items() if found is not None}
