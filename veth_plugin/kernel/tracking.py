"""Connections that the node still tracks of an address whose container is gone.

Whoever has the address next would get their packets. They go after the answer to DEL, within a bound. What is
left is noted in a file for each address, of this boot as the connections are, and goes at the next ADD.
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
_FOLDERS = ("/run/ipamd", "/run/ipamd/connections")
_NS_IN_A_MS = 1_000_000
_BOUND_MS = 300
_AT_ONCE = 64


def note(addresses: list[bytes]) -> None:
    """Note addresses whose container goes, where the node tracks any connection."""
    try:
        if sysctl.read(_COUNT) in (None, "0"):
            return
        _make_folders()
        for one in addresses:
            flags = platform.O_WRONLY | platform.O_CREAT | platform.O_CLOEXEC
            platform.close(platform.open_file(_path(one), flags, 0o600))
    except OSError:
        return  # without a note they go after the answer all the same


def forget(addresses: list[bytes]) -> None:
    """Forget the connections of addresses within a bound, and the notes of those that are done."""
    try:
        if sysctl.read(_COUNT) in (None, "0"):
            done = addresses
        else:
            done = _forget(addresses)
    except (OSError, Malformed):
        return  # what is noted goes at the next ADD
    for one in done:
        _strike(one)


def forget_what_is_left(addresses: list[bytes]) -> None:
    """Forget the connections of addresses that are noted: a former container's, which are not gone yet."""
    left = []
    for one in addresses:
        try:
            os.stat(_path(one))
        except OSError:
            continue  # nothing is noted
        left.append(one)
    if left:
        forget(left)


def _forget(addresses: list[bytes]) -> list[bytes]:
    """Forget the connections of addresses, and give those of which nothing is left."""
    deadline = platform.uptime_ns() + _BOUND_MS * _NS_IN_A_MS
    done: list[bytes] = []
    for one in addresses:
        connection = Connection(platform.netlink_socket(NETFILTER))
        other = Connection(platform.netlink_socket(NETFILTER))  # the first is busy with its list
        try:
            for wanted in conntrack.lists(one):
                found = []
                for told in connection.each(wanted):
                    if platform.uptime_ns() > deadline:
                        return done
                    if conntrack.concerns(told, one):
                        found.append(conntrack.delete(told))
                for start in range(0, len(found), _AT_ONCE):
                    other.exchange(found[start : start + _AT_ONCE])
        finally:
            connection.close()
            other.close()
        done.append(one)
    return done


def _path(one: bytes) -> str:
    return f"{_FOLDERS[-1]}/{address.text(one)}"


def _strike(one: bytes) -> None:
    try:
        os.unlink(_path(one))
    except OSError:
        return  # it was not noted


def _make_folders() -> None:
    for folder in _FOLDERS:
        try:
            os.stat(folder)
        except OSError:
            platform.make_folder(folder, 0o755)
