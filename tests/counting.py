"""A service on SQLite that writes down every statement it runs, as SQLite itself tells of it."""

import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.service import EXECUTABLES, IpamdProcess

STEPS = 100
"""After so many steps of SQLite's machine a mark is written."""

_MARK = "+"
_EXECUTABLE = """#!{python}
import os, sqlite3, sys
file = os.open({told!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def ran(text):
    os.write(file, " ".join(text.split()).encode() + b"\\n")
def stepped():
    os.write(file, b"{mark}\\n")
    return 0
connect = sqlite3.connect
def watched(*given, **named):
    made = connect(*given, **named)
    made.set_trace_callback(ran)
    made.set_progress_handler(stepped, {steps})
    return made
sqlite3.connect = watched
sys.argv[0] = {ipamd!r}
from ipamd.cli import main
main()
"""
_BOUNDS = ("BEGIN", "COMMIT", "ROLLBACK")
_WITHIN = "-- "
"""Before what SQLite runs by itself within a statement: for a trigger, or for its full-text index."""


@dataclass(frozen=True)
class Cost:
    """What a request took of the database, and its answer. `steps` is rounded down to `STEPS`."""

    ran: tuple[str, ...]
    steps: int
    answer: bytes

    @property
    def statements(self) -> int:
        return len(self.ran)


class Counted:
    """A service whose statements are counted when it is started within `counting`."""

    def __init__(self, service: IpamdProcess) -> None:
        self._service = service
        self._told = service.folder / "statements"

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Have the service write its statements down from its next start on."""
        executable = self._service.folder / "counted" / "ipamd"
        executable.parent.mkdir(exist_ok=True)
        text = _EXECUTABLE.format(
            python=sys.executable,
            told=str(self._told),
            mark=_MARK,
            steps=STEPS,
            ipamd=str(EXECUTABLES / "ipamd"),
        )
        executable.write_text(text)
        executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
        usual, self._service.executables = self._service.executables, Path(executable.parent)
        try:
            yield
        finally:
            self._service.executables = usual

    def asked(self, path: str, times: int = 3) -> Cost:
        """The cost of a GET: the least of some, for ipamd looks for changes beside it."""
        return min((self._asked(path) for _ in range(times)), key=lambda cost: (cost.statements, cost.steps))

    def _asked(self, path: str) -> Cost:
        begin = self._told.stat().st_size
        answer = self._service.http.get(path)
        assert answer.is_success or answer.is_redirect, (path, answer.status_code, answer.text[:500])
        with self._told.open("rb") as told:
            told.seek(begin)
            lines = told.read().decode().splitlines()
        ran = tuple(line for line in lines if line != _MARK and not line.startswith((*_BOUNDS, _WITHIN)))
        return Cost(ran, STEPS * lines.count(_MARK), answer.content)
