"""Which plugins are in a wheel; hatchling runs it for each.

A wheel for every machine has the plugins for CPython. Where IPAMD_NODE_FOLDER names a folder
dist/node/ARCH of `make release-node`, the wheel is for machines of that architecture: it has the static
executable in their place, by both names, and once more where `ipamd-agent install` looks for it, with
licences, checksums and bill of materials.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER: Final = "IPAMD_NODE_FOLDER"
COMMAND: Final = "ipamd-ipam"
COMMANDS: Final = (COMMAND, "ipamd-veth")  # names of one file
PROGRAM: Final = "-cpython"  # after the name of a command: what it starts under CPython
BILL: Final = "ipamd-ipam.cdx.json"
BESIDE: Final = ("LICENSES", "SHA256SUMS", BILL)
MACHINES: Final = {
    "amd64": (62, "x86_64"),
    "arm64": (183, "aarch64"),
}  # e_machine of elf(5), and uname's name
PLATFORMS: Final = "manylinux_2_17_{0}.musllinux_1_1_{0}"  # it is static: any C library will do, also none


class NodeExecutable(BuildHookInterface[Any]):
    """Puts the commands of the plugins into a wheel, and gives the wheel its tag."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Choose the commands; raises ValueError where the folder does not hold what a release needs."""
        named = os.environ.get(FOLDER)
        if named is None:
            # No entry points: see docs/decisions/0008-cpython-start-up.md.
            scripts = Path(self.root) / "scripts"
            for name in COMMANDS:
                # Both commands have one content, in two files: a wheel's file has one name.
                build_data["shared_scripts"][str(scripts / name)] = name
                build_data["shared_scripts"][str(scripts / f"{name}{PROGRAM}")] = f"{name}{PROGRAM}"
            return
        folder = Path(named).absolute()
        missing = [name for name in (*COMMANDS, *BESIDE) if not (folder / name).is_file()]
        if missing:
            raise ValueError(f"{folder} has no {missing[0]}: `make release-node` makes it")
        build_data["tag"] = f"py3-none-{PLATFORMS.format(machine(folder / COMMAND, folder.name))}"
        build_data["pure_python"] = False
        build_data["shared_scripts"].update({str(folder / name): name for name in COMMANDS})
        data = {str(folder / name): f"lib/ipamd/node/{folder.name}/{name}" for name in (COMMAND, *BESIDE)}
        build_data["shared_data"].update(data)
        build_data["sbom_files"].append(str(folder / BILL))


def machine(executable: Path, architecture: str) -> str:
    """Give the architecture's name in a wheel's tag; raises ValueError where the file is none of it."""
    number, name = MACHINES.get(architecture, (None, ""))
    head = executable.read_bytes()[:20]
    if number is None or head[:4] != b"\x7fELF" or struct.unpack_from("<H", head, 18)[0] != number:
        raise ValueError(f"{executable} is no executable for {architecture}: `make release-node` makes it")
    return name
