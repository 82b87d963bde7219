"""The output: tables and sentences for people, JSON and YAML for programs.

Names, labels and notes are foreign text: anybody may have written them into a configuration. A terminal gets
them without markup. Characters that cannot be printed (control characters, marks that turn the direction of
writing) are shown as escapes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hosting.foreign_text import escape

UNBROKEN: Final = 100_000
"""The width of a table outside a terminal. No cell is folded there: a row stays a line, for grep and awk."""

WIDTH: Final = 110
"""The column at which YAML breaks a long text."""


def as_text(value: Any) -> str:
    """A JSON value as text in a cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(_pair(key, part) for key, part in value.items() if part not in (None, [], {})) or "-"
    if isinstance(value, list):
        return ", ".join(as_text(part) for part in value) or "-"
    return escape(str(value))


def _pair(key: str, value: Any) -> str:
    text = as_text(value)
    return f"{escape(key)}({text})" if isinstance(value, Mapping) else f"{escape(key)}={text}"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table. A cell that is too wide for the terminal is folded, never cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(as_text(cell)) for cell in row))
    _print(table)


def print_record(record: Mapping[str, Any]) -> None:
    """Print one thing with a line for each field."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in record.items():
        table.add_row(Text(key.replace("_", " ")), Text(as_text(value)))
    _print(table)


def print_line(text: str) -> None:
    """Print one sentence about what was done."""
    sys.stdout.write(escape(text) + "\n")


def confirm(question: str) -> None:
    """Ask on stderr, and end the command unless the answer is yes."""
    sys.stderr.write(f"{escape(question)} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise typer.Abort


def print_json(value: Any) -> None:
    """Print a value as JSON in ASCII, which no terminal and no locale can change."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def print_yaml(value: Any) -> None:
    """Print a value as YAML in ASCII, in its own order."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    sys.stdout.write(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=False, width=WIDTH))


def complain(text: str) -> None:
    """Print one sentence to stderr, without colours: the last words of a failing command."""
    sys.stderr.write(f"ipamctl: {escape(text)}\n")


def _print(table: Table) -> None:
    if sys.stdout.isatty():
        _console(None).print(table)
        return
    console = _console(UNBROKEN)
    with console.capture() as printed:
        console.print(table)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in printed.get().splitlines())


def _console(width: int | None) -> Console:
    return Console(width=width, highlight=False, markup=False, emoji=False)
