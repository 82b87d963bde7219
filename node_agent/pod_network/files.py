"""What the agent leaves on the node for the main plugin: the pods' MTU, and that the network stands."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from node_agent.machine import boot
from node_agent.pod_network.network import Address
from veth_plugin.kernel.carried import FOLDER, MTU_FILE, READY_FILE

_ADDRESSES: Final = Path(FOLDER, "addresses")


def write_mtu(mtu: int) -> None:
    """Write the MTU of the next pods. Raises OSError."""
    _write(Path(MTU_FILE), str(mtu))


def ready_with() -> frozenset[Address] | None:
    """The node's addresses among pods with which the network stands in this boot; None if it does not.

    Raises OSError.
    """
    try:
        is_of_this_boot = Path(READY_FILE).read_text().strip() == boot()
        return frozenset(map(ip_address, _ADDRESSES.read_text().split())) if is_of_this_boot else None
    except (FileNotFoundError, ValueError):
        return None


def write_ready(addresses: Iterable[Address]) -> None:
    """Write that the network stands in this boot, with these addresses of the node's. Raises OSError."""
    _write(_ADDRESSES, "\n".join(map(str, addresses)))
    _write(Path(READY_FILE), boot())


def remove_ready() -> None:
    """Let no pod begin until it is written again. Raises OSError."""
    for path in (Path(READY_FILE), _ADDRESSES):
        path.unlink(missing_ok=True)


def remove() -> None:
    """Remove both, and their folder. Raises OSError."""
    remove_ready()
    Path(MTU_FILE).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        Path(FOLDER).rmdir()


def _write(path: Path, text: str) -> None:
    """Write a file whole, or not at all; nothing if it says so already."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == text:
            return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    waiting = path.with_name(f".{path.name}.new")
    waiting.write_text(text)
    waiting.replace(path)
