"""Moments as the database keeps them."""

from datetime import UTC, datetime
from typing import Final

Instant = int
"""Microseconds since 1970-01-01 UTC."""

SECOND: Final = 1_000_000
"""One second, in the unit of `Instant`."""


def rfc3339(instant: Instant) -> str:
    """An instant as people and JSON read it: UTC, microseconds, `Z` at the end."""
    seconds, rest = divmod(instant, SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat().replace("+00:00", "Z")


def from_datetime(moment: datetime) -> Instant:
    """The instant of an aware datetime; a naive one is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * SECOND)
