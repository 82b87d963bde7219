"""Which executables of the plugin there are: the one that pip installs, the static one once it is built."""

import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PIP: Final = Path(sys.executable).parent / "ipamd-ipam"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def static_plugin() -> Path | None:
    """The static executable for this machine, where `make node` has built it."""
    machine = platform.machine()
    built = ROOT / "dist" / "node" / _ARCHITECTURES.get(machine, machine) / "ipamd-ipam"
    return built if built.exists() else None


def node_plugin() -> Path:
    """The executable that a node of this machine would get."""
    return static_plugin() or PIP


def node_main_plugin() -> Path:
    """The main plugin that a node of this machine would get."""
    return node_plugin().with_name("ipamd-veth")


def plugins() -> dict[str, Path]:
    """All of them, by name; where NODE_ARCH names another architecture, that one's alone."""
    foreign = os.environ.get("NODE_ARCH")
    if foreign is not None:
        return {foreign: _under_qemu(foreign)}
    static = static_plugin()
    return {"cpython": PIP} | ({"static": static} if static is not None else {})


def _under_qemu(architecture: str) -> Path:
    """A command that runs the executable of another architecture."""
    built = ROOT / "dist" / "node" / architecture / "ipamd-ipam"
    assert built.exists(), f"run `make node ARCH={architecture}` first"
    machine = {name: machine for machine, name in _ARCHITECTURES.items()}[architecture]
    command = built.with_name("under-qemu")
    command.write_text(f"#!/bin/sh\nexec qemu-{machine}-static {shlex.quote(str(built))}\n")
    command.chmod(0o755)
    return command
