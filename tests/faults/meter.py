"""SQLite's own account of what it does: steps of its machine, tables read, statements run."""

import re
import sqlite3
from collections.abc import Callable
from typing import Any, Final

_READ: Final = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)")


class Meter:
    """Watches the connections that are opened through it."""

    def __init__(self, connect: Callable[..., sqlite3.Connection]) -> None:
        self._connect = connect
        self.steps = 0
        self.statements: list[str] = []

    def connect(self, *positional: Any, **named: Any) -> sqlite3.Connection:
        connection = self._connect(*positional, **named)
        connection.set_progress_handler(self._step, 1)
        connection.set_trace_callback(self.statements.append)
        return connection

    @property
    def tables(self) -> set[str]:
        """The tables that statements have read."""
        return {table for statement in self.statements for table in _READ.findall(statement)}

    def reset(self) -> None:
        self.steps = 0
        self.statements.clear()

    def _step(self) -> int:
        self.steps += 1
        return 0
