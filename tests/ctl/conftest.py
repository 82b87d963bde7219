"""`ipamctl` as an admin runs it: a process with its arguments, its output and its exit code."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import loaded
from tests.service import EXECUTABLES, IpamdProcess


class Ipamctl:
    """Runs `ipamctl` in an environment that names nothing of ipamd but what a test gives."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.environment = dict(environment)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, whatever that is."""
        return loaded.run(EXECUTABLES / "ipamctl", *arguments, env=self._variables())

    @contextlib.contextmanager
    def started(self, *arguments: str, given: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
        """Start it, and see that it has ended when the block ends."""
        with subprocess.Popen(
            [EXECUTABLES / "ipamctl", *arguments],
            env=self._variables(),
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _variables(self) -> dict[str, str]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("IPAMD_", "XDG_"))
        }
        return {**inherited, "HOME": str(self.home), **self.environment}

    def __call__(self, *arguments: str) -> str:
        """Run it, see that it succeeds and complains of nothing, and give what it printed."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), (arguments, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """What it prints for programs."""
        return json.loads(self(*arguments, "-o", "json"))

    def rows(self, *arguments: str) -> list[list[str]]:
        """The cells of a printed table, without its head, split at white space."""
        return [line.split() for line in self(*arguments).splitlines()[1:]]

    def refused(self, *arguments: str, exit_code: int = 1) -> str:
        """Run it, see that it fails with one line and prints nothing else, and give that line."""
        done = self.run(*arguments)
        assert done.returncode == exit_code, (arguments, done.stdout, done.stderr)
        assert done.stdout == ""
        assert done.stderr.startswith("ipamctl: ")
        assert done.stderr.count("\n") == 1
        return done.stderr.removeprefix("ipamctl: ").rstrip("\n")


@pytest.fixture
def lone_ipamctl(scratch: Path) -> Ipamctl:
    """`ipamctl` that was told nowhere to go."""
    return Ipamctl(scratch, {})


@pytest.fixture
def ipamctl(ipamd_process: IpamdProcess) -> Ipamctl:
    """`ipamctl` for the running service, over TCP."""
    return Ipamctl(ipamd_process.folder, {"IPAMD_ENDPOINT": ipamd_process.tcp_endpoint})
