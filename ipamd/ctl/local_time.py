"""Times as people read them: in this machine's zone. REST, JSON and YAML have them in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import typer

TIMES: Final = frozenset(
    (
        "at",
        "away_since",
        "created",
        "decided",
        "expires",
        "gone_since",
        "kept_until",
        "last_contact",
        "last_used",
        "since",
        "until",
    )
)
"""The fields of REST that hold a time."""


def with_local_times(item: Mapping[str, Any], *, exact: bool) -> dict[str, Any]:
    """A thing of REST with its times in this machine's zone, to the second or `exact` to all digits."""
    return {
        key: local_time(value, exact=exact) if key in TIMES and isinstance(value, str) else value
        for key, value in item.items()
    }


def local_time(text: str, *, exact: bool) -> str:
    """An RFC 3339 time in this machine's zone. Options such as `--at` take it as it is printed."""
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):  # a later ipamd's form, or the last day of the year 9999
        return text
    return moment.isoformat(timespec="auto" if exact else "seconds").replace("+00:00", "Z")


def moment(text: str | None, option: str) -> str | None:
    """A time that an option gives, as REST takes it. Without an offset it is in this machine's zone."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a time such as 2026-01-31T12:00:00Z", param_hint=option
        ) from None
