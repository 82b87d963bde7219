"""The bridges that main plugins make for a network configuration, and never remove."""

from __future__ import annotations

import fcntl
import json
import socket
import struct
from pathlib import Path
from typing import Any, Final

from node_agent.installation.network import own_plugins
from node_agent.text import say

_DEFAULT: Final = "cni0"  # the reference plugin's, and ours
_GET_FLAGS, _SET_FLAGS, _DELETE_BRIDGE = 0x8913, 0x8914, 0x89A1  # linux/sockios.h
_UP: Final = 1
_REQUEST: Final = struct.Struct("16sh14x")  # struct ifreq with ifr_flags


def named_in(file: Path) -> list[str]:
    """The bridges of an installed network configuration, none if it is gone."""
    if not file.is_file():
        return []
    plugins = own_plugins(json.loads(file.read_bytes()))
    return [str(plugin.get("bridge", _DEFAULT)) for plugin in plugins if _is_bridge(plugin)]


def remove_idle(name: str) -> None:
    """Remove a bridge of this network namespace if nothing is connected to it."""
    ports = Path("/sys/class/net") / name / "brif"
    if not ports.is_dir():
        return
    if any(ports.iterdir()):
        say(f"bridge {name}: kept: it is in use")
        return
    try:
        _remove(name.encode())
    except OSError as error:
        say(f"bridge {name}: kept ({error.strerror})")
    else:
        say(f"bridge {name}: removed")


def _is_bridge(plugin: dict[str, Any]) -> bool:
    return plugin.get("type") == "bridge" or (plugin.get("type"), plugin.get("mode")) == (
        "ipamd-veth",
        "bridge",
    )


def _remove(name: bytes) -> None:
    """The kernel deletes only a bridge that is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        _, flags = _REQUEST.unpack(fcntl.ioctl(handle, _GET_FLAGS, _REQUEST.pack(name, 0)))
        fcntl.ioctl(handle, _SET_FLAGS, _REQUEST.pack(name, flags & ~_UP))
        fcntl.ioctl(handle, _DELETE_BRIDGE, name)
