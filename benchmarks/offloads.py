"""Whether a link hands on packets that are larger than its MTU, to be cut later or never."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from typing import Final

from benchmarks.inside import inside
from tests.network.namespace import Namespace

_SIOCETHTOOL: Final = 0x8946
_TSO, _GSO, _GRO = 0x1F, 0x24, 0x2C  # linux/ethtool.h: ETHTOOL_STSO, _SGSO, _SGRO


def switch(namespace: Namespace, link: str, *, on: bool) -> None:
    """Switch TSO, GSO and GRO of a link. Raises OSError."""
    with inside(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for command in (_TSO, _GSO, _GRO):
            value = ctypes.create_string_buffer(struct.pack("II", command, on))
            fcntl.ioctl(asking, _SIOCETHTOOL, struct.pack("16sP", link.encode(), ctypes.addressof(value)))
