"""The agent as users run it: a process beside a service with tokens and TLS."""

import json
import os
import time
from pathlib import Path
from typing import Any, Final

import httpx

from tests import loaded
from tests.agent.runs import AGENT, Ended, run_agent
from tests.cni.executable import Plugin
from tests.cni.node import on_run
from tests.network.namespace import Namespace
from tests.node_executable import node_plugin
from tests.ports import free_port
from tests.service import Process, end_process

NODE: Final = "node-a"  # whom the plugin of these tests calls itself
START_SECONDS: Final = 60
_BIND: Final = """
import ctypes
_libc = ctypes.CDLL(None, use_errno=True)
assert _libc.unshare(0x00020000) == 0 and _libc.mount(None, b"/", None, 0x44000, None) == 0
assert _libc.mount({path!r}, b"/run", None, 4096, None) == 0
"""
_REBOOT: Final = """
import os, time
assert _libc.mount({path!r}, b"/proc/sys/kernel/random/boot_id", None, 4096, None) == 0
assert _libc.unshare(0x80) == 0
with open("/proc/self/timens_offsets", "w") as _offsets:
    _offsets.write(f"boottime -{{int(time.clock_gettime(time.CLOCK_BOOTTIME)) - {uptime}}} 0")
assert _libc.setns(os.open("/proc/self/ns/time_for_children", os.O_RDONLY), 0x80) == 0
"""
_ENTER: Final = """
from cni_plugin import platform
platform.enter_namespace(platform.open_file({path!r}, platform.O_RDONLY | platform.O_CLOEXEC))
"""


class AgentProcess:
    """`ipamd-agent run` that can be stopped, killed and started again on the same state.

    It runs in the network of `machine`, or else in that of the tests. With leases it needs a /run of its own;
    None is what a node has by default.
    """

    def __init__(
        self, folder: Path, endpoint: str, node: str = NODE, *, leases: int | None = 0, **node_json: Any
    ) -> None:
        self.folder = folder
        self.node = node
        self.socket = folder / "run" / "agent.sock"  # a folder that the agent makes
        self.state = folder / "state"
        self.log = folder / "agent.log"
        self.port = free_port()
        self.endpoints = [f"unix://{self.socket}", endpoint]
        self.node_json = folder / "node.json"
        given = {"endpoint": self.endpoints, "node": node, "stateDir": str(self.state), **node_json}
        most = {} if leases is None else {"leases": {"max": leases}}
        self.node_json.write_text(json.dumps(given | most))
        self.options: tuple[str, ...] = ()
        self.machine: Namespace | None = None
        self.run: Path | None = None  # what stands in the place of /run
        self.boot_id: Path | None = None  # what tells in which boot it is, if it has a /run of its own
        self.uptime = 1  # seconds since that boot when the agent starts
        self.process: Process | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The flags that say which agent is meant."""
        return ("--node-json", str(self.node_json), "--socket", str(self.socket))

    def join_with(self, token: str) -> None:
        """Have the agent join with a token."""
        path = self.folder / "join-token"
        path.write_text(f"{token}\n")
        path.chmod(0o600)
        self.options = ("--join-token-file", str(path))

    def start(self) -> None:
        """Start the agent and return when it serves."""
        command = ("run", *self.arguments, "--port", str(self.port), *self.options)
        with self.log.open("ab") as log:
            first = "" if self.machine is None else _ENTER.format(path=str(self.machine.path))
            if self.run is not None:
                first += _BIND.format(path=os.fsencode(self.run))
            if self.boot_id is not None:
                first += _REBOOT.format(path=os.fsencode(self.boot_id), uptime=self.uptime)
            self.process = loaded.start(AGENT, *command, stdout=log, first=first)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the agent did not become ready:\n{self.log.read_text()}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether it serves its socket now."""
        try:
            return self.ask("GET", "/status").is_success
        except httpx.TransportError:
            return False

    def refused(self) -> Ended:
        """Run an agent that is to end by itself."""
        return run_agent("run", *self.arguments, "--port", str(self.port), *self.options)

    def stop(self) -> None:
        """End it as an operator does (SIGTERM)."""
        self._end(kill=False)

    def kill(self) -> None:
        """End it as a crash does (SIGKILL)."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        process, self.process = self.process, None
        if process is not None:
            end_process(process, kill=kill, seconds=30)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask something over the socket."""
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), timeout=10) as client:
            return client.request(method, f"http://localhost{path}", **more)

    def metric(self, name: str) -> float:
        """The value of a metric; its labels are part of its name."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics").text
        [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(line.split()[1])

    def status(self) -> Ended:
        """What a person is told."""
        return run_agent("status", *self.arguments)

    def token(self) -> str:
        """The node's token as it lies on the node."""
        return (self.state / "token").read_text().strip()

    def plugin(self, state: Path | None = None, *, endpoints: list[str] | None = None) -> Plugin:
        """The node's plugin, which has nothing but the agent unless endpoints are given."""
        more = {"NODE_NAME": self.node}
        before = on_run(self.run) if self.run is not None else ()
        given = endpoints or self.endpoints[:1]
        return Plugin((str(node_plugin()),), state or self.state, given, before, more)
