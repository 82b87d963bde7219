"""A kernel that lacks what the pod network is made of."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Final

from cni_plugin.failure import Failure
from netlink import nftables
from netlink.connection import NETFILTER, Interrupted
from node_agent.doctor.finding import Finding
from node_agent.installation.root import Root
from veth_plugin.kernel.asking import connect

_LEAST: Final = (5, 10)
_LOADED: Final = Path("/sys/module")
_VXLAN: Final = "vxlan"
_LISTS: Final = ("modules.builtin", "modules.dep")
_NUMBERS: Final = re.compile(r"(\d+)\.(\d+)")


def find(root: Root, *, with_tunnel: bool) -> list[Finding]:
    """Look at its version, at nf_tables, and at vxlan if the mode needs it."""
    release = platform.release()
    found = [*_of_version(release), *_of_filters()]
    if with_tunnel and _has(root, release, _VXLAN) is False:
        found.append(
            Finding(
                f"this kernel ({release}) has no vxlan",
                "install the package with its further modules, or set mode direct (`ipamctl network edit`)",
            )
        )
    return found


def _of_version(release: str) -> list[Finding]:
    numbers = _NUMBERS.match(release)
    if numbers is None or (int(numbers[1]), int(numbers[2])) >= _LEAST:
        return []
    return [Finding(f"this kernel is {release}", "the pod network needs 5.10 or newer")]


def _of_filters() -> list[Finding]:
    try:
        filters = connect(NETFILTER)
        try:
            filters.list_all(nftables.get_chains(nftables.INET))
        finally:
            filters.close()
    except FileNotFoundError:  # there is no table
        return []
    except (OSError, Failure, Interrupted) as error:
        why = error.msg if isinstance(error, Failure) else error
        return [Finding(f"nf_tables does not answer ({why})", "load it (`modprobe nf_tables`)")]
    return []


def _has(root: Root, release: str, module: str) -> bool | None:
    """Whether the kernel has a module, loaded or not; None if nothing on the node says which there are."""
    if (_LOADED / module).exists():
        return True
    lists = [root / f"/lib/modules/{release}/{name}" for name in _LISTS]
    texts = [path.read_text() for path in lists if path.is_file()]
    if not texts:
        return None
    return any(re.search(rf"/{module}\.ko\b", text) for text in texts)
