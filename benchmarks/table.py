"""What a benchmark has to say: figures of several rounds, each beside its peer or limit of the same run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Scale(StrEnum):
    """How much is measured: to see that it works, to publish, or what only patience allows."""

    QUICK = "quick"
    FULL = "full"
    GROWTH = "growth"


@dataclass(frozen=True)
class Figure:
    """One quantity, measured in several rounds."""

    unit: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def __str__(self) -> str:
        middle, low, high = (written(value) for value in (self.median, min(self.rounds), max(self.rounds)))
        return f"{middle} {self.unit}" + (f" ({low}-{high})" if len(self.rounds) > 1 else "")


@dataclass(frozen=True)
class Bar:
    """What a row must reach: in its ratio, or in its figure itself."""

    limit: float
    at_least: bool
    of_ratio: bool = True

    def __str__(self) -> str:
        return f"{'ratio ' if self.of_ratio else ''}{'>=' if self.at_least else '<='} {written(self.limit)}"


@dataclass(frozen=True)
class Row:
    """One measure; `beside` names what stands next to it, `other` is that one's figure.

    Rounds are `paired` if each is short and beside the other's: then the ratio is the median of theirs, which
    a change of the machine's speed between rounds does not touch.
    """

    measure: str
    figure: Figure
    beside: str = ""
    other: Figure | None = None
    bars: tuple[Bar, ...] = ()
    paired: bool = False

    @property
    def ratio(self) -> float | None:
        """The figure over the other."""
        if self.other is None:
            return None
        if self.paired:
            rounds = zip(self.figure.rounds, self.other.rounds, strict=True)
            return statistics.median(own / other for own, other in rounds)
        return self.figure.median / self.other.median

    def met(self, bar: Bar) -> bool:
        """Whether a bar is met."""
        value = self.ratio if bar.of_ratio else self.figure.median
        assert value is not None, f"{self.measure} has a bar for its ratio and nothing beside it"
        return value >= bar.limit if bar.at_least else value <= bar.limit

    def verdict(self, bar: Bar) -> str:
        """A bar, and whether it is met."""
        return f"{bar}: {'met' if self.met(bar) else '**missed**'}"

    def cells(self) -> list[str]:
        """What a line of a table has."""
        ratio = "" if self.ratio is None else written(self.ratio)
        other = "" if self.other is None else f"{self.beside}: {self.other}"
        return [self.measure, str(self.figure), other, ratio, "; ".join(map(self.verdict, self.bars))]


@dataclass
class Table:
    """All that one benchmark found."""

    name: str
    title: str
    about: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    picture: str = ""
    scale: Scale = Scale.FULL
    machine: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, row: Row) -> None:
        """Keep a row, and print it."""
        self.rows.append(row)
        print("  " + " | ".join(cell for cell in row.cells() if cell), flush=True)


def figure(unit: str, rounds: Sequence[float]) -> Figure:
    """A figure of these rounds, to five digits: no clock here is better, and JSON stays short."""
    return Figure(unit, tuple(float(f"{value:.5g}") for value in rounds))


def written(value: float) -> str:
    """Three digits that count; thousands as they are."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
