"""A result written in any version of the specification ("Result types" of each)."""

from __future__ import annotations

from cni_plugin.quoting import quote
from cni_plugin.versions import VERSIONS
from veth_plugin import address
from veth_plugin.address import IPV4, IPV6
from veth_plugin.result import PREFIXES, ROUTE_NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from veth_plugin.result import Address, Dns, Interface, Result, Route


class Inexpressible(ValueError):
    """The version cannot say it."""


def encode(result: Result, version: str) -> bytes:
    """Write a result in a version; Inexpressible if that has no words for it."""
    members = [f'"cniVersion":{quote(version)}']
    if _is_before(version, "0.3.0"):
        members += [_family(result, family, version) for family in _families(result)]
    else:
        members += _flat(result, version)
    members.append(f'"dns":{_dns(result.dns)}')
    if result.prefixes:
        told = [_prefix(first, length) for first, length in result.prefixes]
        members.append(f'"{PREFIXES}":[{",".join(told)}]')
    return ("{" + ",".join(members) + "}").encode()


def _flat(result: Result, version: str) -> list[str]:
    parts = (
        ("interfaces", [_interface(each, version) for each in result.interfaces]),
        ("ips", [_address(each, version) for each in result.addresses]),
        ("routes", [_route(each, version) for each in result.routes]),
    )
    return [f'"{key}":[{",".join(entries)}]' for key, entries in parts if entries]


def _interface(interface: Interface, version: str) -> str:
    members = [f'"name":{quote(interface.name)}']
    if interface.mac:
        members.append(f'"mac":{quote(interface.mac)}')
    if interface.mtu and not _is_before(version, "1.1.0"):
        members.append(f'"mtu":{interface.mtu}')
    if interface.sandbox:
        members.append(f'"sandbox":{quote(interface.sandbox)}')
    return "{" + ",".join(members) + "}"


def _address(each: Address, version: str) -> str:
    members = [f'"address":{_prefix(each.address, each.length)}']
    if _is_before(version, "1.0.0"):
        members.append(f'"version":"{address.family(each.address)}"')
    if each.interface is not None:
        members.append(f'"interface":{each.interface}')
    if each.gateway is not None:
        members.append(f'"gateway":{quote(address.text(each.gateway))}')
    return "{" + ",".join(members) + "}"


def _route(route: Route, version: str) -> str:
    members = [f'"dst":{_prefix(route.destination, route.length)}']
    if route.gateway is not None:
        members.append(f'"gw":{quote(address.text(route.gateway))}')
    if not _is_before(version, "1.1.0"):
        members += [f'"{key}":{route.numbers[key]}' for key in ROUTE_NUMBERS if key in route.numbers]
    return "{" + ",".join(members) + "}"


def _families(result: Result) -> list[int]:
    found = [address.family(each.address) for each in result.addresses]
    return [family for family in (IPV4, IPV6) if family in found]


def _family(result: Result, family: int, version: str) -> str:
    """Write the object of a family, which holds one address and the family's routes."""
    own = [each for each in result.addresses if address.family(each.address) == family]
    if len(own) > 1:
        raise Inexpressible(
            f"a result of version {version} has one IPv{family} address at most, not {len(own)}"
        )
    members = [f'"ip":{_prefix(own[0].address, own[0].length)}']
    if own[0].gateway is not None:
        members.append(f'"gateway":{quote(address.text(own[0].gateway))}')
    routes = [_route(each, version) for each in result.routes if address.family(each.destination) == family]
    if routes:
        members.append(f'"routes":[{",".join(routes)}]')
    return f'"ip{family}":{{{",".join(members)}}}'


def _dns(dns: Dns) -> str:
    members = []
    for key, texts in (("nameservers", dns.nameservers), ("search", dns.search), ("options", dns.options)):
        if texts:
            members.append(f'"{key}":[{",".join([quote(one) for one in texts])}]')
    if dns.domain:
        members.append(f'"domain":{quote(dns.domain)}')
    return "{" + ",".join(members) + "}"


def _prefix(first: bytes, length: int) -> str:
    return quote(address.prefix_text(first, length))


def _is_before(version: str, other: str) -> bool:
    return VERSIONS.index(version) < VERSIONS.index(other)
