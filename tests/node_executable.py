"""Which executables of the plugin there are: the one that pip installs, the static one once it is built."""

import platform
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


def plugins() -> dict[str, Path]:
    """All of them, by name."""
    static = static_plugin()
    return {"cpython": PIP} | ({"static": static} if static is not None else {})
