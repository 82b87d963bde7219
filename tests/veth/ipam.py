"""A third party's IPAM plugin, which answers what a test says and keeps what it was asked."""

import json
from pathlib import Path
from typing import Any, Final

Document = dict[str, Any]

NAME: Final = "third-party"
ANSWER: Final = {"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.7/24", "gateway": "10.5.0.1"}]}
_PLUGIN: Final = """#!/bin/sh
here={folder}/$CNI_COMMAND
cat > "$here.stdin"
env > "$here.environment"
echo "$CNI_COMMAND" >> {folder}/calls
echo "a word of $CNI_COMMAND for people" >&2
[ ! -e "$here.script" ] || . "$here.script"
[ ! -e "$here.answer" ] || cat "$here.answer"
[ ! -e "$here.fails" ]
"""


class ThirdParty:
    """The plugin in a folder of executables."""

    def __init__(self, plugins: Path, scratch: Path) -> None:
        self._folder = scratch / NAME
        self._folder.mkdir()
        path = plugins / NAME
        path.write_text(_PLUGIN.format(folder=self._folder))
        path.chmod(0o755)
        self.answers("ADD", ANSWER)

    def answers(self, verb: str, answer: Document | bytes, *, fails: bool = False) -> None:
        """Say what it answers to a verb."""
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        (self._folder / f"{verb}.answer").write_bytes(data)
        if fails:
            (self._folder / f"{verb}.fails").touch()

    def runs(self, verb: str, script: str) -> None:
        """Say what it does before it answers."""
        (self._folder / f"{verb}.script").write_text(script)

    @property
    def calls(self) -> list[str]:
        """The verbs that it was asked, in order."""
        path = self._folder / "calls"
        return path.read_text().split() if path.exists() else []

    def stdin(self, verb: str) -> bytes:
        """What it was given the last time."""
        return (self._folder / f"{verb}.stdin").read_bytes()

    def environment(self, verb: str) -> dict[str, str]:
        lines = (self._folder / f"{verb}.environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)
