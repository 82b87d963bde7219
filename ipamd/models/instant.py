"""Moments in time, as the database stores them."""

from datetime import UTC, datetime
from typing import Final

Instant = int
"""Microseconds since 1970-01-01 UTC."""

SECOND: Final = 1_000_000
"""One second, in the unit of `Instant`."""

AHEAD: Final = 60 * SECOND
"""Clocks of replicas differ by less. A moment that is further ahead is of a clock that was wrong."""

LATEST: Final = 253_402_300_799 * SECOND
"""The end of the year 9999: RFC 3339 has no later time."""

_UNITS: Final = {"m": 60 * SECOND, "h": 3600 * SECOND, "d": 86_400 * SECOND}


def rfc3339(instant: Instant) -> str:
    """An instant as people and JSON read it: UTC, microseconds, `Z` at the end."""
    seconds, rest = divmod(instant, SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat().replace("+00:00", "Z")


def from_datetime(moment: datetime) -> Instant:
    """The instant of an aware datetime; a naive one is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * SECOND)


def expiry(text: str, now: Instant) -> Instant:
    """Read when something ends: `90d`, `12h`, `30m`, or a time. Raises ValueError.

    A time looks like 2026-01-31T12:00:00Z. Without an offset it is in this machine's zone.
    """
    number, unit = text[:-1], text[-1:]
    if unit in _UNITS and number.isascii() and number.isdigit():
        moment = now + int(number) * _UNITS[unit]
        if moment > LATEST:
            raise ValueError(f"{text!r} is after the year 9999")
        return moment
    try:
        return from_datetime(datetime.fromisoformat(text).astimezone(UTC))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a time: write 2026-01-31T12:00:00Z, or 90d, 12h or 30m from now"
        ) from None
