"""Results in every version of the specification ("Result types" of each).

The result of an IPAM plugin has no `interfaces` and no `ips[].interface`: it knows no interfaces. The
specification knows no prefixes, and a main plugin would put one in `ips` onto the interface: so a prefix
stands under a key of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import Any, Final

import msgspec
from msgspec import Struct

from ipamd.cni.additions import Additions
from ipamd.cni.error import CniError, Code
from ipamd.cni.routes import gateway_told, routes_of
from ipamd.cni.version import at_least
from ipamd.models.address import text_of
from ipamd.models.outcome import Grant, Granted
from ipamd.models.pool import LINK_SCOPE, Dns, Pool, Route

PREFIXES: Final = "ipamd.io/prefixes"
"""The key of the prefixes that a container has beside its addresses."""

_ROUTE_NUMBERS: Final = ("mtu", "advmss", "priority", "table", "scope")
"""Keys that are new in 1.1.0. A strict reader of an older result refuses them."""


MOST_FORMS: Final = 16
"""How many forms are kept of a configuration: more than there are sets of pools that serve one network."""

_GAP: Final = token_hex(16)
"""What stands for an address while a form is made: nobody can have written it into a configuration."""


class Form(Struct, frozen=True):
    """A result as a format, with `%s` for each address. It keeps its pools: by their ids it is known."""

    text: str
    pools: Sequence[Pool]


class Results:
    """The results of one network. Its containers get the same but for their addresses, so forms are kept."""

    __slots__ = ("additions", "forms")

    def __init__(self, additions: Additions) -> None:
        self.additions = additions
        self.forms: dict[tuple[object, ...], Form] = {}

    def encode(self, granted: Granted, version: str) -> bytes:
        """The result of an ADD in the requested version.

        Raises `CniError` (code 7) if the version has no form for it: before 0.3.0 a result has at most one
        address of each family.
        """
        key: list[object] = [version]
        addresses, prefixes = [], []
        for grant in granted.grants:
            if grant.prefix_length is None:
                addresses.append(text_of(grant.address))
                key.append(id(grant.pool))
            else:
                prefixes.append(grant.written)
                key.append(None)
        known = tuple(key)
        form = self.forms.get(known)
        if form is None:
            form = _form(granted.grants, self.additions, version)
            if len(self.forms) >= MOST_FORMS:
                self.forms.clear()
            self.forms[known] = form
        return (form.text % (*addresses, *prefixes)).encode()


def _form(grants: Sequence[Grant], additions: Additions, version: str) -> Form:
    addresses = [grant for grant in grants if grant.prefix_length is None]
    routes = routes_of(addresses, additions, numbers=at_least(version, "1.1.0"))
    dns = _merged(addresses, additions.dns)
    if at_least(version, "0.3.0"):
        body = _flat(addresses, routes, version)
    else:
        body = _by_family(addresses, routes, version)
    if len(addresses) < len(grants):
        body[PREFIXES] = [_GAP for grant in grants if grant.prefix_length is not None]
    if dns:
        body["dns"] = _dns(dns)
    text = msgspec.json.encode(body).decode().replace("%", "%%").replace(_GAP, "%s")
    return Form(text, [grant.pool for grant in grants])


def _merged(grants: Sequence[Grant], own: Dns) -> Dns:
    """The settings of the pools, then those of the configuration, whose domain wins."""
    every = [grant.pool.dns for grant in grants if grant.pool.dns]
    if not every:
        return own
    every.append(own)
    return Dns(
        nameservers=tuple(dict.fromkeys(server for dns in every for server in dns.nameservers)),
        domain=own.domain or next((dns.domain for dns in every if dns.domain), None),
        search=tuple(dict.fromkeys(name for dns in every for name in dns.search)),
        options=tuple(dict.fromkeys(option for dns in every for option in dns.options)),
    )


def _dns(dns: Dns) -> dict[str, Any]:
    values = {
        "nameservers": dns.nameservers,
        "domain": dns.domain,
        "search": dns.search,
        "options": dns.options,
    }
    return {key: value for key, value in values.items() if value}


def _flat(grants: Sequence[Grant], routes: Sequence[Route], version: str) -> dict[str, Any]:
    """From 0.3.0 on there is one list of addresses. Up to 0.4.0 each address names its family."""
    ips = []
    for grant in grants:
        ip = {} if at_least(version, "1.0.0") else {"version": str(grant.address.version)}
        ip["address"] = _with_length(grant)
        gateway = gateway_told(grant.pool)
        if gateway is not None:
            ip["gateway"] = text_of(gateway)
        ips.append(ip)
    body: dict[str, Any] = {"cniVersion": version, "ips": ips}
    if routes:
        body["routes"] = [_route(route, numbers=at_least(version, "1.1.0")) for route in routes]
    return body


def _by_family(grants: Sequence[Grant], routes: Sequence[Route], version: str) -> dict[str, Any]:
    """In 0.1.0 and 0.2.0 each family has an object with its routes."""
    body: dict[str, Any] = {"cniVersion": version}
    for grant in grants:
        family = f"ip{grant.address.version}"
        if family in body:
            raise CniError(
                Code.INVALID_CONFIGURATION,
                f"cniVersion: a result of version {version} has at most one IPv{grant.address.version} "
                "address: name fewer pools, or write a later cniVersion",
                version=version,
            )
        ip: dict[str, Any] = {"ip": _with_length(grant)}
        gateway = gateway_told(grant.pool)
        if gateway is not None:
            ip["gateway"] = text_of(gateway)
        own = [_route(route) for route in routes if route.dst.version == grant.address.version]
        if own:
            ip["routes"] = own
        body[family] = ip
    return body


def _with_length(grant: Grant) -> str:
    return f"{_GAP}/{grant.pool.subnet.prefixlen}"


def _route(route: Route, *, numbers: bool = False) -> dict[str, Any]:
    entry: dict[str, Any] = {"dst": str(route.dst)}
    if route.gw is not None:
        entry["gw"] = str(route.gw)
    if numbers:
        for name in _ROUTE_NUMBERS:
            value = getattr(route, name)
            if value is not None:
                entry[name] = value
    elif route.gw is None and route.scope == LINK_SCOPE:
        # Newer main plugins read it in every version, and IPv4 knows no gateway behind a route without it.
        entry["scope"] = LINK_SCOPE
    return entry
