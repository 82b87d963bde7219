"""Whether an admin allowed an accept of containers' packets in other firewalls: a file of `install`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from veth_plugin.kernel import naming

NAME: Final = "allow-forwarding"
"""Beside node.json."""
PATH: Final = f"/etc/ipamd/{NAME}"
HOST_SIDES: Final = f"{naming.PREFIX}+"
"""All host sides, as iptables writes it."""
_DEFAULT_BRIDGE: Final = "cni0"


def interfaces(plugins: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """The interfaces whose packets are to be accepted, of a pod network with these main plugins of ours."""
    bridges = [plugin.get("bridge", _DEFAULT_BRIDGE) for plugin in plugins if plugin.get("mode") == "bridge"]
    return (HOST_SIDES, *sorted({str(bridge) for bridge in bridges}))


def encode(names: Sequence[str]) -> bytes:
    """The file: a name in a line."""
    return "".join(f"{name}\n" for name in names).encode()


def decode(data: bytes) -> tuple[str, ...]:
    """Read the file."""
    return tuple(data.decode(errors="replace").split())


def read(path: Path) -> tuple[str, ...]:
    """The interfaces, none if nothing is allowed. Raises OSError."""
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return ()
