"""The agent's command again and again: each run is a fork of one process that has it loaded.

A campaign of kills is a hundred runs, of which each would spend a second on imports.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_SERVER: Final = """
import json, os, signal, sys
from node_agent import command
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir")

def kill_at(moment, root):
    left = [moment]
    def watch(event, arguments):
        if event in CHANGES or (event == "open" and arguments[2] & os.O_WRONLY):
            if str(arguments[0]).startswith(root):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)

for line in sys.stdin:
    run = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, path in ((1, run["out"]), (2, run["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["ipamd-agent", *run["arguments"]]
        if run["moment"] is not None:
            kill_at(run["moment"], run["root"])
        command.main()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    complaint: str

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


class ForkedAgent:
    """Runs commands of `ipamd-agent`; used as a context manager."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def run(self, *arguments: str | Path, root: Path | None = None, moment: int | None = None) -> Ended:
        """Run a command; with a moment it is killed by SIGKILL at that change of files under the root."""
        out, err = (os.path.join(self._folder.name, name) for name in ("out", "err"))  # noqa: PTH118 - text
        order = {"arguments": [*map(str, arguments)], "root": str(root), "moment": moment}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**order, "out": out, "err": err}) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return Ended(code, Path(out).read_text(), Path(err).read_text().strip())
