"""A table of pools or reservations as a file to apply, with the lines of what is wrong in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from ipamd.api.problem_handlers import of_validation
from ipamd.api.schemas.desired import Desired
from ipamd.api.schemas.text import Document
from ipamd.engine.administration.applying import DesiredState
from ipamd.models import csv_table
from ipamd.models.csv_table import CsvError, CsvKind, CsvRow
from ipamd.models.errors import InvalidValue
from ipamd.models.limits import MOST_ENTRIES

_ENTRY: Final = re.compile(r"(?:pools|reservations)\[([0-9]+)\]\.?")
AppliedKind = Literal["pools", "reservations"]


class Table(Document):
    """A table as text: what a spreadsheet saves as CSV in UTF-8, with a line that names its columns.

    With `prune` what it does not name is deleted. With `dry_run` nothing changes, and the answer says what
    would change.
    """

    text: Annotated[str, Field(max_length=4 << 20)]
    prune: bool = False
    dry_run: bool = False

    def value(self, kind: AppliedKind) -> DesiredState:
        """What the table says. Raises InvalidValue or a problem, which name the lines."""
        try:
            text = csv_table.decoded(self.text.encode())
            rows = list(csv_table.read(CsvKind(kind), text, MOST_ENTRIES))
        except CsvError as error:
            raise InvalidValue(f"line {error.line}", error.why) from None
        try:
            return Desired.model_validate({kind: [row.document for row in rows]}).value()
        except ValidationError as error:
            raise of_validation(error.errors(), None, lambda place: _line(place, rows)) from None
        except InvalidValue as error:
            raise InvalidValue(_line_of(error.field, rows), error.why) from None


def _line(place: Sequence[int | str], rows: Sequence[CsvRow]) -> str:
    """The line and the column of a validation error: `("pools", 0, "subnet")`."""
    _, number, *field = place
    return f"line {rows[int(number)].line}" + "".join(f" {part}" for part in field)


def _line_of(field: str, rows: Sequence[CsvRow]) -> str:
    def line(found: re.Match[str]) -> Any:
        return f"line {rows[int(found.group(1))].line} "

    return _ENTRY.sub(line, field, count=1).strip()
