"""Connections that the node still tracks of an address whose container is gone.

Whoever has the address next would get their packets. They go after the answer to DEL, within a bound, in a
process of its own: the kernel looks through all that it tracks, and the runtime waits for the plugin's end.
Until they are gone a file notes the address, of this boot and of the node's network namespace as connections
are. An ADD that finds it does the work itself and removes the file, which ends that of the other: no
connection of the new container may go.
"""

from __future__ import annotations

import os

from cni_plugin import platform
from netlink import conntrack
from netlink.attribute import Malformed
from netlink.connection import NETFILTER, Connection
from veth_plugin import address
from veth_plugin.kernel import sysctl

_COUNT = "netfilter/nf_conntrack_count"
_OWN = "/proc/self/ns/net"
_INODE = 1  # in what os.stat gives
_FOLDERS = ("/run/ipamd", "/run/ipamd/connections")
_NS_IN_A_MS = 1_000_000
_BOUND_MS, _BOUND_OF_ADD_MS = 5000, 300
_AT_ONCE = 64


def note(addresses: list[bytes]) -> None:
    """Note addresses whose container goes, if the node tracks any connection."""
    try:
        if not addresses or _nothing_is_tracked():
            return
        _make_folders()
        for one in addresses:
            flags = platform.O_WRONLY | platform.O_CREAT | platform.O_CLOEXEC
            platform.close(platform.open_file(_path(one), flags, 0o600))
    except OSError:
        return  # without a note they go after the answer all the same


def forget(addresses: list[bytes]) -> None:
    """Forget the connections of addresses that are noted, in a process of its own."""
    left = [one for one in addresses if _is_noted(one)]
    if left and platform.detach():
        _forget(left, _BOUND_MS)
        platform.exit_now(0)


def forget_what_is_left(addresses: list[bytes]) -> None:
    """Forget the connections of addresses that are noted: a former container's, which are not gone yet.

    What there was no time for stays: another process would not know it from those of the new container.
    """
    left = [one for one in addresses if _is_noted(one)]
    if left:
        _forget(left, _BOUND_OF_ADD_MS)
    for one in left:
        _strike(one)


def _is_noted(one: bytes) -> bool:
    try:
        os.stat(_path(one))
    except OSError:
        return False
    return True


def _nothing_is_tracked() -> bool:
    try:
        return sysctl.read(_COUNT) in (None, "0")
    except OSError:
        return False


def _forget(addresses: list[bytes], bound_ms: int) -> None:
    """Forget the connections of addresses, and strike out those of which nothing is left."""
    deadline = platform.uptime_ns() + bound_ms * _NS_IN_A_MS
    try:
        for one in addresses:
            if not _forget_one(one, deadline):
                return
            _strike(one)
    except (OSError, Malformed):
        return  # what is noted goes at the next ADD


def _forget_one(one: bytes, deadline: int) -> bool:
    """Forget the connections of an address; False if time ran out before the end."""
    connection = Connection(platform.netlink_socket(NETFILTER))
    other = Connection(platform.netlink_socket(NETFILTER))  # the first is busy with its list
    try:
        for wanted in conntrack.lists(one):
            found = []
            for told in connection.each(wanted):
                if platform.uptime_ns() > deadline:
                    return False
                if conntrack.concerns(told, one):
                    found.append(conntrack.delete(told))
                if len(found) >= _AT_ONCE:
                    if not _is_noted(one):
                        return True  # the address has its next container, whose ADD has done this
                    other.exchange(found)
                    found = []
            if not _is_noted(one):
                return True
            if found:
                other.exchange(found)
    finally:
        connection.close()
        other.close()
    return True


def _path(one: bytes) -> str:
    return f"{_FOLDERS[-1]}/{os.stat(_OWN)[_INODE]}-{address.text(one)}"


def _strike(one: bytes) -> None:
    try:
        os.unlink(_path(one))
    except OSError:
        return  # another has done this


def _make_folders() -> None:
    for folder in _FOLDERS:
        try:
            os.stat(folder)
        except OSError:
            platform.make_folder(folder, 0o755)
