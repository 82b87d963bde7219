"""A table of pools or reservations as a file to apply, with the lines of what is wrong in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError
from typing_extensions import TypedDict

from ipamd.api.problem_handlers import of_validation
from ipamd.api.schemas.allocation import NewAllocation
from ipamd.api.schemas.desired import Desired
from ipamd.api.schemas.text import Address, Document, Name
from ipamd.engine.administration.applying import DesiredState
from ipamd.models import csv_table
from ipamd.models.address import IPAddress, parse_address
from ipamd.models.csv_table import CsvError, CsvKind, CsvRow
from ipamd.models.errors import InvalidValue
from ipamd.models.limits import MOST_ENTRIES
from ipamd.models.pool import DEFAULT_SPACE

_ENTRY: Final = re.compile(r"(?:pools|reservations)\[([0-9]+)\]\.?")
AppliedKind = Literal["pools", "reservations"]

MOST_GIVEN: Final = 1_000
"""Rows of a table of allocations: each is a decision of its own."""


class _Table(Document):
    """A table as text: what a spreadsheet saves as CSV in UTF-8, with a line that names its columns.

    With `dry_run` nothing changes, and the answer says what would change.
    """

    text: Annotated[str, Field(max_length=4 << 20)]
    dry_run: bool = False

    def rows(self, kind: CsvKind, most: int) -> list[CsvRow]:
        """The rows of the table. Raises InvalidValue, which names the line."""
        try:
            return list(csv_table.read(kind, csv_table.decoded(self.text.encode()), most))
        except CsvError as error:
            raise InvalidValue(f"line {error.line}", error.why) from None


class Table(_Table):
    """A table of pools or reservations. With `prune` what it does not name is deleted."""

    prune: bool = False

    def value(self, kind: AppliedKind) -> DesiredState:
        """What the table says. Raises InvalidValue or a problem, which name the lines."""
        rows = self.rows(CsvKind(kind), MOST_ENTRIES)
        try:
            return Desired.model_validate({kind: [row.document for row in rows]}).value()
        except ValidationError as error:
            raise of_validation(error.errors(), None, lambda place: _line(place, rows)) from None
        except InvalidValue as error:
            raise InvalidValue(_line_of(error.field, rows), error.why) from None


class _NamedAddress(NewAllocation):
    address: Address
    space: Name = DEFAULT_SPACE


class AllocationTable(_Table):
    """A table of allocations: which owner has which address."""

    def value(self) -> tuple[list[NewAllocation], int]:
        """The rows of owners, and how many are of containers. Raises InvalidValue or a problem."""
        rows = self.rows(CsvKind.ALLOCATIONS, MOST_GIVEN)
        of_owners = [row for row in rows if "container_id" not in row.document]
        wanted: list[NewAllocation] = []
        named: set[tuple[str, IPAddress]] = set()
        for row in of_owners:
            body = _named_address(row)
            key = body.space, parse_address(body.address)
            if key in named:
                raise InvalidValue(f"line {row.line} address", f"{body.address} comes twice")
            named.add(key)
            wanted.append(body)
        return wanted, len(rows) - len(of_owners)


def _named_address(row: CsvRow) -> _NamedAddress:
    try:
        return _NamedAddress.model_validate(row.document)
    except ValidationError as error:
        found = [{**each, "loc": (CsvKind.ALLOCATIONS, 0, *each["loc"])} for each in error.errors()]
        raise of_validation(found, None, lambda place: _line(place, [row])) from None


class ShownGiven(TypedDict):
    """What became of the rows of a table of allocations, or with `dry_run` would become of them.

    `unchanged` rows are of owners who have their address already, `containers` are those of containers,
    which are left alone.
    """

    dry_run: bool
    given: list[ShownGrant]
    unchanged: int
    containers: int


class ShownGrant(TypedDict):
    """An address and who has it now."""

    address: str
    space: str
    owner: str


def _line(place: Sequence[int | str], rows: Sequence[CsvRow]) -> str:
    """The line and the column of a validation error: `("pools", 0, "subnet")`."""
    _, number, *field = place
    return f"line {rows[int(number)].line}" + "".join(f" {part}" for part in field)


def _line_of(field: str, rows: Sequence[CsvRow]) -> str:
    def line(found: re.Match[str]) -> Any:
        return f"line {rows[int(found.group(1))].line} "

    return _ENTRY.sub(line, field, count=1).strip()
