"""A machine with its memory and disk: a runtime that calls the plugin, and an agent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

from cni_plugin import clock, configuration, http, platform
from cni_plugin.clock import Deadline, Moment
from cni_plugin.endpoint import Endpoint
from cni_plugin.environment import Invocation
from cni_plugin.reply import Reply
from cni_plugin.response import Response
from ipam_plugin import command, last_add, leases
from node_agent import machine as own_machine
from node_agent.facts import Facts
from node_agent.leasing.keeping import Leasing
from node_agent.node import MACHINE, Node
from node_agent.relay.holding_back import at_once
from node_agent.relay.membership import Membership
from node_agent.relay.upstream import Silent
from tests.lease_store import LeaseStore
from tests.simulation.network import Link, LinkedUpstream, Serve
from tests.simulation.time import NS, Life, Loop, Time, booted, is_of_a_process

CLUSTER: Final = "default"
AT_THE_NETWORK: Final = -1
"""A plugin is killed when ipamd has its request."""


class Killed(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Ended:
    """What a runtime sees of a call. The code is None if the plugin was killed."""

    code: int | None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """A plugin that was started, at this moment."""

    verb: str
    container: str
    issued: Moment
    config: bytes


@dataclass(frozen=True)
class Snapshot:
    """A machine's memory and disk, and the boot and the uptime that they are of."""

    folder: Path
    boot: str
    uptime: int


class _Heard(Reply):
    """Takes what the plugin writes."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


class Machine:
    """One machine. `identity` tells it from others that think that they are the same node."""

    def __init__(
        self, name: str, identity: str, folder: Path, loop: Loop, passing: Time, serve: Serve, seats: int
    ) -> None:
        self.name = name
        self.identity = identity
        self.link = Link(serve)
        self._loop = loop
        self._time = passing
        self._seats = seats
        self._memory = folder / identity / "memory"
        self.disk = folder / identity / "disk"
        self.disk.mkdir(parents=True)
        self._boots = 0
        self._life: Life | None = None
        self._lives: list[Life] = []
        self._leasing: Leasing | None = None
        self.boot_up()

    @property
    def path(self) -> Path:
        """Its store."""
        return self._memory / "leases" / "store"

    @property
    def store(self) -> LeaseStore:
        return LeaseStore.at(self.path)

    @property
    def is_agent_there(self) -> bool:
        return self._life is not None

    @property
    def uptime(self) -> int:
        """Its CLOCK_BOOTTIME, in nanoseconds."""
        return self._time.now - self.booted

    def boot_up(self) -> None:
        """Begin a boot, with empty memory."""
        self._boots += 1
        number = self._boots * 0x10000 + int.from_bytes(self.identity.encode()[-1:], "big")
        self.boot = str(UUID(int=number))
        self.booted = self._time.now - 10 * NS
        shutil.rmtree(self._memory, ignore_errors=True)
        self._memory.mkdir()
        (self._memory / "boot_id").write_text(f"{self.boot}\n")

    def power_cut(self) -> None:
        """All processes end at once, and what was in memory is gone."""
        self.kill_agent()
        self.boot_up()

    def take_snapshot(self) -> Snapshot:
        """Copy memory and disk, as one does with a virtual machine."""
        number = len(list(self._memory.parent.glob("snapshot-*")))
        folder = self._memory.with_name(f"snapshot-{number}")
        shutil.copytree(self._memory.parent, folder, ignore=shutil.ignore_patterns("snapshot-*"))
        return Snapshot(folder, self.boot, self.uptime)

    def put_back(self, snapshot: Snapshot) -> None:
        """Go on as it was. Its clock since boot goes on from then, and so does its agent."""
        self.kill_agent()
        for part in (self._memory, self.disk):
            shutil.rmtree(part)
            shutil.copytree(snapshot.folder / part.name, part)
        self.boot, self.booted = snapshot.boot, self._time.now - snapshot.uptime
        self.start_agent()

    def copy_disk(self, other: Machine) -> None:
        """Have the disk of another machine."""
        shutil.copytree(other.disk, self.disk, dirs_exist_ok=True)

    # The agent.

    def start_agent(self) -> None:
        """Run the agent, unless it runs."""
        if self._life is None:
            self.start_another_agent()

    def start_another_agent(self) -> None:
        """Run a new agent beside the one that runs, as in an update. The new one sees calls from now on."""
        context = copy_context()
        context.run(booted.set, self.booted)
        life = self._life = Life(context)
        self._lives.append(life)

        async def start() -> None:
            with self._own_files():
                self._leasing = self._made()
            life.start(self._leasing.keep())

        self._loop.run_until_complete(start())

    def kill_agent(self) -> None:
        """End all agents, wherever they are."""
        while self._lives:
            self.kill_oldest_agent()
        self._life = self._leasing = None

    def kill_oldest_agent(self) -> None:
        """End the agent that began first."""
        self._loop.run_until_complete(self._lives.pop(0).kill())

    def _made(self) -> Leasing:
        node = Node(self.name, CLUSTER, self.disk, (), self.disk / "token", {})
        upstream, facts = LinkedUpstream(self.link), Facts()
        return Leasing(node, self._seats, upstream, Membership(node, None, upstream, facts), facts, at_once)

    # The plugin.

    def config(self, **more: Any) -> bytes:
        """The network configuration of this machine."""
        section = {
            "type": "ipamd-ipam",
            "node": self.name,
            "endpoint": "unix:///run/ipamd/ipamd.sock",
            "stateDir": str(self.disk),
            "timeout": 5,
        }
        return json.dumps({"cniVersion": "1.0.0", "name": "pods", "ipam": section | more}).encode()

    def begin(self, verb: str, container: str, config: bytes | None = None) -> Call:
        """Start a plugin, which has read its clock and its configuration."""
        self._time.advance(0)  # no two calls have the same moment
        now = self._time.now
        return Call(
            verb,
            container,
            Moment(self.boot, now - self.booted, self._time.wall_ns()),
            config or self.config(),
        )

    def call(self, verb: str, container: str, *, kill: int | None = None, knows_leases: bool = True) -> Ended:
        """Run a plugin to its end, or until it is killed at its write number `kill`."""
        return self.finish(self.begin(verb, container), kill=kill, knows_leases=knows_leases)

    def finish(self, call: Call, *, kill: int | None = None, knows_leases: bool = True) -> Ended:
        """Let a plugin run to its end that was started."""
        values = {
            "CNI_CONTAINERID": call.container,
            "CNI_NETNS": "/gone",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/bin",
        }
        reply = _Heard()
        config = call.config
        with self._own_files(), self._linked(kill), self._path_known(knows_leases):
            token = booted.set(self.booted)
            try:
                invocation = Invocation(call.verb, values, False)
                execution = command.execute(invocation, call.issued, configuration.decode(config), reply)
                command.deliver(execution)
            except Killed:
                return Ended(None)
            finally:
                booted.reset(token)
        if reply.code:
            return Ended(json.loads(reply.data)["code"])
        given = json.loads(reply.data)["ips"] if call.verb == "ADD" else []
        return Ended(0, tuple(each["address"].partition("/")[0] for each in given))

    def unreported(self) -> Sequence[dict[str, Any]]:
        """The events of its store that ipamd did not acknowledge."""
        return LeaseStore.at(self.path).events() if self.path.exists() else []

    def waiting(self) -> int:
        """How many releases wait in the spool."""
        return len(list((self.disk / "spool").glob("*.json")))

    def _post(self, kill: int | None) -> Callable[..., Response]:
        def post(
            one: Endpoint,
            path: str,
            headers: list[tuple[str, str]],
            body: bytes,
            deadline: Deadline,
            *,
            tls: tuple[bytes, bytes, bytes],
            is_only: bool,
        ) -> Response:
            if self._leasing is not None and path.endswith("/add"):
                self._leasing.saw(body)
            try:
                answer = self._loop.run_until_complete(
                    self.link.ask(path, body, max(deadline.left_ms(), 1) / 1000)
                )
            except Silent as silent:
                raise http.Lost(str(silent), silent.doubtful) from None
            if kill == AT_THE_NETWORK:
                raise Killed
            response = Response()
            response.status, response.body = answer.status, answer.body
            return response

        return post

    @contextmanager
    def _linked(self, kill: int | None) -> Iterator[None]:
        left = iter(range(kill)) if kill is not None and kill >= 0 else None
        write_at = platform.write_at

        def write(file: int, data: bytes, offset: int) -> int:
            if left is not None and not is_of_a_process() and next(left, None) is None:
                raise Killed
            return write_at(file, data, offset)

        with (
            patch.object(http, "post", self._post(kill)),
            patch.object(platform, "write_at", write),
            patch.object(platform, "random_number", lambda: 7),
        ):
            yield

    @contextmanager
    def _path_known(self, knows_leases: bool) -> Iterator[None]:
        with patch.object(leases, "PATH", str(self.path if knows_leases else self.disk / "nowhere")):
            yield

    @contextmanager
    def _own_files(self) -> Iterator[None]:
        """Have code that runs now find the files of this machine."""
        (self.disk / MACHINE).write_text(self.identity)
        with ExitStack() as stack:
            stack.enter_context(patch.object(leases, "PATH", str(self.path)))
            stack.enter_context(patch.object(own_machine, "_BOOT", self._memory / "boot_id"))
            stack.enter_context(patch.object(clock, "_BOOT_ID", str(self._memory / "boot_id")))
            stack.enter_context(patch.object(own_machine, "_IDENTITIES", ()))
            stack.enter_context(patch.object(last_add, "STATE_DIR", str(self.disk)))
            yield
