"""Forwarding between containers and what is beyond the node, switched on by family if it is off."""

from __future__ import annotations

from cni_plugin.failure import IO_FAILURE, Failure, reason
from netlink import family, link, route
from veth_plugin.kernel import sysctl
from veth_plugin.kernel.asking import exchange, list_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.connection import Connection
    from netlink.link import Link
    from veth_plugin.kernel.pair import Pair

_SWITCHES = {family.IPV4: "ipv4/ip_forward", family.IPV6: "ipv6/conf/all/forwarding"}
_BY_ADVERTISEMENT = 9  # RTPROT_RA
_ALSO_WHERE_FORWARDING = "2"


def switch_on(pair: Pair, families: list[int]) -> None:
    """Switch forwarding on if the new host side has it off; Failure 5."""
    for one in families:
        if not forwards(pair.told, one):
            _switch_on(pair.node, one)


def forwards(told: Link, one: int) -> bool:
    """Tell whether packets that come in by a link are forwarded in a family."""
    settings = told.ipv4 if one == family.IPV4 else told.ipv6
    return settings.get("forwarding") != 0


def is_on(one: int) -> bool:
    """Tell whether the node forwards in a family; Failure 5."""
    try:
        return sysctl.read(_SWITCHES[one]) != "0"
    except OSError as error:
        raise Failure(IO_FAILURE, f"sysctl {_SWITCHES[one]}: {reason(error)}") from error


def _switch_on(node: Connection, one: int) -> None:
    key = ""
    try:
        if one == family.IPV6:
            # Else the node would forget the default route that it has from a router (accept_ra=1 is "unless
            # forwarding"), and with it its own connection.
            for name in living_by_advertisements(node):
                key = f"ipv6/conf/{name}/accept_ra"
                if sysctl.read(key) == "1":
                    sysctl.write(key, _ALSO_WHERE_FORWARDING)
        key = _SWITCHES[one]
        sysctl.write(key, "1")
    except OSError as error:
        raise Failure(IO_FAILURE, f"sysctl {key}: {reason(error)}") from error


def living_by_advertisements(node: Connection) -> list[str]:
    """Give the names of the links that have routes out of router advertisements."""
    indexes: list[int] = []
    for told in list_all(node, route.get_all(family.IPV6), "routes"):
        found = route.decode(told)
        if found.protocol == _BY_ADVERTISEMENT and found.index and found.index not in indexes:
            indexes.append(found.index)
    names = []
    for answer in exchange(node, [link.get(index=index) for index in indexes]) if indexes else []:
        name = link.decode(answer.messages[0]).name if answer.messages else None
        if name:
            names.append(name)
    return names
