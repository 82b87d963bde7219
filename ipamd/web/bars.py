"""The use of a pool as pieces of a bar. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ipamd.engine.inspection.usage import Usage

STATES: Final = ("allocated", "leased", "held", "cooling", "reserved", "excluded", "free")
THINNEST: Final = 0.4
"""The percentage as which anything at all is shown: one of a million is there too."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Addresses in one state, and which part of the bar they are, in percent."""

    state: str
    count: int
    begin: float
    width: float


def pieces(usage: Usage) -> list[Piece]:
    """The bar from left to right, without states that no address has."""
    counts = {state: getattr(usage, state) for state in STATES if getattr(usage, state) > 0}
    whole = sum(counts.values())
    widths = {state: max(100 * count / whole, THINNEST) for state, count in counts.items()}
    scale = 100 / sum(widths.values()) if widths else 1
    made, begin = [], 0.0
    for state, count in counts.items():
        width = widths[state] * scale
        made.append(Piece(state, count, round(begin, 3), round(width, 3)))
        begin += width
    return made


def percent(part: int, whole: int) -> str:
    """How much of a whole a part is; one of a million is not nothing, and only all of it is 100."""
    share = 100 * part // whole if whole > 0 else 100
    return "<1" if part and not share else str(share)


def share_used(usage: Usage) -> str:
    """Percent of what a holder may have at all that is not free."""
    usable = usage.size - usage.excluded
    return percent(usable - usage.free, usable)
