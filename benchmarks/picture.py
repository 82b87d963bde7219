"""A line chart as SVG: few lines over named places, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH, HEIGHT = 820, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 800, 50, 330
COLOURS: Final = ("#1f6fb2", "#c2571a", "#3d8a3d")
STEPS: Final = 5
LEGEND: Final = 375


@dataclass(frozen=True)
class Series:
    """One line: a value at each place."""

    name: str
    values: Sequence[float]
    dashed: bool = False


def draw(title: str, places: Sequence[str], series: Sequence[Series]) -> str:
    """The picture; two lines that follow each other share a colour."""
    top = _round_up(max(value for each in series for value in each.values))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(WIDTH / 2, 26, title, anchor="middle", size=16),
        *_axes(places, top),
        *_lines(places, series, top),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _axes(places: Sequence[str], top: float) -> Iterator[str]:
    for step in range(STEPS + 1):
        value = top * step / STEPS
        y = _y(value, top)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}" stroke="#dddddd"/>'
        yield _text(LEFT - 8, y + 4, f"{value:,.0f}", anchor="end")
    for number, place in enumerate(places):
        yield _text(_x(number, len(places)), BOTTOM + 20, place, anchor="middle")


def _lines(places: Sequence[str], series: Sequence[Series], top: float) -> Iterator[str]:
    for number, each in enumerate(series):
        paint = COLOURS[number // 2 % len(COLOURS)]
        dash = ' stroke-dasharray="6 4"' if each.dashed else ""
        points = [(_x(place, len(places)), _y(value, top)) for place, value in enumerate(each.values)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{joined}" fill="none" stroke="{paint}" stroke-width="2"{dash}/>'
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{paint}"/>'
        x, y = LEFT + 250 * (number // 2), LEGEND + 22 * (number % 2)
        stroke = f'stroke="{paint}" stroke-width="2"{dash}'
        yield f'<line x1="{x}" y1="{y - 4}" x2="{x + 32}" y2="{y - 4}" {stroke}/>'
        yield _text(x + 40, y, each.name)


def _x(number: int, places: int) -> float:
    return LEFT + 25 + number * (RIGHT - LEFT - 50) / max(places - 1, 1)


def _y(value: float, top: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * value / top


def _round_up(value: float) -> float:
    """The next number that divides well into the steps of the axis."""
    size = math.pow(10, math.floor(math.log10(value)))
    return next(step * size for step in (1, 1.5, 2, 2.5, 4, 5, 7.5, 10) if step * size >= value)


def _text(x: float, y: float, words: str, anchor: str = "start", size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="#333333">'
        f"{escape(words)}</text>"
    )
