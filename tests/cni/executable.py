"""ipamd-ipam as a runtime runs it: environment, stdin, exit code, stdout, and what it leaves in stateDir."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.node_executable import static_plugin

Document = dict[str, Any]

ROOT: Final = Path(__file__).parents[2]
SECONDS: Final = 60
_START: Final = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from ipam_plugin.command import run; run()"
CPYTHON: Final = (sys.executable, "-I", "-S", "-c", _START)


def executables() -> dict[str, tuple[str, ...]]:
    """Give what the tests run: the source under CPython, and the static executable where it is built."""
    static = static_plugin()
    return {"cpython": CPYTHON} | ({"static": (str(static),)} if static is not None else {})


@dataclass(frozen=True)
class Finished:
    """How a call ended."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def json(self) -> Document:
        value: Document = json.loads(self.stdout)
        return value

    @property
    def error(self) -> Document:
        """The error object of a call that failed as CNI demands."""
        assert self.code == 1, self
        assert self.json["msg"], self
        assert self.json["cniVersion"], self
        return self.json


@dataclass
class Plugin:
    """The executable on one node, whose state folder is the test's."""

    command: tuple[str, ...]
    state: Path
    endpoint: str | list[str]
    before: tuple[str, ...] = ()  # what the runtime wraps around it
    more: dict[str, str] = field(default_factory=dict)

    def config(self, **ipam: Any) -> Document:
        """Give a configuration that is right but for what a test changes."""
        section = {"type": "ipamd-ipam", "endpoint": self.endpoint, "stateDir": str(self.state), **ipam}
        return {
            "cniVersion": "1.0.0",
            "name": "pods",
            "ipam": {key: value for key, value in section.items() if value is not None},
        }

    def environment(self, verb: str, **more: str | None) -> dict[bytes, bytes]:
        """Give the variables of a runtime; None takes one away."""
        variables = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": "/run/netns/gone",
            "CNI_IFNAME": "eth0",
            "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=web-0",
            "CNI_PATH": "/opt/cni/bin",
            "NODE_NAME": "node-a",
            **self.more,
            **more,
        }
        return {
            os.fsencode(name): os.fsencode(value) for name, value in variables.items() if value is not None
        }

    def start(
        self,
        verb: str,
        stdin: Document | bytes | None = None,
        stdout: Any = subprocess.PIPE,
        **more: str | None,
    ) -> "subprocess.Popen[bytes]":
        """Start a call with its stdin complete."""
        given = self.config() if stdin is None else stdin
        data = given if isinstance(given, bytes) else json.dumps(given).encode()
        process = subprocess.Popen(
            [*self.before, *self.command],
            env=self.environment(verb, **more),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        try:
            process.stdin.write(data)
            process.stdin.close()
        except BrokenPipeError:  # it saw what was wrong before it read everything
            pass
        process.stdin = None
        return process

    def call(
        self,
        verb: str,
        stdin: Document | bytes | None = None,
        stdout: Any = subprocess.PIPE,
        **more: str | None,
    ) -> Finished:
        """Make a call and wait for its end."""
        return finish(self.start(verb, stdin, stdout, **more))

    @property
    def spool(self) -> Path:
        return self.state / "spool"

    def waiting(self) -> list[Document]:
        """Give the entries that wait, oldest first."""
        entries = []
        for path in sorted(self.spool.glob("[!.]*.json")):
            with contextlib.suppress(FileNotFoundError):  # another process has just delivered it
                entries.append(json.loads(path.read_bytes()))
        return entries

    def set_aside(self) -> list[Document]:
        """Give the entries that were set aside."""
        return [json.loads(path.read_bytes()) for path in sorted((self.spool / "set-aside").glob("*.json"))]


def finish(process: "subprocess.Popen[bytes]") -> Finished:
    """Wait for the end of a call."""
    try:
        stdout, stderr = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Finished(process.returncode, stdout or b"", stderr)
