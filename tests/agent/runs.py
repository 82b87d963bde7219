"""Commands of the agent that are run to their end, or killed at a change that they make."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import loaded
from tests.service import EXECUTABLES

AGENT: Final = EXECUTABLES / "ipamd-agent"
SECONDS: Final = 60

_KILL_AT: Final = """
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir")
left = [{moment}]
def watch(event, arguments):
    if event in CHANGES or (event == "open" and arguments[2] & os.O_WRONLY):
        if str(arguments[0]).startswith({root!r}):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
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


def run_agent(*arguments: str | Path, **more: str) -> Ended:
    """Run a command of the agent to its end."""
    return _ended(loaded.run(AGENT, *map(str, arguments), env={**os.environ, **more}, timeout=SECONDS))


def run_agent_after(before: tuple[str, ...], *arguments: str | Path) -> Ended:
    """Run it as what another command executes."""
    command = [*before, str(AGENT), *map(str, arguments)]
    return _ended(subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS))


def run_agent_until(moment: int, root: Path, *arguments: str | Path) -> Ended:
    """Run it until SIGKILL ends it at that change of files under the root."""
    first = _KILL_AT.format(moment=moment, root=str(root))
    return _ended(loaded.run(AGENT, *map(str, arguments), timeout=SECONDS, first=first))


def _ended(done: subprocess.CompletedProcess[str]) -> Ended:
    return Ended(done.returncode, done.stdout, done.stderr.strip())
