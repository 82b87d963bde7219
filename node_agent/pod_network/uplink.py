"""The address by which other nodes reach this one, and the link that has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network

from netlink import address, link, route
from netlink.connection import Connection
from netlink.link import Link
from node_agent.pod_network.network import Address, Prefix
from node_agent.pod_network.reading import TUNNEL
from veth_plugin.kernel import naming, uplink

_SECONDARY_OR_TEMPORARY, _DEPRECATED = 0x01, 0x20
_UNUSABLE = address.DETECTION_FAILED | address.TENTATIVE | _DEPRECATED


class NoAddress(Exception):
    """The node has no address that others could reach it by: says which was looked for."""


@dataclass(frozen=True, slots=True)
class Uplink:
    """An address, the prefixes of its link, and the link's MTU."""

    address: Address
    prefixes: tuple[Prefix, ...]
    mtu: int


def find(routing: Connection, family: int, wanted: Sequence[str], towards: Address | None) -> Uplink:
    """Give the first address that is `wanted` (an address, a prefix, a link's name) and of a family.

    If none is asked for: the one that the node takes towards an address, or towards what is beyond it.
    Raises NoAddress, or OSError.
    """
    links = {one.index: one for one in map(link.decode, routing.list_all(link.get_all()))}
    told = [address.decode(one) for one in routing.list_all(address.get_all(0))]
    usable = [one for one in told if _is_usable(one, links)]
    found = [one for one in usable if ip_address(one.address).version == family]
    if wanted:
        chosen = next((one for each in wanted for one in found if _fits(each, one, links)), None)
        said = ", ".join(wanted)
    else:
        source = _source(routing, family, towards)
        chosen = next((one for one in found if one.address == source), None)
        said = f"the source towards {towards or 'what is beyond this node'}"
    if chosen is None:
        raise NoAddress(f"no address of IPv{family} is there of {said}: name one with --network-address")
    prefixes = {_prefix(one) for one in usable if one.index == chosen.index}
    mtu = links[chosen.index].mtu or 0
    return Uplink(ip_address(chosen.address), tuple(sorted(prefixes, key=str)), mtu)


def _is_usable(one: address.Address, links: dict[int, Link]) -> bool:
    """Whether an address is lasting, global and on a link that is not of the pod network's."""
    found = links.get(one.index)
    if found is None or found.name is None or found.name == TUNNEL or found.name.startswith(naming.PREFIX):
        return False
    is_temporary = len(one.address) == 16 and one.flags & _SECONDARY_OR_TEMPORARY
    return one.scope == address.SCOPE_GLOBAL and not is_temporary and not one.flags & _UNUSABLE


def _fits(wanted: str, one: address.Address, links: dict[int, Link]) -> bool:
    try:
        return ip_address(one.address) in ip_network(wanted, strict=False)
    except ValueError:  # no address and no prefix
        return links[one.index].name == wanted


def _prefix(one: address.Address) -> Prefix:
    return ip_interface((one.address, one.length)).network


def _source(routing: Connection, family: int, towards: Address | None) -> bytes | None:
    if towards is None or towards.version != family or towards.is_loopback:
        return next(
            (one for one in uplink.find(routing).sources.values() if ip_address(one).version == family), None
        )
    [answer] = routing.exchange([route.find(towards.packed)])
    return route.decode(answer.messages[0]).source if answer.messages else None
