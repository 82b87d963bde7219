"""What is particular to kinds of links (linux/if_link.h)."""

from __future__ import annotations

from netlink import attribute

_VLAN_FILTERING = 7
_ID, _GROUP, _LINK, _LOCAL, _LEARNING, _PORT, _LOCAL6 = 1, 2, 3, 4, 7, 15, 17


class Veth:
    """One end of a pair, of which the kernel tells nothing more."""

    name = "veth"

    def encode(self) -> list[bytes]:
        return []


class Bridge:
    """A bridge; `vlan_filtering` None leaves that to the kernel."""

    name = "bridge"

    def __init__(self, vlan_filtering: bool | None = None) -> None:
        self.vlan_filtering = vlan_filtering

    def encode(self) -> list[bytes]:
        filtering = self.vlan_filtering
        return [] if filtering is None else [attribute.u8(_VLAN_FILTERING, int(filtering))]

    @staticmethod
    def decode(data: bytes) -> Bridge:
        """Read what the kernel tells; Malformed."""
        filtering = attribute.read(data).get(_VLAN_FILTERING)
        return Bridge(None if filtering is None else filtering != b"\0")


class Vxlan:
    """A tunnel device over UDP: `identifier` (VNI), `port`, and if given its own end `local`.

    `parent` is the index of the link that packets leave by. `learning` is whether it learns from what comes.
    """

    name = "vxlan"

    def __init__(
        self,
        identifier: int,
        port: int,
        local: bytes | None = None,
        parent: int | None = None,
        learning: bool = False,
    ) -> None:
        self.identifier = identifier
        self.port = port
        self.local = local
        self.parent = parent
        self.learning = learning

    def encode(self) -> list[bytes]:
        parts = [
            attribute.u32(_ID, self.identifier),
            attribute.be16(_PORT, self.port),
            attribute.u8(_LEARNING, int(self.learning)),
        ]
        if self.local is not None:
            parts.append(attribute.raw(_LOCAL if len(self.local) == 4 else _LOCAL6, self.local))
        if self.parent is not None:
            parts.append(attribute.u32(_LINK, self.parent))
        return parts

    @staticmethod
    def decode(data: bytes) -> Vxlan:
        """Read what the kernel tells; Malformed."""
        given = attribute.read(data)
        return Vxlan(
            attribute.number(given.get(_ID)) or 0,
            attribute.big_number(given.get(_PORT)) or 0,
            given.get(_LOCAL) or given.get(_LOCAL6),
            attribute.number(given.get(_LINK)),
            given.get(_LEARNING, b"\0") != b"\0",
        )
