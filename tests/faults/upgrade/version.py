"""Versions of ipamd side by side: today's, and those before it out of `versions.tar.xz`."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.node_executable import node_plugin
from tests.service import EXECUTABLES

BEFORE: Final = "0.1.0.dev159"
"""The version before this one, as an operator would have it."""

FIRST: Final = "0.1.0.dev114"
"""The last version at the first revision of the schema."""

_WHEELS: Final = Path(__file__).with_name("versions.tar.xz")
_INSTALL: Final = ("install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")


@dataclass(frozen=True)
class Version:
    """The executables of one version."""

    name: str
    executables: Path
    plugins: dict[str, Path]

    @property
    def plugin(self) -> Path:
        """The plugin as a node of this version has it."""
        return next(iter(self.plugins.values()))


def today() -> Version:
    """The version under test, with each executable of its plugin."""
    plugins = {"node": node_plugin(), "cpython": EXECUTABLES / "ipamd-ipam"}
    return Version("today", EXECUTABLES, plugins)


def install(name: str, folder: Path) -> Version:
    """Install a version before, with the libraries of the interpreter that runs this."""
    wheel = folder / f"ipamd-{name}-py3-none-any.whl"
    with tarfile.open(_WHEELS) as wheels:
        packed = wheels.extractfile(wheel.name)
        assert packed is not None
        wheel.write_bytes(packed.read())
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    [packages] = environment.glob("lib/python3*/site-packages")
    # Below it, not in it: the .pth file of today's editable installation is not followed.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    executables = environment / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(executables / "python")]
    subprocess.run([*pip, *_INSTALL, str(wheel)], check=True)
    return Version(name, executables, {"cpython": executables / "ipamd-ipam"})
