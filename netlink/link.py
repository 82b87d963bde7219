"""Links, also called interfaces or devices (linux/if_link.h): to make, change, look up and remove them."""

from __future__ import annotations

from netlink import attribute, message
from netlink.linkkind import Bridge, Veth, Vxlan
from netlink.message import Message, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    Kind = Veth | Bridge | Vxlan

NEW, DELETE, GET, SET = 16, 17, 18, 19

GROUP = 1
"""The group that hears what becomes of links."""

UP = 0x1
"""The flag of a link that is switched on."""
OPERATIONAL_UP = 6
"""The operational state of a link that carries packets."""

_HEADER = 16
_ADDRESS, _NAME, _MTU, _LINK, _MASTER, _OPERSTATE = 1, 3, 4, 5, 10, 16
_INFO, _ALIAS, _FAMILIES, _GROUP, _NAMESPACE_FILE, _WANTED = 18, 20, 26, 27, 28, 29
_PEER_NAMESPACE, _ASKED_NAMESPACE = 37, 46
_WITHOUT_STATISTICS = 0x8
_INFO_KIND, _INFO_DATA, _PORT_KIND, _PORT_DATA = 1, 2, 4, 5
_PEER = 1
_PORT_HAIRPIN, _PORT_ISOLATED = 4, 33
_FAMILY_IPV4, _FAMILY_IPV6, _FAMILY_BRIDGE = 2, 10, 7
_IPV4_SETTINGS = 1
_IPV6_SETTINGS, _IPV6_GENERATION = 2, 8
_BRIDGE_FLAGS, _BRIDGE_VLAN = 0, 2
_BRIDGE_MASTER, _BRIDGE_SELF = 1, 2

# Settings of a link by their names under /proc/sys/net/ipv4/conf, with their numbers (linux/ip.h).
IPV4_SETTINGS = {
    "forwarding": 1, "proxy_arp": 3, "send_redirects": 6, "rp_filter": 8, "arp_announce": 18,
    "arp_ignore": 19, "arp_notify": 22, "route_localnet": 26,
}  # fmt: skip
# The same of /proc/sys/net/ipv6/conf, which the kernel tells and does not take (linux/ipv6.h).
IPV6_SETTINGS = {
    "forwarding": 0, "accept_ra": 3, "disable_ipv6": 26, "accept_dad": 27, "keep_addr_on_down": 42,
}  # fmt: skip

GENERATE_NONE = 1
"""How a link comes by its own IPv6 link-local address: not at all."""

VLAN_PVID, VLAN_UNTAGGED = 0x2, 0x4
"""A bridge's port gives untagged packets this number; it sends packets of this number untagged."""


class Port:
    """What a bridge does with one of its ports; None leaves it."""

    def __init__(self, hairpin: bool | None = None, isolated: bool | None = None) -> None:
        self.hairpin = hairpin
        self.isolated = isolated


class Link:
    """A link as it shall be, or as the kernel tells it. What is None is left to the kernel, or not told.

    `namespace` is the open file of the network namespace where the link shall be. `peer_index` is the other
    end of a pair, in its own namespace; `peer_namespace` is the number of that, if it is another one.
    `ipv4` and `ipv6` are settings by their names.
    """

    def __init__(
        self,
        name: str | None = None,
        index: int = 0,
        mac: bytes | None = None,
        mtu: int | None = None,
        group: int | None = None,
        alias: str | None = None,
        master: int | None = None,
        up: bool | None = None,
        namespace: int | None = None,
        kind: Kind | None = None,
        port: Port | None = None,
        generation: int | None = None,
        ipv4: dict[str, int] | None = None,
    ) -> None:
        self.name = name
        self.index = index
        self.mac = mac
        self.mtu = mtu
        self.group = group
        self.alias = alias
        self.master = master
        self.up = up
        self.namespace = namespace
        self.kind = kind
        self.port = port
        self.generation = generation
        self.ipv4 = ipv4 or {}
        self.ipv6: dict[str, int] = {}
        self.kind_name: str | None = None
        self.peer_index: int | None = None
        self.peer_namespace: int | None = None
        self.operational_state: int | None = None


def create(link: Link) -> Request:
    """Make a link; refused if one of its name or index exists. Its alias does not take effect (seen)."""
    return Request(NEW, message.CREATE | message.EXCLUSIVE, _encode(link))


def create_pair(link: Link, peer: Link) -> Request:
    """Make both ends of a veth pair, each where it stays; `up` of the peer does not take effect."""
    link.kind = Veth()
    return Request(NEW, message.CREATE | message.EXCLUSIVE, _encode(link, peer))


def change(link: Link) -> Request:
    """Change what is given of the link with this index, or else this name. What of a port comes alone."""
    # Only the one takes what concerns a port, only the other a change of the name.
    return Request(NEW if link.port is not None else SET, 0, _encode(link))


def get(name: str | None = None, index: int = 0, namespace: int | None = None) -> Request:
    """Ask for the link with this index, or else this name, in the `namespace` of this number or here."""
    there = b"" if namespace is None else attribute.u32(_ASKED_NAMESPACE, namespace)
    return Request(GET, 0, _encode(Link(name if index == 0 else None, index)) + _wanted() + there)


def get_all(master: int | None = None) -> Request:
    """Ask for the list of links, of all or of one bridge's ports."""
    return Request(GET, 0, _encode(Link(master=master)) + _wanted())


def delete(name: str | None = None, index: int = 0) -> Request:
    """Remove the link with this index, or else this name; its peer goes too."""
    return Request(DELETE, 0, _encode(Link(name if index == 0 else None, index)))


def announces_removal(told: Message, index: int) -> bool:
    """Tell whether the link with this index is gone. Leaving a bridge is announced by another family."""
    return told.kind == DELETE and told.body[:1] == b"\0" and told.body[4:8] == index.to_bytes(4, "little")


def add_vlan(index: int, vlan: int, flags: int = 0, itself: bool = False) -> Request:
    """Make a bridge's port, or the bridge itself, a member of a VLAN."""
    return Request(SET, 0, _encode_vlan(index, vlan, flags, itself))


def decode(told: Message) -> Link:
    """Read a link; Malformed."""
    body = told.body
    if len(body) < _HEADER:
        raise attribute.Malformed(f"a link of {len(body)} bytes")
    given = attribute.read(body, _HEADER)
    link = Link(
        attribute.words(given.get(_NAME)),
        int.from_bytes(body[4:8], "little"),
        given.get(_ADDRESS),
        attribute.number(given.get(_MTU)),
        attribute.number(given.get(_GROUP)),
        attribute.words(given.get(_ALIAS)),
        attribute.number(given.get(_MASTER)),
        bool(body[8] & UP),
        attribute.number(given.get(_NAMESPACE_FILE)),
    )
    link.peer_index = attribute.number(given.get(_LINK))
    link.peer_namespace = attribute.number(given.get(_PEER_NAMESPACE))
    link.operational_state = attribute.number(given.get(_OPERSTATE))
    _decode_info(link, attribute.read(given.get(_INFO, b"")))
    _decode_families(link, attribute.read(given.get(_FAMILIES, b"")))
    return link


def _wanted() -> bytes:
    return attribute.u32(_WANTED, _WITHOUT_STATISTICS)


def _encode(link: Link, peer: Link | None = None) -> bytes:
    change = 0 if link.up is None else UP
    flags = UP if link.up else 0
    head = link.index << 32 | flags << 64 | change << 96
    parts = [head.to_bytes(_HEADER, "little")]
    if link.name is not None:
        parts.append(attribute.text(_NAME, link.name))
    if link.mac is not None:
        parts.append(attribute.raw(_ADDRESS, link.mac))
    for kind, number in (
        (_MTU, link.mtu),
        (_GROUP, link.group),
        (_MASTER, link.master),
        (_NAMESPACE_FILE, link.namespace),
    ):
        if number is not None:
            parts.append(attribute.u32(kind, number))
    if link.alias is not None:
        parts.append(attribute.raw(_ALIAS, link.alias.encode()))
    info = _encode_info(link, peer)
    if info:
        parts.append(attribute.nested(_INFO, info))
    families = _encode_families(link)
    if families:
        parts.append(attribute.nested(_FAMILIES, families))
    return b"".join(parts)


def _encode_info(link: Link, peer: Link | None) -> list[bytes]:
    info = []
    if link.kind is not None:
        info.append(attribute.text(_INFO_KIND, link.kind.name))
        data = link.kind.encode() if peer is None else [attribute.nested(_PEER, [_encode(peer)])]
        if data:
            info.append(attribute.nested(_INFO_DATA, data))
    if link.port is not None:
        port = []
        for kind, switch in ((_PORT_HAIRPIN, link.port.hairpin), (_PORT_ISOLATED, link.port.isolated)):
            if switch is not None:
                port.append(attribute.u8(kind, int(switch)))
        info.append(attribute.text(_PORT_KIND, Bridge.name))
        info.append(attribute.nested(_PORT_DATA, port))
    return info


def _encode_families(link: Link) -> list[bytes]:
    families = []
    if link.ipv4:
        settings = [attribute.u32(IPV4_SETTINGS[name], link.ipv4[name]) for name in sorted(link.ipv4)]
        families.append(attribute.nested(_FAMILY_IPV4, [attribute.nested(_IPV4_SETTINGS, settings)]))
    if link.generation is not None:
        generation = attribute.u8(_IPV6_GENERATION, link.generation)
        families.append(attribute.nested(_FAMILY_IPV6, [generation]))
    return families


def _encode_vlan(index: int, vlan: int, flags: int, itself: bool) -> bytes:
    head = _FAMILY_BRIDGE | index << 32
    member = attribute.raw(_BRIDGE_VLAN, (flags | vlan << 16).to_bytes(4, "little"))
    place = attribute.u16(_BRIDGE_FLAGS, _BRIDGE_SELF if itself else _BRIDGE_MASTER)
    return head.to_bytes(_HEADER, "little") + attribute.nested(_FAMILIES, [place, member])


def _decode_info(link: Link, info: dict[int, bytes]) -> None:
    link.kind_name = attribute.words(info.get(_INFO_KIND))
    data = info.get(_INFO_DATA, b"")
    if link.kind_name == Veth.name:
        link.kind = Veth()
    elif link.kind_name == Bridge.name:
        link.kind = Bridge.decode(data)
    elif link.kind_name == Vxlan.name:
        link.kind = Vxlan.decode(data)
    if attribute.words(info.get(_PORT_KIND)) == Bridge.name:
        port = attribute.read(info.get(_PORT_DATA, b""))
        link.port = Port(_switch(port.get(_PORT_HAIRPIN)), _switch(port.get(_PORT_ISOLATED)))


def _switch(value: bytes | None) -> bool | None:
    return None if value is None else value != b"\0"


def _decode_families(link: Link, families: dict[int, bytes]) -> None:
    ipv4 = attribute.read(families.get(_FAMILY_IPV4, b"")).get(_IPV4_SETTINGS, b"")
    for name, number in IPV4_SETTINGS.items():
        value = ipv4[4 * number - 4 : 4 * number]  # they count from one
        if len(value) == 4:
            link.ipv4[name] = int.from_bytes(value, "little")
    of_ipv6 = attribute.read(families.get(_FAMILY_IPV6, b""))
    ipv6 = of_ipv6.get(_IPV6_SETTINGS, b"")
    for name, number in IPV6_SETTINGS.items():
        value = ipv6[4 * number : 4 * number + 4]
        if len(value) == 4:
            link.ipv6[name] = int.from_bytes(value, "little")
    link.generation = attribute.number(of_ipv6.get(_IPV6_GENERATION))
