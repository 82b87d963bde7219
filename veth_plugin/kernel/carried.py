"""Files by which the node's agent tells of the pod network, if it carries one."""

from __future__ import annotations

from cni_plugin import clock, platform
from cni_plugin.failure import Failure

FOLDER = "/run/ipamd/network"
MTU_FILE = FOLDER + "/mtu"
READY_FILE = FOLDER + "/ready"
"""Holds the identity of the boot in which the network stood: a folder may outlive its boot."""

_LARGEST = 64


def mtu() -> int:
    """Give the MTU that the agent wrote for containers, 0 if it wrote none."""
    text = _read(MTU_FILE)
    return int(text) if text.isdigit() else 0


def require(code: int) -> None:
    """Failure, of a code, until the agent has made its first whole pass in this boot."""
    if _read(READY_FILE) != clock.now().boot:
        why = "the pod network does not stand yet on this node: its agent has not written it since the boot"
        raise Failure(code, f"{why}; see `ipamd-agent status`")


def _read(path: str) -> str:
    try:
        file = platform.open_file(path, platform.O_RDONLY | platform.O_CLOEXEC)
    except OSError:
        return ""  # there is no agent, or it has nothing to say
    try:
        return platform.read(file, _LARGEST).decode().strip()
    finally:
        platform.close(file)
