"""How what is ours on a node is told from what is others': names, aliases, groups, numbers."""

from __future__ import annotations

from veth_plugin import address, mac

TYPE_CHECKING = False
if TYPE_CHECKING:
    from veth_plugin.attachment import Attachment

PREFIX = "ipamd"
"""What the names of all host sides begin with, and of nothing else: kube-proxy wants one for them all."""

PLAIN, MASQUERADED, CHECKED = 8750, 8751, 8752
"""Groups of host sides: of no particular kind, whose packets are masqueraded, whose MACs are checked."""

ROUTE_PROTOCOL = 150
"""By this number a route on the node says that it leads to a container of ours."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_NAME_LETTERS = 10
_ALIAS_BYTES = 255
_NETWORK_LETTERS = 100
_FNV_START, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def host_side(attachment: Attachment) -> str:
    """Give the name of the host side: of an attachment always the same, of two never the same but by chance.

    It holds 50 bits of a hash (FNV-1a) of container ID and interface, never of a pod's name: the next pod of
    a name would find the last one's.
    """
    hashed = _FNV_START
    for byte in f"{attachment.container_id}/{attachment.ifname}".encode():
        hashed = (hashed ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    hashed ^= hashed >> 50
    return PREFIX + "".join([_LETTERS[hashed >> 5 * place & 31] for place in range(_NAME_LETTERS)])


class Alias:
    """What the host side says of itself: whose it is, its container's MAC, addresses and prefixes."""

    def __init__(
        self,
        owner: str,
        container_mac: bytes | None,
        addresses: list[bytes],
        prefixes: list[tuple[bytes, int]],
    ) -> None:
        self.owner = owner
        self.container_mac = container_mac
        self.addresses = addresses
        self.prefixes = prefixes

    def network(self) -> str:
        """Give the network whose it is."""
        return self.owner.partition("/")[0]


def alias(
    attachment: Attachment,
    container_mac: bytes,
    addresses: list[bytes],
    prefixes: list[tuple[bytes, int]],
) -> str:
    """Write what a host side says of itself; of many addresses the last have no room."""
    text = f"{owner(attachment)} {mac.text(container_mac)}"
    words = [address.text(one) for one in addresses]
    words += [address.prefix_text(first, length) for first, length in prefixes]
    for word in words:
        more = f" {word}"
        if len(text) + len(more) > _ALIAS_BYTES:
            break
        text += more
    return text


def owner(attachment: Attachment) -> str:
    """Give the words for whose an interface is."""
    return owner_of(attachment.network, attachment.container_id, attachment.ifname)


def owner_of(network: str, container_id: str, ifname: str) -> str:
    """Give the same of an interface by its parts, of which the longest are cut off."""
    return f"{short(network)}/{container_id[:80]}/{ifname}"


def short(network: str) -> str:
    """Give as much of a network's name as has room in an alias and in a comment."""
    return network[:_NETWORK_LETTERS]


def read_alias(text: str | None) -> Alias | None:
    """Read what a host side says of itself; None if it says nothing that is ours."""
    words = (text or "").split(" ")
    if words[0].count("/") != 2:
        return None
    try:
        container_mac = mac.parse(words[1]) if len(words) > 1 else None
        return Alias(
            words[0],
            container_mac,
            [address.parse(word) for word in words[2:] if "/" not in word],
            [address.parse_prefix(word) for word in words[2:] if "/" in word],
        )
    except ValueError:
        return None
