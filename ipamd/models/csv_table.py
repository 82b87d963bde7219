"""Pools, reservations and allocations as CSV: what spreadsheets write and read. Pure.

A cell that a spreadsheet would take for a formula is written with an apostrophe before it, and read without.
Lists are separated by blanks; routes, DNS and selectors are JSON. An empty cell is an absent field.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ipamd.models.nearest import unknown

Document = Mapping[str, Any]


class CsvKind(StrEnum):
    """What the rows of a table are."""

    POOLS = "pools"
    RESERVATIONS = "reservations"
    ALLOCATIONS = "allocations"


COLUMNS: Final[Mapping[CsvKind, tuple[str, ...]]] = {
    CsvKind.POOLS: (
        *("name", "space", "subnet", "ranges", "exclusions", "gateway", "gateway_on_link", "block_size"),
        *("prefix_length", "affinity", "cooldown", "state", "priority", "auto_assign", "masquerade"),
        *("borrow", "sticky", "lease", "owner_keep", "routes", "dns", "selectors"),
    ),
    CsvKind.RESERVATIONS: ("id", "address", "space", "namespace", "name", "owner", "note"),
    CsvKind.ALLOCATIONS: (
        *("id", "address", "space", "pool", "owner", "namespace", "name", "cluster", "node", "network"),
        *("container_id", "ifname", "since", "begun_by", "prefix_length"),
    ),
}

TOLD_ONLY: Final[Mapping[CsvKind, frozenset[str]]] = {
    CsvKind.POOLS: frozenset(),
    CsvKind.RESERVATIONS: frozenset(("id",)),
    CsvKind.ALLOCATIONS: frozenset(("id", "network", "ifname", "since", "begun_by")),
}
"""Columns that ipamd writes and does not read."""

NONE: Final = "none"
"""A gateway that there is none of, unlike one that is not told."""

MOST_CELL: Final = 64 << 10
"""Characters of a cell: what is longer is no field of ours."""

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
"""What is written with one more apostrophe: so every text comes back as it was."""

_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")
_TRUTHS: Final = {"true": True, "yes": True, "false": False, "no": False}
_DELIMITERS: Final = (",", ";", "\t")


class CsvError(ValueError):
    """What is wrong in a table, and on which line."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


@dataclass(frozen=True, slots=True)
class CsvRow:
    """A row as REST takes it, and its line in the table."""

    line: int
    document: Document


def written(kind: CsvKind, documents: Iterable[Document]) -> Iterator[str]:
    """The lines of a table, one at a time, however many there are."""
    columns = COLUMNS[kind]
    yield _line(columns)
    for document in documents:
        yield _line([_cell(column, document.get(column)) for column in columns])


def decoded(data: bytes) -> str:
    """The text of a file, without its byte order mark. Raises CsvError."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise CsvError(1, "the file is UTF-16: save it as CSV in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CsvError(line, "this is not UTF-8: save the file as CSV in UTF-8") from None
    if "\0" in text:
        raise CsvError(text[: text.index("\0")].count("\n") + 1, "holds a NUL character")
    return text


def kind_of(text: str) -> CsvKind:
    """Whether a table is of pools or of reservations, by its head. Raises CsvError."""
    head = next(_cells(text), (1, []))[1]
    names = {_column(cell) for cell in head}
    if "subnet" in names:
        return CsvKind.POOLS
    if "address" in names and not names & {"pool", "container_id"}:
        return CsvKind.RESERVATIONS
    raise CsvError(1, "the first line must name the columns: pools have `subnet`, reservations `address`")


def read(kind: CsvKind, text: str, most: int) -> Iterator[CsvRow]:
    """The rows of a table, one at a time. Commas, semicolons or tabs separate cells, as in the first line.

    Raises CsvError at the first line that cannot be read, and after `most` rows.
    """
    lines = _cells(text)
    _, head = next(lines, (1, []))
    columns = [_known(_column(cell), kind) for cell in head]
    if len(set(columns)) < len(columns):
        raise CsvError(1, "a column comes twice")
    count, told = 0, TOLD_ONLY[kind]
    for line, cells in lines:
        if not any(cells):
            continue
        if len(cells) > len(columns):
            raise CsvError(line, f"has {len(cells)} cells, and the first line names {len(columns)} columns")
        count += 1
        if count > most:
            raise CsvError(line, f"a table has {most} rows at most: split it")
        given = zip(columns, cells, strict=False)
        yield CsvRow(
            line, {name: _value(name, cell, line) for name, cell in given if cell and name not in told}
        )


def _cells(text: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, and the line on which it begins."""
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(len(cell) > MOST_CELL for cell in cells):
                raise CsvError(line, f"a cell has more than {MOST_CELL} characters")
            yield line, [cell.strip() for cell in cells]
            line = reader.line_num + 1
    except csv.Error as error:
        raise CsvError(line, f"is not CSV: {error}") from None


def _column(cell: str) -> str:
    return cell.strip().lower().replace(" ", "_")


def _known(name: str, kind: CsvKind) -> str:
    if name not in COLUMNS[kind]:
        raise CsvError(1, unknown("column", name, COLUMNS[kind]))
    return name


def _value(name: str, cell: str, line: int) -> Any:
    """The value of a cell that is not empty."""
    if cell[0] == "'" and _FORMULA.match(cell):
        cell = cell[1:]
    try:
        return _READERS.get(name, str)(cell)
    except (ValueError, RecursionError):
        raise CsvError(line, f"{name}: {cell[:80]!r} is not {_WANTED[name]}") from None


def _whole(cell: str) -> int:
    if _NUMBER.fullmatch(cell) is None:
        raise ValueError
    return int(cell)


def _truth(cell: str) -> bool:
    found = _TRUTHS.get(cell.lower())
    if found is None:
        raise ValueError
    return found


def _gateway(cell: str) -> str | None:
    return None if cell.lower() == NONE else cell


_NUMBERS: Final = ("block_size", "prefix_length", "cooldown", "priority", "lease", "owner_keep")
_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("ranges", "exclusions"), str.split),
    **dict.fromkeys(_NUMBERS, _whole),
    **dict.fromkeys(("gateway_on_link", "auto_assign", "masquerade", "borrow", "sticky"), _truth),
    **dict.fromkeys(("routes", "dns", "selectors"), json.loads),
    "gateway": _gateway,
}
_WANTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(_NUMBERS, "a whole number"),
    **dict.fromkeys(("gateway_on_link", "auto_assign", "masquerade", "borrow", "sticky"), "true or false"),
    **dict.fromkeys(("routes", "dns", "selectors"), "JSON"),
}


def _cell(name: str, value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    if value is None:
        return NONE if name == "gateway" else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if _READERS.get(name) is json.loads:
        return json.dumps(_filled(value)) if _filled(value) else ""
    text = " ".join(value) if isinstance(value, list) else str(value)
    return text if _FORMULA.match(text) is None else f"'{text}"


def _filled(value: Any) -> Any:
    """JSON without empty fields."""
    if isinstance(value, Mapping):
        return {key: part for key, part in value.items() if part not in (None, [], {})}
    return value


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
