"""A node as the plugin sees it: its state folder, which boot it is in, what its clocks say."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.cni.executable import CPYTHON, SECONDS, Document, Finished, Plugin, executables

BOOT_ID = "/proc/sys/kernel/random/boot_id"
UPTIME_AFTER_BOOT = 30  # seconds


def in_another_boot(boot_id: Path) -> tuple[str, ...]:
    """Give what runs commands in a boot that has just begun, whose identity is to be in a file."""
    boot_id.write_text(f"{uuid4()}\n")
    offset = UPTIME_AFTER_BOOT - int(time.clock_gettime(time.CLOCK_BOOTTIME))
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    return (
        *("unshare", *user, "--mount", "--time", "--boottime", str(offset)),
        *("sh", "-c", f'mount --bind "$0" {BOOT_ID} && exec "$@"', str(boot_id)),
    )


class Machine:
    """One node that runs the plugin. Its state folder outlives its reboots."""

    def __init__(self, name: str, folder: Path, endpoint: str) -> None:
        self.name = name
        self._folder = folder
        self._boots = 0
        self.plugin = Plugin(list(executables().values())[-1], folder / "state", endpoint)
        self.plugin.more["NODE_NAME"] = name

    def reboot(self) -> None:
        """Start again: another boot identity, and a CLOCK_BOOTTIME that has just begun."""
        self._boots += 1
        self.plugin.before = in_another_boot(self._folder / f"boot_id-{self.name}-{self._boots}")

    def set_wall_clock(self, seconds: int) -> None:
        """Let the wall clock stand at so many seconds after 1970. No namespace has one: so under CPython."""
        ns = seconds * 1_000_000_000
        start = CPYTHON[-1]
        self.plugin.command = (
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import time; time.time_ns = lambda: {ns}\n{start}",
        )

    def config(self, network: str = "pods", cni_version: str = "1.0.0", **ipam: Any) -> Document:
        """A network configuration of this node."""
        return {**self.plugin.config(**ipam), "name": network, "cniVersion": cni_version}

    def add(self, container: str, config: Document | None = None, **more: str) -> Finished:
        return self._call("ADD", container, config, more)

    def delete(self, container: str, config: Document | None = None, **more: str) -> Finished:
        return self._call("DEL", container, config, more)

    @contextmanager
    def adding(self, container: str, config: Document | None = None) -> Iterator["subprocess.Popen[bytes]"]:
        """An ADD that is under way; at the end of the block it is over."""
        process = self.plugin.start("ADD", config or self.config(), CNI_CONTAINERID=container)
        yield process
        if process.poll() is None:
            process.communicate(timeout=SECONDS)

    def _call(self, verb: str, container: str, config: Document | None, more: dict[str, str]) -> Finished:
        return self.plugin.call(verb, config or self.config(), CNI_CONTAINERID=container, **more)


def address_of(finished: Finished) -> str:
    """The address in the result of an ADD that succeeded."""
    assert finished.code == 0, finished
    [entry] = finished.json["ips"]
    address: str = entry["address"].split("/")[0]
    return address
