"""Removes what a container runtime leaves behind when it ends in the middle of its work."""

import contextlib
import os
import signal
import time
from pathlib import Path

from tests.network.namespace import run

CGROUPS = Path("/sys/fs/cgroup")
MONITORS = {"conmon", "containerd-shim-runc-v2", "runc"}
CNI_CACHE = Path("/var/lib/cni/results")


def end_processes(folder: Path, cgroup: str) -> None:
    """Kill what runs in the cgroup, and the monitors of containers whose command line names the folder."""
    deadline = time.monotonic() + 10
    while processes := _members(cgroup) | _monitors(folder):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        assert time.monotonic() < deadline, f"processes of {folder} do not end: {processes}"
        time.sleep(0.05)


def end_monitors(folder: Path) -> None:
    """Kill the monitors of containers whose command line names the folder."""
    for process in _monitors(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _members(cgroup: str) -> set[int]:
    lists = [path for parent in _cgroups(cgroup) for path in parent.rglob("cgroup.procs")]
    return {int(line) for path in lists for line in path.read_text().split()}


def _monitors(folder: Path) -> set[int]:
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = entry.read_bytes()
            executable = Path(os.fsdecode(command.split(b"\0")[0])).name
            if executable in MONITORS and f"{folder}/".encode() in command:
                found.add(int(entry.parent.name))
    return found


def unmount_below(folder: Path) -> None:
    """Unmount everything that is mounted in the folder, the innermost first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            run("umount", "--lazy", mount)


def remove_cgroups(name: str) -> None:
    """Remove a parent cgroup that only the runtime under test used, from each hierarchy that has it."""
    for parent in _cgroups(name):
        for folder, _, _ in os.walk(parent, topdown=False):
            Path(folder).rmdir()


def _cgroups(name: str) -> list[Path]:
    """The cgroup's folders: one in version 2, one for each controller in version 1."""
    return [path for path in [CGROUPS / name, *CGROUPS.glob(f"*/{name}")] if path.is_dir()]


def forget_results(network: str) -> None:
    """Remove what libcni remembers of a network's attachments."""
    for result in CNI_CACHE.glob(f"{network}-*"):
        result.unlink()
