"""Files for the programs that manage a host's network, so that they leave alone what is ours.

They are installed only if such a program is at work. Each reads its file at its next start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Final

from cni_plugin.failure import Failure
from netlink import family
from netlink.connection import ROUTE
from node_agent.failure import CommandFailed
from node_agent.installation.installed_file import InstalledFile, Kind
from node_agent.installation.root import Root
from node_agent.pod_network.reading import TUNNEL
from veth_plugin.kernel import forwarding, naming, uplink
from veth_plugin.kernel.asking import connect

NETWORKD: Final = "/etc/systemd/networkd.conf.d/50-ipamd.conf"
UNMANAGED: Final = "/etc/systemd/network/00-ipamd.network"  # first: of files that match, networkd takes one
NETWORK_MANAGER: Final = "/etc/NetworkManager/conf.d/50-ipamd.conf"
SYSCTL: Final = "/etc/sysctl.d/99-z-ipamd.conf"  # after 99-sysctl.conf, which is /etc/sysctl.conf

HARM: Final = {
    NETWORKD: "a restart of systemd-networkd removes routes to pods",
    UNMANAGED: "systemd-networkd takes links of pods under its rule",
    NETWORK_MANAGER: "NetworkManager takes links of pods under its rule",
    SYSCTL: "`sysctl --system` may switch forwarding off",
}
"""What happens to a node without each of the files."""

_ENABLED: Final = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_STATE_OF_NETWORKD: Final = "/run/systemd/netif/state"
_STATE_OF_NETWORK_MANAGER: Final = "/run/NetworkManager/devices"
_LIBRARIES: Final = ("/usr/lib/systemd", "/lib/systemd", "/usr/lib/x86_64-linux-gnu/systemd")
_VERSION: Final = re.compile(r"libsystemd-shared-(\d+)\.so")
_WITH_NEXT_HOPS: Final = 256
_BRIDGE: Final = "bridge"
_COMMENT: Final = "# By ipamd-agent, which takes it back with `ipamd-agent uninstall`.\n"


def files(root: Root, plugins: Sequence[dict[str, Any]]) -> list[InstalledFile]:
    """The files for the managers of a node whose pod network has these main plugins. Raises CommandFailed."""
    found = []
    if _is_at_work(root, "systemd-networkd.service", _STATE_OF_NETWORKD):
        found += [_file(NETWORKD, _networkd(root)), _file(UNMANAGED, _UNMANAGED)]
    if _is_at_work(root, "NetworkManager.service", _STATE_OF_NETWORK_MANAGER):
        found.append(_file(NETWORK_MANAGER, _NETWORK_MANAGER))
    if (root / "/etc/sysctl.d/.").is_dir() and any(_forwards(plugin) for plugin in plugins):
        found.append(_file(SYSCTL, _sysctl()))
    return found


def _is_at_work(root: Root, unit: str, state: str) -> bool:
    """Whether a manager runs, or is to run when the machine starts."""
    links = [f"{folder}/multi-user.target.wants/{unit}" for folder in _ENABLED]
    return any(os.path.lexists(root / path) for path in (*links, state))


def _forwards(plugin: dict[str, Any]) -> bool:
    """Whether a main plugin of ours has the node forward packets."""
    gateways = ("isGateway", "isDefaultGateway")
    is_routed = plugin.get("mode") != _BRIDGE
    return plugin.get("type") == "ipamd-veth" and (is_routed or any(plugin.get(key) for key in gateways))


def _file(path: str, text: str) -> InstalledFile:
    return InstalledFile(path, f"{_COMMENT}{text}".encode(), 0o644, Kind.CONFIGURATION)


def _networkd(root: Root) -> str:
    version = _version_of_systemd(root)
    keys = ["ManageForeignRoutes", "ManageForeignRoutingPolicyRules"]
    if version is None or version >= _WITH_NEXT_HOPS:
        keys.append("ManageForeignNextHops")
    lines = "".join(f"{key}=no\n" for key in keys)
    return f"# A restart of networkd would else remove routes to pods.\n[Network]\n{lines}"


_UNMANAGED: Final = f"[Match]\nName={naming.PREFIX}* {TUNNEL}\n\n[Link]\nUnmanaged=yes\n"
# Added to what other files name, not in its place.
_NETWORK_MANAGER: Final = (
    f"[keyfile]\nunmanaged-devices+=interface-name:{naming.PREFIX}*;interface-name:{TUNNEL}\n"
)


def _version_of_systemd(root: Root) -> int | None:
    """By the name of its library; None if that is elsewhere."""
    for folder in _LIBRARIES:
        there = root / f"{folder}/."
        for path in sorted(there.glob("libsystemd-shared-*.so")) if there.is_dir() else []:
            found = _VERSION.match(path.name)
            if found:
                return int(found[1])
    return None


def _sysctl() -> str:
    lines = ["# `sysctl --system`, or a start of the machine, would else switch forwarding off.\n"]
    try:
        node = connect(ROUTE)
        try:
            if family.IPV6 in uplink.find(node).sources:
                # Before forwarding: a link with routes out of a router's advertisements would else lose them.
                by_router = sorted(forwarding.living_by_advertisements(node))
                lines += [f"-net/ipv6/conf/{name}/accept_ra = 2\n" for name in by_router]
                lines.append("net/ipv6/conf/all/forwarding = 1\n")
        finally:
            node.close()
    except Failure as failure:
        raise CommandFailed(f"the routes of this machine cannot be read: {failure.msg}") from None
    return "".join([*lines, "net/ipv4/ip_forward = 1\n"])
