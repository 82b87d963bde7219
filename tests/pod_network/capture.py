"""What passes a link, seen by a packet socket."""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from tests.network.namespace import Namespace
from tests.pod_network.inside import inside

_ALL = 3  # ETH_P_ALL
_UDP = 17
_BUFFER = 8 << 20


@dataclass(frozen=True)
class Packet:
    """One packet's outermost IP header, and the port it goes to."""

    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    protocol: int
    port: int
    is_fragment: bool

    def is_by_tunnel(self, port: int = 8751) -> bool:
        return self.protocol == _UDP and self.port == port


@contextlib.contextmanager
def captured(namespace: Namespace, interface: str) -> Iterator[list[Packet]]:
    """The IP packets that passed an interface while the block ran, once it is left."""
    listening = inside(
        namespace, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
    )
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        listening.bind((interface, _ALL))
        listening.setblocking(False)
        seen: list[Packet] = []
        yield seen
        time.sleep(0.2)  # what is on its way
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = _read(listening.recv(1 << 16))
                if packet is not None:
                    seen.append(packet)


def _read(data: bytes) -> Packet | None:
    if data[:1] and data[0] >> 4 == 4:
        start, ends, protocol = 4 * (data[0] & 15), (data[12:16], data[16:20]), data[9]
        is_fragment = bool(int.from_bytes(data[6:8], "big") & 0x3FFF)
    elif data[:1] and data[0] >> 4 == 6 and len(data) >= 40:
        start, ends, protocol = 40, (data[8:24], data[24:40]), data[6]
        is_fragment = protocol == 44
    else:
        return None
    port = int.from_bytes(data[start + 2 : start + 4], "big")
    return Packet(ip_address(ends[0]), ip_address(ends[1]), protocol, port, is_fragment)
