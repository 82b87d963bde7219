"""Networks of the node's own, and routes of others, where pods of an announced pool are."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface, ip_network
from typing import Final

from netlink import address, family, link, route
from netlink.connection import Connection
from node_agent.doctor.finding import Finding
from node_agent.doctor.told import Told
from node_agent.pod_network.network import Mode, Prefix
from node_agent.pod_network.reading import PROTOCOL, TUNNEL
from veth_plugin.kernel import naming

_BY_KERNEL: Final = 2
_OURS: Final = (PROTOCOL, naming.ROUTE_PROTOCOL, _BY_KERNEL)
"""The kernel's own follow from addresses."""
_ANOTHER_SUBNET: Final = "give the pool another subnet"


def find(routing: Connection, told: Told) -> list[Finding]:
    """Compare the pools with all of it. Raises OSError or Interrupted."""
    names = {one.index: one.name or "" for one in map(link.decode, routing.list_all(link.get_all()))}
    found: list[Finding] = []
    for pool, subnet in told.pools.items():
        found += _of_addresses(routing, names, pool, subnet)
        if told.mode is not Mode.NONE:  # or the routes are those by which others carry pods
            found += _of_routes(routing, names, pool, subnet)
    return found


def _of_addresses(routing: Connection, names: dict[int, str], pool: str, subnet: Prefix) -> Iterator[Finding]:
    for one in map(address.decode, routing.list_all(address.get_all(0))):
        name = names.get(one.index, "")
        prefix = ip_interface((one.address, one.length)).network
        if name == TUNNEL or name.startswith(naming.PREFIX) or prefix.version != subnet.version:
            continue
        if prefix.overlaps(subnet):
            yield Finding(
                f"pool {pool} ({subnet}) overlaps {prefix}, the network of {name}",
                f"{_ANOTHER_SUBNET}, or {name} another address",
            )


def _of_routes(routing: Connection, names: dict[int, str], pool: str, subnet: Prefix) -> Iterator[Finding]:
    of = family.IPV4 if subnet.version == 4 else family.IPV6
    for one in map(route.decode, routing.list_all(route.get_all(of))):
        prefix = ip_network((one.destination, one.length))
        if one.protocol in _OURS or not _is_inside(prefix, subnet):
            continue
        by = f" by {names.get(one.index, '')}" if one.index is not None else ""
        yield Finding(
            f"a route of others to {prefix}{by} takes packets for pods of pool {pool} ({subnet})",
            f"remove it, or {_ANOTHER_SUBNET}",
        )


def _is_inside(prefix: Prefix, subnet: Prefix) -> bool:
    """Whether a route takes a part of a pool; to the whole of it, or to more, the agent's are more exact."""
    return (
        prefix.version == subnet.version and prefix.prefixlen > subnet.prefixlen and prefix.overlaps(subnet)
    )
