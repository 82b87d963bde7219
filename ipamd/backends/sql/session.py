"""Statements, and the sessions that run them: what differs between databases is behind these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ClauseElement
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Values = tuple[Any, ...]
"""What a driver takes unchanged: None, numbers, text, bytes."""


@dataclass(frozen=True, eq=False, slots=True)
class Statement:
    """A statement, written once for all databases, and the order of its parameters."""

    construct: ClauseElement
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement as one driver takes it.

    `constants` are parameters that the dialect added by itself; `places` are where each parameter is in
    those given and the constants behind them, None if that is already the order.
    """

    text: str
    constants: Values
    places: tuple[int, ...] | None

    def arranged(self, values: Values) -> Values:
        """Parameters in the driver's order."""
        if self.places is None:
            return values
        known = (*values, *self.constants)
        return tuple(known[place] for place in self.places)


def compiled(statement: Statement, dialect: Dialect) -> Compiled:
    """Compile for a dialect with positional parameters."""
    result = statement.construct.compile(dialect=dialect)
    assert isinstance(result, SQLCompiler)  # a statement, not a type or a piece of DDL
    order = result.positiontup or []
    added = [name for name in order if name not in statement.parameters]
    known = {name: place for place, name in enumerate((*statement.parameters, *added))}
    places = tuple(known[name] for name in order)
    constants = tuple(result.params[name] for name in added)
    return Compiled(
        str(result), constants, None if places == tuple(range(len(known))) and not added else places
    )


class DatabaseSession(Protocol):
    """A connection inside a transaction. On SQLite nothing here ever suspends."""

    async def fetch(self, statement: Statement, *values: Any) -> Sequence[Sequence[Any]]:
        """The rows of a query."""
        ...

    async def run(self, statement: Statement, *values: Any) -> int:
        """Run a statement. Returns how many rows it changed."""
        ...

    async def run_many(self, statement: Statement, rows: Sequence[Values]) -> int:
        """Run a statement for each of some rows, at least one. Returns how many rows were changed in all.

        Raises ConstraintViolated if the schema forbids it.
        """
        ...
