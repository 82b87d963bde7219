"""Commands of firewalls."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

_FOLDERS: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
_SECONDS: Final = 20.0


class Failed(Exception):
    """A command is missing or has failed: says which, and why."""


def is_here(command: str) -> bool:
    """Whether the machine has a command."""
    return shutil.which(command, path=_FOLDERS) is not None


def run(command: str, *arguments: str, given: str = "") -> str:
    """Run a command and give what it printed. Raises Failed."""
    path = shutil.which(command, path=_FOLDERS)
    if path is None:
        raise Failed(f"{command} is not on this machine: install it")
    try:
        done = subprocess.run(  # noqa: S603 - our own words, for a command of the system
            [path, *arguments], input=given, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{command}: {error}") from None
    if done.returncode != 0:
        raise Failed(f"{command} {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
