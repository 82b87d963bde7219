"""Which prefixes lie wholly in a set of addresses."""

from __future__ import annotations

from collections.abc import Iterator

from ipamd.addressing.ranges import Spans


def prefixes_within(spans: Spans, size: int) -> Iterator[int]:
    """Where aligned prefixes of `size` (a power of two) begin that lie wholly in spans, the last first."""
    for first, last in reversed(list(spans)):
        at = (last + 1) // size * size - size
        while at >= first:
            yield at
            at -= size
