"""ipamd-veth under strace, which lets one system call fail, take its time, or kill the process."""

import re
from pathlib import Path

from tests.veth.executable import NAME, MainPlugin


class Injecting:
    """The plugin under strace; `follows` says that its other processes are traced too."""

    def __init__(self, plugin: MainPlugin, scratch: Path, *, follows: bool = False) -> None:
        (scratch / "real").mkdir()
        self._real = scratch / "real" / NAME  # the static file knows by its name what it is
        self._path = plugin.folder / NAME
        self._log = scratch / "strace"
        self._follows = "-f" if follows else ""
        self._path.rename(self._real)
        self.at("sendto", "", 0)

    def at(self, call: str, what: str, number: int) -> None:
        """Say what happens at which of the calls; without a word nothing does."""
        inject = f"-e inject={call}:{what}:when={number}" if what else ""
        traced = f"-e trace={call},exit_group {inject} {self._follows}"
        self._path.write_text(f"#!/bin/sh\nexec strace -qq -o {self._log} {traced} {self._real}\n")
        self._path.chmod(0o755)

    def counted(self, call: str) -> int:
        """How often the last call of the plugin made that system call."""
        return len(re.findall(rf"^{call}\(", self._log.read_text(), re.MULTILINE))

    @property
    def log(self) -> str:
        """What strace saw of the last call."""
        return self._log.read_text()
