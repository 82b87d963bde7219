"""A service on SQLite that writes down every statement it runs, as SQLite itself tells of it."""

import stat
import sys
from pathlib import Path

from tests.service import EXECUTABLES, IpamdProcess

STEPS = 100
"""After so many steps of SQLite's machine a mark is written."""

_EXECUTABLE = """#!{python}
import os, sqlite3, sys
file = os.open({told!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
ran = lambda text: os.write(file, " ".join(text.split()).encode() + b"\\n")
stepped = lambda: os.write(file, b"+\\n") and 0
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


class Counted:
    """What a service is to run its statements before; it is started afterwards."""

    def __init__(self, service: IpamdProcess) -> None:
        self._http = service.http
        self._told = service.folder / "statements"
        executable = service.folder / "counted" / "ipamd"
        executable.parent.mkdir(exist_ok=True)
        executable.write_text(
            _EXECUTABLE.format(
                python=sys.executable, told=str(self._told), steps=STEPS, ipamd=str(EXECUTABLES / "ipamd")
            )
        )
        executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
        service.executables = Path(executable.parent)

    def asked(self, path: str, times: int = 3) -> tuple[int, int, bytes]:
        """Statements, marks of steps, and the body of a GET: the fewest of some requests."""
        found = []
        for _ in range(times):
            begin = self._told.stat().st_size
            answer = self._http.get(path)
            assert answer.is_success or answer.is_redirect, (path, answer.status_code, answer.text[:500])
            with self._told.open("rb") as told:
                told.seek(begin)
                lines = told.read().decode().splitlines()
            marks = lines.count("+")
            statements = [line for line in lines if line != "+" and not line.startswith(_BOUNDS)]
            found.append((len(statements), marks, answer.content, statements))
        fewest = min(found, key=lambda each: each[:2])
        self.statements = fewest[3]
        return fewest[:3]
