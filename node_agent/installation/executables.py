"""The executable of the plugins as `make node` builds it, in one folder for each architecture."""

from __future__ import annotations

import platform
import struct
import sys
from pathlib import Path
from typing import Final

from node_agent.failure import CommandFailed, ExitCode
from node_agent.installation.installed_file import InstalledFile, Kind, read_input

FILE: Final = "ipamd-ipam"
NAMES: Final = (FILE, "ipamd-veth")
"""The names of the one file on a node: it looks at its own name."""
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_MACHINES: Final = {"amd64": 62, "arm64": 183}  # e_machine of elf(5)
_LARGEST: Final = 64 << 20


def default_folder() -> Path:
    """The folder in which packages and wheels put it."""
    return Path(sys.prefix) / "lib" / "ipamd" / "node"


def own_architecture() -> str:
    """The architecture of this machine, as Debian and Go name it."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def executables(folder: Path, architecture: str, bin_dir: str) -> list[InstalledFile]:
    """The files for one architecture; raises CommandFailed if none is built or it is something else."""
    own = folder / architecture
    if "/" in architecture or not own.is_dir():
        built = sorted(path.name for path in folder.glob("*") if (path / FILE).is_file())
        there = f"it has {', '.join(built)}" if built else "it has none at all; build them with `make node`"
        raise CommandFailed(f"{folder} has no executable for {architecture}: {there}", ExitCode.USAGE)
    data = _read(own / FILE, architecture)
    folder_there = bin_dir.rstrip("/")
    return [InstalledFile(f"{folder_there}/{name}", data, 0o755, Kind.EXECUTABLE) for name in NAMES]


def _read(path: Path, architecture: str) -> bytes:
    data = read_input("the executable", path, _LARGEST)
    machine = struct.unpack_from("<H", data, 18)[0] if len(data) > 64 and data[:4] == b"\x7fELF" else None
    if machine is None or machine != _MACHINES.get(architecture, machine):
        raise CommandFailed(
            f"{path} is not an executable for {architecture}: build it with `make node`", ExitCode.USAGE
        )
    return data
