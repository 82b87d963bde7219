"""Whole processes, as a runtime starts them: spawned, fed from a file, and timed until they are gone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Output = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Call:
    """One process: its command, environment and standard input."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    stdin: Path


@dataclass(frozen=True)
class Done:
    """What became of a call; `cpu` are seconds of its process and of those that it waited for."""

    seconds: float
    status: int
    cpu: float
    stdout: bytes


@dataclass(frozen=True)
class Burst:
    """Calls that were under way together, in the order in which they were given."""

    done: list[Done]
    seconds: float

    @property
    def rate(self) -> float:
        """Processes a second."""
        return len(self.done) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the processes was done; of 1.0 the slowest's."""
        ordered = sorted(1000 * each.seconds for each in self.done)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def run(calls: Sequence[Call], at_once: int, scratch: Path) -> Burst:
    """Run calls, so many under way at a time; their output waits in `scratch` until all are done."""
    running: dict[int, tuple[int, float]] = {}
    ended: dict[int, tuple[float, int, float]] = {}
    waiting = iter(enumerate(calls))
    began = time.perf_counter()
    try:
        _fill(running, waiting, at_once, scratch)
        while running:
            child, status, usage = os.wait3(0)
            now = time.perf_counter()
            if child in running:  # a service that has died is noticed by its callers
                number, started = running.pop(child)
                cpu = usage.ru_utime + usage.ru_stime
                ended[number] = now - started, os.waitstatus_to_exitcode(status), cpu
            _fill(running, waiting, at_once, scratch)
    finally:
        for child in running:  # what an interruption left
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
    seconds = time.perf_counter() - began
    outputs = [(scratch / f"stdout-{number}").read_bytes() for number in range(len(calls))]
    return Burst([Done(*ended[number], outputs[number]) for number in range(len(calls))], seconds)


def _fill(
    running: dict[int, tuple[int, float]], waiting: Iterator[tuple[int, Call]], at_once: int, scratch: Path
) -> None:
    while len(running) < at_once:
        following = next(waiting, None)
        if following is None:
            return
        number, call = following
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, str(call.stdin), os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(scratch / f"stdout-{number}"), Output, 0o600),
        ]
        started = time.perf_counter()
        child = os.posix_spawn(call.command[0], call.command, call.environment, file_actions=actions)
        running[child] = number, started


def cni_environment(verb: str, container: str, netns: str, plugins: Path) -> dict[str, str]:
    """What the specification puts into a plugin's environment."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": container,
        "CNI_NETNS": netns,
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=pod-{container[:10]}",
        "CNI_PATH": str(plugins),
    }


def containers(number: int) -> list[str]:
    """Container IDs that nobody has heard of."""
    return [os.urandom(32).hex() for _ in range(number)]


def addresses(burst: Burst) -> list[str]:
    """The address that each ADD printed; raises if one failed, or two got the same."""
    succeeded(burst)
    found = [entry["address"] for each in burst.done for entry in _result(each)["ips"]]
    assert len(set(found)) == len(found) == len(burst.done), "an address came twice, or not at all"
    return found


def succeeded(burst: Burst) -> None:
    """Raises if a call failed."""
    for each in burst.done:
        assert each.status == 0, each.stdout


def _result(done: Done) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(done.stdout)
    return result
