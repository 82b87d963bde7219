"""The page of all figures, written from what the benchmarks left behind, whenever each of them ran."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.table import Row, Scale, Table

PAGE: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"
RESULTS: Final = PAGE.with_suffix("")

OPENING: Final = """\
# Benchmarks
What ipamd does beside what people use and beside its own limits, measured by `make bench` on one machine.
Each row stands next to its peer or limit **of the same run**, their rounds in turn. Figures are medians, with
the lowest and the highest round behind them; the ratio is the row's figure over the other's. Every benchmark
checks its answers (no address twice, none lost) before it prints a figure. `make bench-growth` measures what
takes longer, by hand.

The figures of all rounds as JSON: [benchmarks/](benchmarks/). Where the time of an ADD goes:
[decision 9](decisions/0009-hot-path.md). What PostgreSQL, a call alone and newer Pythons take:
[decision 53](decisions/0053-a-call-alone-and-postgresql.md).
"""
COLUMNS: Final = "| measure | figure | beside | ratio | bar |\n|---|---|---|---|---|"


def save(table: Table) -> None:
    """Keep what a benchmark found beside the page."""
    RESULTS.mkdir(exist_ok=True)
    written = msgspec.json.format(msgspec.json.encode(table), indent=1)
    _file(table.name, table.scale).write_bytes(written + b"\n")


def write(order: Sequence[str]) -> None:
    """Write the page: benchmarks in their order, of each what its last runs found."""
    tables = [
        msgspec.json.decode(_file(name, scale).read_bytes(), type=Table)
        for name in order
        for scale in (Scale.FULL, Scale.GROWTH)
        if _file(name, scale).exists()
    ]
    PAGE.write_text(page(tables))


def page(tables: Sequence[Table]) -> str:
    """All of it as Markdown; what has a bar stands in a table of its own first."""
    bars = [_line(row) for table in tables for row in table.rows if row.bars]
    summary = "\n".join(["## What must be reached", COLUMNS, *bars, ""])
    return "\n".join([OPENING, summary, *map(_section, tables)])


def _file(name: str, scale: Scale) -> Path:
    return RESULTS / (f"{name}.json" if scale is Scale.FULL else f"{name}-{scale}.json")


def _line(row: Row) -> str:
    return "| " + " | ".join(row.cells()) + " |"


def _section(table: Table) -> str:
    growth = ", by `make bench-growth`" if table.scale is Scale.GROWTH else ""
    lines = [f"## {table.title}{growth}", table.about, ""]
    if table.picture:
        lines += [f"![{table.title}](benchmarks/{table.picture})", ""]
    lines += [COLUMNS, *map(_line, table.rows), ""]
    lines += [f"{note}\n" for note in table.notes]
    machine = "; ".join(f"{name} {value}" for name, value in table.machine.items())
    return "\n".join([*lines, f"{machine}; {table.seconds:.0f} s.", ""])
