"""How the node itself reaches what lies beyond it."""

from __future__ import annotations

from netlink import family, link, route
from veth_plugin.kernel.asking import exchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.connection import Connection

# Two of the root name servers, which are beyond every node. Nothing is sent to them.
_BEYOND = (bytes([198, 41, 0, 4]), bytes.fromhex("20010503ba3e00000000000000020030"))


class Uplink:
    """The addresses that the node takes towards what is beyond it, by family, and the smallest MTU.

    A family without a way has no address; the MTU is 0 without any.
    """

    def __init__(self, sources: dict[int, bytes], mtu: int) -> None:
        self.sources = sources
        self.mtu = mtu


def find(node: Connection) -> Uplink:
    """Ask by which links, and with which addresses, the node sends to what is beyond it; Failure 5."""
    sources: dict[int, bytes] = {}
    indexes: list[int] = []
    for answer in exchange(node, [route.find(one) for one in _BEYOND]):
        if answer.refusal is not None or not answer.messages:
            continue  # there is no way in this family
        found = route.decode(answer.messages[0])
        if found.source is not None:
            sources[family.of(found.source)] = found.source
        if found.index is not None and found.index not in indexes:
            indexes.append(found.index)
    mtus = []
    for answer in exchange(node, [link.get(index=index) for index in indexes]) if indexes else []:
        mtu = link.decode(answer.messages[0]).mtu if answer.messages else None
        if mtu:
            mtus.append(mtu)
    return Uplink(sources, min(mtus) if mtus else 0)
