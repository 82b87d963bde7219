"""The host sides of containers in mode routed, and what the kernel has for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netlink import address, family, link, neighbour, route
from netlink.connection import Connection
from netlink.link import Link
from netlink.linkkind import Veth
from netlink.message import Message
from netlink.neighbour import Neighbour
from veth_plugin.kernel import naming

Prefix = tuple[bytes, int]
"""Its first address, and its length."""

_FAMILIES = (family.IPV4, family.IPV6)


@dataclass(frozen=True, slots=True)
class HostSide:
    """A host side: its name, what addresses and prefixes its container has, and where that one's end is."""

    index: int
    name: str
    addresses: tuple[bytes, ...]
    prefixes: tuple[Prefix, ...]
    peer_index: int
    peer_namespace: int | None

    @property
    def families(self) -> tuple[int, ...]:
        """The families of the container's addresses, each once."""
        return tuple(sorted({family.of(one) for one in self.addresses}))


@dataclass(frozen=True, slots=True)
class Standing:
    """What the kernel has for a host side. `mac` is the container's, None if nobody can tell it."""

    mac: bytes | None
    neighbours: dict[bytes, Neighbour]
    routed: Mapping[Prefix, bytes | None]
    """The prefixes to which a route leads, whole addresses too, each with what the node itself sends from."""
    gateways: tuple[bytes, ...]


def all_of_them(node: Connection) -> list[HostSide]:
    """The host sides that are up. Raises OSError, or Interrupted."""
    return _host_sides(node.list_all(link.get_all()))


def named(node: Connection, indexes: Iterable[int]) -> list[HostSide]:
    """Those host sides of these that are there and up. Raises OSError."""
    answers = node.exchange([link.get(index=index) for index in indexes])
    return _host_sides(message for answer in answers for message in answer.messages)


def routed_prefixes(node: Connection) -> dict[int, dict[Prefix, bytes | None]]:
    """The prefixes to which the main plugin made routes, by the links, each with the route's source.

    Raises OSError, or Interrupted.
    """
    found: dict[int, dict[Prefix, bytes | None]] = {}
    for of in _FAMILIES:
        for told in node.list_all(route.get_all(of, protocol=naming.ROUTE_PROTOCOL)):
            one = route.decode(told)
            if one.index is not None:
                found.setdefault(one.index, {})[one.destination, one.length] = one.source
    return found


def standing(node: Connection, side: HostSide, routed: Mapping[Prefix, bytes | None]) -> Standing:
    """What the kernel has for one, whose routes are known. Raises OSError, or Interrupted."""
    answers = node.exchange(
        [
            link.get(index=side.peer_index, namespace=side.peer_namespace),
            *(neighbour.get(side.index, one) for one in side.addresses),
        ]
    )
    inside = [link.decode(told) for told in answers[0].messages]
    entries = [neighbour.decode(told) for answer in answers[1:] for told in answer.messages]
    there = [address.decode(told) for told in node.list_all(address.get_all(side.index))]
    return Standing(
        inside[0].mac if inside and _is_the_other_end(inside[0], side) else None,
        {one.address: one for one in entries if one.address is not None},
        routed,
        tuple(one.address for one in there),
    )


def _host_sides(told: Iterable[Message]) -> list[HostSide]:
    return [side for one in told if (side := _host_side(link.decode(one))) is not None]


def _host_side(told: Link) -> HostSide | None:
    """A host side of mode routed that is up. Of one on a bridge the bridge learns what is behind it."""
    alias = naming.read_alias(told.alias)
    is_routed = told.master is None and told.generation in (None, link.GENERATE_NONE)
    if not (told.name or "").startswith(naming.PREFIX) or not isinstance(told.kind, Veth) or not is_routed:
        return None
    if alias is None or not alias.addresses or not told.up or told.peer_index is None:
        return None
    return HostSide(
        told.index,
        told.name or "",
        tuple(alias.addresses),
        tuple(alias.prefixes),
        told.peer_index,
        told.peer_namespace,
    )


def _is_the_other_end(inside: Link, side: HostSide) -> bool:
    return isinstance(inside.kind, Veth) and inside.peer_index == side.index
