"""What tells the machine of a node from others of that name, and its boots from each other."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import uuid4

from cni_plugin.files import replace
from node_agent.node import MACHINE

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_IDENTITIES: Final = (Path("/sys/class/dmi/id/product_uuid"), Path("/etc/machine-id"))


def machine(state_dir: Path) -> str:
    """What tells this machine from another of the same node name. Raises OSError."""
    for path in _IDENTITIES:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text:
            return text
    own = state_dir / MACHINE  # of a machine that says nothing of itself
    if not own.exists():
        state_dir.mkdir(parents=True, exist_ok=True)
        replace(str(state_dir), MACHINE, str(uuid4()).encode())
    return own.read_text().strip()


def boot() -> str:
    """The boot that the node is in. Raises OSError."""
    return _BOOT.read_text().strip()
