"""ipamd-veth as a runtime runs it: the source under CPython, and the static file under its second name."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.cni.executable import Finished
from tests.network.namespace import Host
from tests.node_executable import ROOT, static_plugin

Document = dict[str, Any]

NAME: Final = "ipamd-veth"
SECONDS: Final = 60
_START: Final = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from veth_plugin.command import run; run()"


def kinds() -> list[str]:
    """What the tests run."""
    return ["cpython", *(["static"] if static_plugin() is not None else [])]


def put(folder: Path, kind: str) -> Path:
    """Put the plugin into a folder of executables."""
    path = folder / NAME
    if kind == "static":
        static = static_plugin()
        assert static is not None
        path.symlink_to(static)
    else:
        path.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S -c {shlex.quote(_START)}\n")
        path.chmod(0o755)
    return path


@dataclass
class MainPlugin:
    """ipamd-veth on a node; `network` is a configuration that is right but for what a test changes."""

    node: Host
    folder: Path
    network: Document
    container: dict[str, str] = field(default_factory=dict)

    def config(self, **changes: Any) -> Document:
        """Give the network with changes; None takes a key away."""
        values = {**self.network, **changes}
        return {key: value for key, value in values.items() if value is not None}

    def call(self, verb: str, config: Document | bytes | None = None, **more: str | None) -> Finished:
        """Make a call as a runtime does; None takes a variable away."""
        process = self.start(verb, config, **more)
        try:
            stdout, stderr = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
        return Finished(process.returncode, stdout, stderr)

    def start(
        self, verb: str, config: Document | bytes | None = None, **more: str | None
    ) -> "subprocess.Popen[bytes]":
        """Start a call, with its stdin complete."""
        given = self.config() if config is None else config
        variables = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": verb,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(self.folder),
            **self.container,
            **more,
        }
        with tempfile.TemporaryFile() as stdin:
            stdin.write(given if isinstance(given, bytes) else json.dumps(given).encode())
            stdin.seek(0)
            return subprocess.Popen(
                [*self.node.prefix(), str(self.folder / NAME)],
                stdin=stdin,
                env={name: value for name, value in variables.items() if value is not None},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

    def add(self, config: Document | None = None, **more: str | None) -> Document:
        """Make an ADD that must succeed and give its result."""
        ended = self.call("ADD", config, **more)
        assert ended.code == 0, ended
        return ended.json
