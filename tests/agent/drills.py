"""Drills of docs/drills.md: the commands of a chapter, which must print what stands below them."""

import os
import re
import shlex
import subprocess
from typing import Final

from tests import loaded
from tests.agent.process import AgentProcess
from tests.node_executable import ROOT
from tests.service import EXECUTABLES, IpamdProcess

PAGE: Final = ROOT / "docs" / "drills.md"
SOCKET: Final = re.compile(r"unix://[^ :]*/")
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
BLOCK: Final = re.compile(r"```(console|json)\n(.*?)```", re.DOTALL)
NO_TIME: Final = re.compile(r"; [^ ;]+: no time left")
"""Of an attempt of the plugin that began as its time was over, as happens now and then."""

LEFT_OUT: Final = "…\n"
"""In the place of first lines that do not matter."""
SECONDS: Final = 60


class Drill:
    """A chapter of the page, run beside a service. On the page its files stand where a package has them."""

    def __init__(self, title: str, service: IpamdProcess, **replicas: IpamdProcess) -> None:
        """Replicas are by the names of their hosts on the page, with `_` for `-`."""
        self._service = service
        self._places = {
            f"//{name.replace('_', '-')}:8750": f"//127.0.0.1:{replica.port}"
            for name, replica in replicas.items()
        }
        self.agent: AgentProcess | None = None  # whose status is asked for
        _, found, rest = PAGE.read_text().partition(f"\n## {title}\n")
        assert found, f"{PAGE} has no chapter {title!r}"
        blocks = BLOCK.findall(rest.partition("\n## ")[0])
        self._answers = [text for kind, text in blocks if kind == "json"]
        self._steps = [step for kind, text in blocks if kind == "console" for step in _steps(text)]

    def goes_on(self) -> None:
        """Run the next command of the chapter, and compare."""
        command, shown = self._steps.pop(0)
        printed = self._printed(command)
        if shown.startswith(LEFT_OUT):
            assert _comparable(printed).endswith(_comparable(shown.removeprefix(LEFT_OUT))), printed
        else:
            assert _comparable(printed) == _comparable(shown), f"{command}\n{printed}"

    def until(self, command: str) -> None:
        """Take the next command for done, which must be this one: the test does it in its own way."""
        assert self._steps.pop(0) == (command, "")

    def answers(self, printed: str) -> None:
        """Compare what a plugin printed with the next answer on the page."""
        shown = self._answers.pop(0)
        for place, here in self._places.items():
            printed = printed.replace(here, place)
        assert _comparable(NO_TIME.sub("", printed)) == _comparable(shown), printed

    def ends(self) -> None:
        """Nothing of the chapter is left."""
        assert (self._steps, self._answers) == ([], [])

    def _printed(self, command: str) -> str:
        service = self._service
        for place, here in self._places.items():
            command = command.replace(place, here)
        if command == "ipamd-agent status":
            assert self.agent is not None
            ended = self.agent.status()
            return ended.out + ended.complaint
        variables = {**os.environ, "IPAMD_ENDPOINT": service.endpoint, "HOME": str(service.folder)}
        if command.startswith("ipamctl ") and ("remove" not in command or "--yes" in command):
            done = loaded.run(EXECUTABLES / "ipamctl", *shlex.split(command)[1:], env=variables)
            return done.stdout + done.stderr
        command = command.replace(":8750/", f":{service.port}/").replace(
            "/var/lib/ipamd/", f"{service.folder}/"
        )
        done = subprocess.run(
            ["bash", "-c", command.replace("/backup/", f"{service.folder}/backup-")],
            env=variables | {"PATH": f"{EXECUTABLES}:{os.environ['PATH']}"},
            cwd=service.folder,
            input="y\n",
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.stdout + done.stderr


def _steps(text: str) -> list[tuple[str, str]]:
    """The commands of a block, each with what stands below it."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def _comparable(text: str) -> str:
    """A text without what differs from run to run: moments, the breadth of columns, a typed yes."""
    text = SOCKET.sub("unix:///run/ipamd/", MOMENT.sub("MOMENT", text)).replace("[y/N] y", "[y/N]")
    text = re.sub(r"^(…|MOMENT) ", "", text, flags=re.MULTILINE)
    return " ".join(text.split())
