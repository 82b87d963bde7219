"""How findings say moments and spans of time, of which any may be nonsense."""

from __future__ import annotations

from ipamd.models.block import NEVER_HELD
from ipamd.models.instant import SECOND, Instant, rfc3339


def said_free(since: Instant) -> str:
    """Since when an address is free."""
    return "free and was never held" if since == NEVER_HELD else f"free since {_moment(since)}"


def said_next(since: Instant | None) -> str:
    """Since when the next address of a block is free."""
    return "none" if since is None else said_free(since)


def said_at(instant: Instant) -> str:
    """When something was, as the end of a sentence."""
    return "never" if instant == NEVER_HELD else f"at {_moment(instant)}"


def _moment(instant: Instant) -> str:
    """An instant that may be nonsense: the check looks for such."""
    try:
        return rfc3339(instant)
    except (ValueError, OverflowError):
        return f"{instant} microseconds after 1970"


def ahead(moment: Instant, now: Instant) -> str:
    """A moment that cannot have been yet, and by how much."""
    return f"{said_at(moment)}, {shown_span(moment - now)} ahead of the clock"


def shown_span(span: Instant) -> str:
    """A span of time in its largest unit, as people read it."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if span >= 2 * length * SECOND:
            return f"{span // (length * SECOND)} {unit}"
    return f"{span // SECOND} seconds"
