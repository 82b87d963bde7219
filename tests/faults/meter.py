"""SQLite's own account of what it does: steps of its machine, tables read, statements run."""

import sqlite3
from collections.abc import Callable
from typing import Any, Final

_READ: Final = 20  # SQLITE_READ, an authorizer's action: a column of a table is read


class Meter:
    """Watches the connections that are opened through it."""

    def __init__(self, connect: Callable[..., sqlite3.Connection]) -> None:
        self._connect = connect
        self.steps = 0
        self.tables: set[str] = set()  # noted when a statement is prepared: once for each connection
        self.statements: list[str] = []

    def connect(self, *positional: Any, **named: Any) -> sqlite3.Connection:
        connection = self._connect(*positional, **named)
        connection.set_progress_handler(self._step, 1)
        connection.set_authorizer(self._note)
        connection.set_trace_callback(self.statements.append)
        return connection

    def reset(self) -> None:
        self.steps = 0
        self.tables.clear()
        self.statements.clear()

    def _step(self) -> int:
        self.steps += 1
        return 0

    def _note(self, action: int, table: str | None, *_: str | None) -> int:
        if action == _READ and table is not None:
            self.tables.add(table)
        return sqlite3.SQLITE_OK
