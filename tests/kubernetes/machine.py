"""Machines that play the nodes of a cluster: each with a network and a node's folders of its own."""

import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.network.namespace import run

OWN = (
    "/etc/cni/net.d",
    "/etc/ipamd",
    "/opt/cni/bin",
    "/run/ipamd",
    "/var/lib/cni",
    "/var/lib/ipamd-node",
    "/var/log",
)
"""What each machine has for itself, empty at first; all else it sees as this machine has it."""

HOLDER = f"""
for folder in {" ".join(OWN)}; do mount -t tmpfs own $folder || exit 1; done
mount --make-rshared /
ip link set lo up
echo ready
exec sleep infinity
"""


@contextmanager
def folders_to_hide(folders: Iterable[str] = OWN) -> Iterator[None]:
    """Have the folders that machines hide; then remove those that this made, unless somebody used them."""
    with ExitStack() as made:
        for part in sorted({part for path in map(Path, folders) for part in (path, *path.parents)}):
            with contextlib.suppress(FileExistsError):
                part.mkdir()
                made.callback(_remove_if_empty, part)
        yield


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise


class Machine:
    """A network and a mount namespace, held by a process; the processes in it log into a folder."""

    def __init__(self, name: str, address: str, folder: Path) -> None:
        self.name = name
        self.address = address
        self.folder = folder
        self._holder: subprocess.Popen[str] | None = None
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    def create(self) -> None:
        """Begin it, without a network; the folders that it hides must be there."""
        self.folder.mkdir()
        command = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-euc", HOLDER]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"

    @property
    def address6(self) -> str:
        return f"fd00:99::{self.address.rpartition('.')[2]}"

    @property
    def process(self) -> int:
        assert self._holder is not None
        return self._holder.pid

    def prefix(self) -> list[str]:
        """What to put before a command so that it runs on this machine."""
        return ["nsenter", "--target", str(self.process), "--net", "--mount", "--wd=/", "--"]

    def run(self, *command: str, timeout: float = 60) -> str:
        """Run a command to its end; raise with its words where it fails."""
        return run(*self.prefix(), *command, timeout=timeout)

    def feed(self, given: str, *command: str, env: Mapping[str, str]) -> str:
        """Run a command with something on its stdin, and with an environment of its own."""
        done = subprocess.run(
            [*self.prefix(), *command], input=given, env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *command: str, path: str = "/usr/sbin:/usr/bin:/sbin:/bin") -> subprocess.Popen[bytes]:
        """Start something that lasts as long as the machine."""
        with (self.folder / f"{Path(command[0]).name}.log").open("ab") as log:
            started = subprocess.Popen(
                [*self.prefix(), *command],
                env={"PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append((Path(command[0]).name, started))
        return started

    def stop(self, name: str) -> None:
        """End what was started under a name, and wait for its end."""
        for process in [one for of, one in self._started if of == name]:
            process.terminate()
            process.wait(60)
        self._started = [(of, one) for of, one in self._started if of != name]

    def end(self) -> None:
        """End what was started, the last first, and the machine with it."""
        for _, process in reversed(self._started):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._started.clear()
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()


class Switch:
    """A bridge in a network of its own: 10.99.0.0/24 and fd00:99::/64.

    It is no interface of a node's: where br_netfilter is loaded, the rules of kube-proxy would see what it
    carries, and the bridge would drop what they send back to the port that it came from.
    """

    def __init__(self) -> None:
        self._holder: subprocess.Popen[str] | None = None

    def create(self) -> None:
        """Begin it, without anybody."""
        bridge = "ip link add lan up type bridge; echo ready; exec sleep infinity"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-euc", bridge], stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"

    def attach(self, machine: Machine) -> None:
        """Connect a machine, in the place of a former one of its name if there was one."""
        port = f"to-{machine.name}"
        self.run("sh", "-c", f"! ip link show {port} > /dev/null 2>&1 || ip link delete {port}")
        _cable(self, port, machine, "lan")
        self.run("ip", "link", "set", port, "master", "lan")
        _address(machine)

    def run(self, *command: str) -> str:
        """Run a command in its network to its end; raise with its words where it fails."""
        assert self._holder is not None
        return run("nsenter", "--target", str(self._holder.pid), "--net", "--", *command)

    def end(self) -> None:
        """End it, in whatever state it is."""
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()


def _address(machine: Machine) -> None:
    for family, address in (("-4", f"{machine.address}/24"), ("-6", f"{machine.address6}/64")):
        machine.run("ip", family, "address", "add", address, "dev", "lan", "nodad")
        machine.run("ip", family, "route", "add", "default", "dev", "lan")
    machine.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def join_bridges(machines: list[Machine], bridge: str) -> None:
    """A bridge on every machine, each with a port that leads to the first one's: one layer 2."""
    first, *others = machines
    for machine in machines:
        machine.run("ip", "link", "add", bridge, "up", "type", "bridge")
    for number, other in enumerate(others):
        _cable(first, f"uplink{number}", other, "uplink")
        first.run("ip", "link", "set", f"uplink{number}", "master", bridge)
        other.run("ip", "link", "set", "uplink", "master", bridge)


def _cable(one: Machine | Switch, port: str, other: Machine, its: str) -> None:
    one.run("ip", "link", "add", port, "type", "veth", "peer", "name", its, "netns", str(other.process))
    one.run("ip", "link", "set", port, "up")
    other.run("ip", "link", "set", its, "up")
