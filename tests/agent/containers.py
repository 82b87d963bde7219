"""A node with an agent, and the namespaces of its containers, each kept in one way alone."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.agent.process import AgentProcess
from tests.network.namespace import NAMED, Namespace, run
from tests.network.spare_inodes import SpareInodes
from tests.service import IpamdProcess
from tests.waiting import eventually


class Node:
    """A node with an agent, whose containers are namespaces and processes."""

    def __init__(
        self, service: IpamdProcess, agent: AgentProcess, spare: SpareInodes, stack: ExitStack
    ) -> None:
        self.service = service
        self.agent = agent
        self.plugin = agent.plugin(endpoints=[service.endpoint])  # whether the agent runs or not
        self._spare = spare
        self._stack = stack

    def add(self, container: str, netns: Path | str) -> str:
        """A container begins; its address."""
        ended = self.plugin.call("ADD", CNI_CONTAINERID=container, CNI_NETNS=str(netns))
        assert ended.code == 0, ended
        address: str = ended.json["ips"][0]["address"]
        return address.partition("/")[0]

    def dies(self, namespace: Namespace) -> None:
        """The namespace of a container goes, and its runtime says nothing."""
        self.lets_inodes_go()
        run("umount", str(namespace.path))

    def lets_inodes_go(self) -> None:
        """Before namespaces go: strangers shall take other inodes than theirs."""
        self._spare.free()

    def delete(self, container: str) -> None:
        """A container ends, and its runtime says so."""
        assert self.plugin.call("DEL", CNI_CONTAINERID=container).code == 0

    def process(self, *before: str, code: str = "pass") -> subprocess.Popen[bytes]:
        """A process that does something, says so, and lives on."""
        done = f"import os, time; {code}; print('done', flush=True); time.sleep(600)"
        python = [sys.executable, "-I", "-S", "-c", done]
        process = subprocess.Popen([*before, *python], stdout=subprocess.PIPE)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    def freeze(self, process: subprocess.Popen[bytes]) -> None:
        """Freeze a process as a runtime does that pauses its container, or makes a checkpoint of it."""
        group = _cgroups() / f"ipamd-{os.getpid()}-{process.pid}"
        group.mkdir()
        self._stack.callback(eventually, lambda: _is_gone(group))
        self._stack.callback(process.kill)
        self._stack.callback((group / "cgroup.freeze").write_text, "0")
        (group / "cgroup.procs").write_text(str(process.pid))
        (group / "cgroup.freeze").write_text("1")
        eventually(lambda: "frozen 1" in (group / "cgroup.events").read_text())

    def unmounts(self, file: Path) -> None:
        """Unmount a file at the end, if it is mounted still."""
        self._stack.callback(subprocess.run, ["umount", str(file)], capture_output=True, check=False)

    def held(self) -> set[str]:
        return {item["container_id"] for item in self.service.allocations()}

    def looks(self, times: int = 4) -> None:
        """Wait until the agent has told of so many further looks: two of them free what is dead."""
        first = self.told()
        eventually(lambda: self.told() >= first + times)

    def told(self) -> int:
        found: int = self.agent.ask("GET", "/status").json()["containers"]["looks"]
        return found


class Kept:
    """Namespaces that are each kept in one way alone."""

    KINDS = (
        "by-a-process",
        "by-a-stopped-process",
        "by-a-frozen-process",
        "by-a-mount-elsewhere",
        "by-a-mount-in-a-nested-namespace",
        "by-an-open-file",
        "by-a-mount",
    )
    """A checkpoint freezes its container, and then leaves the mount alone.

    The mount comes last: a mount namespace that is made later would have a copy of it.
    """

    def __init__(self, node: Node, folder: Path) -> None:
        self._node = node
        self._folder = folder
        self.inodes: dict[str, int] = {}
        self._made: list[tuple[str, subprocess.Popen[bytes], Path, subprocess.Popen[bytes] | None]] = []

    def make(self, kind: str) -> str:
        """A namespace in which a process is, and what will keep it."""
        inside = self._node.process("unshare", "--net")
        netns = f"/proc/{inside.pid}/ns/net"
        self.inodes[kind] = Path(netns).stat().st_ino
        file = self._folder / f"{kind}-{inside.pid}"
        file.touch()
        keeper = None
        if kind == "by-a-mount":
            run("mount", "--bind", netns, str(file))
            self._node.unmounts(file)
        elif kind in ("by-a-mount-elsewhere", "by-a-mount-in-a-nested-namespace"):
            mount = f"os.system('mount --bind {netns} {file}')"
            nested = ("unshare", "--mount") * (1 if kind == "by-a-mount-elsewhere" else 2)
            keeper = self._node.process(*nested, code=mount)
        elif kind == "by-an-open-file":
            keeper = self._node.process(code=f"kept = open({netns!r})")
        self._made.append((kind, inside, file, keeper))
        return netns

    def let_go_of_processes(self) -> None:
        """Leave each namespace only what is to keep it."""
        for kind, inside, _, _ in self._made:
            if kind == "by-a-stopped-process":
                os.kill(inside.pid, signal.SIGSTOP)
            elif kind == "by-a-frozen-process":
                self._node.freeze(inside)
            elif kind != "by-a-process":
                end(inside)

    def let_go(self) -> None:
        """Keep none."""
        self._node.lets_inodes_go()
        for kind, inside, file, keeper in self._made:
            end(inside)
            if kind == "by-a-mount":
                run("umount", str(file))
            if keeper is not None:
                end(keeper)


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def namespaces_in_use() -> set[int]:
    """The inodes of network namespaces in which a process is, or which have a name."""
    found = set()
    for path in (*Path("/proc").glob("[0-9]*/ns/net"), *NAMED.iterdir()):
        with suppress(OSError):  # it has ended meanwhile
            found.add(path.stat().st_ino)
    return found


def _cgroups() -> Path:
    """Where groups of the second version are, beside those of the first or alone."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return next(Path(where) for _, where, kind, *_ in mounts if kind == "cgroup2")


def _is_gone(group: Path) -> bool:
    """Remove a group: the kernel refuses for a moment after its last process has ended."""
    try:
        group.rmdir()
    except OSError:
        return False
    return True
