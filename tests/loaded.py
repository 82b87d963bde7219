"""Commands of ours that are loaded once: each run is a fork of a process that has done the imports.

Imports are most of what a start costs, and the tests start these commands a thousand times.
`tests/ctl/test_loaded_commands.py` fails if a run still imports much.
`tests/ctl/test_ipamd_command.py` and `tests/release/deploy` run the executables themselves.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Final

COMMANDS: Final = {
    "ipamd": (
        *("ipamd.cli", "ipamd.cli.serving", "ipamd.backends.migrations"),
        *("ipamd.api.admin_api", "ipamd.web.application"),
        *("ipamd.backends.sql.sqlite.backend", "ipamd.backends.sql.sqlite.migrating"),
        *("ipamd.backends.sql.postgres.backend", "ipamd.backends.sql.postgres.migrating"),
        *("alembic.command", "alembic.config", "alembic.ext.checkconstraint_byname"),
        *("anyio._backends._asyncio", "pydantic.types", "uvicorn.lifespan.off"),
    ),
    "ipamctl": ("ipamd.ctl", "anyio", "h11", "httpcore", "pydantic.type_adapter", "pydantic.types"),
    "ipamd-agent": (
        *(
            "node_agent.command",
            "node_agent.command_line",
            "node_agent.running",
            "node_agent.status",
            "hosting.logs",
            "uvloop",
        ),
        *("anyio._backends._asyncio", "certifi", "h11", "httpcore", "pydantic.type_adapter"),
        *("pydantic.types", "uvicorn.lifespan.off", "uvicorn.protocols.http.httptools_impl"),
    ),
}
"""The module whose `main` each executable runs, and modules that it loads later."""

_LONGEST: Final = 1 << 17
_LOADED: Final = f"""
import gc, importlib, json, os, signal, socket, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
asked = socket.socket(fileno=int(sys.argv[1]))
main = [importlib.import_module(name) for name in sys.argv[2:]][0].main
gc.freeze()
while True:
    message, passed, _, _ = socket.recv_fds(asked, {_LONGEST}, 3)
    if not message:
        sys.exit()
    order = json.loads(message)
    if "ended" in order:
        answer = os.waitstatus_to_exitcode(os.waitpid(order["ended"], 0)[1])
    else:
        answer = os.fork()
        if answer == 0:
            break
        for descriptor in passed:
            os.close(descriptor)
    asked.send(str(answer).encode())
asked.close()
signal.signal(signal.SIGINT, signal.default_int_handler)
for number, descriptor in enumerate(passed):
    os.dup2(descriptor, number)
    os.close(descriptor)
os.environ.clear()
os.environ.update(order["environment"])
time.tzset()
sys.argv = order["command"]
exec(order["first"])
main()
"""


class LoadedProcess:
    """One run: what `subprocess.Popen` offers of a process whose output goes to files."""

    def __init__(self, loaded: _Loaded, pid: int, command: list[str]) -> None:
        self.pid = pid
        self.args = command
        self.returncode: int | None = None
        self._loaded = loaded
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """How it ended, None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raise if that does not come in time."""
        code = self._ended(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._handle, select.POLLIN)
            if waiting.poll(None if seconds is None else seconds * 1000):
                self.returncode = self._loaded.ask({"ended": self.pid})
                os.close(self._handle)
        return self.returncode


class _Loaded:
    """The process that has a command loaded."""

    def __init__(self, *modules: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            given = theirs.fileno()
            arguments = [sys.executable, "-c", _LOADED, str(given), *modules]
            nothing = subprocess.DEVNULL
            self._process = subprocess.Popen(arguments, stdin=nothing, stdout=nothing, pass_fds=[given])
        self._asking = ours
        self._turn = threading.Lock()
        atexit.register(self._end)

    def ask(self, order: Mapping[str, object], *passed: int) -> int:
        """Have it do something; the number that it answers."""
        with self._turn:
            socket.send_fds(self._asking, [json.dumps(order).encode()], passed)
            answer = self._asking.recv(_LONGEST)
        assert answer, "the process that has the command loaded has ended"
        return int(answer)

    def _end(self) -> None:
        self._asking.close()
        self._process.wait()


@cache
def _loaded(command: str) -> _Loaded:
    return _Loaded(*COMMANDS[command])


def start(
    executable: Path,
    *arguments: str,
    stdout: IO[bytes],
    stderr: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    first: str = "",
) -> LoadedProcess:
    """Start a command with nothing on its stdin; `first` is Python that its process runs before it."""
    command = [str(executable), *arguments]
    loaded = _loaded(executable.name)
    environment = dict(os.environ if env is None else env)
    order = {"command": command, "environment": environment, "first": first}
    with Path(os.devnull).open("rb") as nothing:
        files = (nothing, stdout, stderr or stdout)
        pid = loaded.ask(order, *(file.fileno() for file in files))
    return LoadedProcess(loaded, pid, command)


def run(
    executable: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
    first: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, however that is; kill it where that does not come in time."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(executable, *arguments, stdout=out, stderr=err, env=env, first=first)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
            process.wait()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="surrogateescape"))
    return subprocess.CompletedProcess(process.args, code, *texts)
