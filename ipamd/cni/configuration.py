"""A network configuration, and its `ipam` object in particular."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any, Final

from ipamd.cni import reading
from ipamd.cni.additions import Additions
from ipamd.cni.error import CniError, Code, invalid, too_large
from ipamd.cni.own_keys import check_own_keys
from ipamd.cni.result import Results
from ipamd.cni.version import OLDEST, VERSIONS, is_supported
from ipamd.models.address import IPAddress
from ipamd.models.limits import CNI_NAME, MOST_ADDRESSES, MOST_DNS_ENTRIES, MOST_POOLS, MOST_ROUTES
from ipamd.models.pool import Dns, Route
from ipamd.models.request import PoolNames
from ipamd.models.strict_json import parse_configuration

LARGEST_INTEGER: Final = (1 << 32) - 1
"""Route metrics and table numbers are 32 bits wide in the kernel."""

LONGEST_KNOWN: Final = 8192
MOST_KNOWN: Final = 512
"""Configurations that are kept decoded, and the bytes of the longest of them."""


IPAM_KEYS: Final = (
    *("type", "endpoint", "pools", "routes", "dns", "node", "cluster", "timeout", "status", "stateDir"),
    *("tokenFile", "caFile", "certFile", "keyFile"),
)
"""The keys of an `ipam` object. The plugin knows the same (ipam_plugin/configuration.py)."""

# Other IPAM plugins read from these keys which addresses to give. If ipamd ignored them, a configuration
# copied from such a plugin would silently get other addresses.
_FOREIGN: Final = (
    *("ranges", "subnet", "rangeStart", "rangeEnd", "gateway", "resolvConf"),  # host-local
    *("range", "range_start", "range_end", "exclude"),  # Whereabouts
    *("addresses", "pool"),  # static; a slip of the pen
)
_NAME: Final = re.compile(CNI_NAME)
_ROUTE_NUMBERS: Final = ("mtu", "advmss", "priority", "table", "scope")
_ROUTE_KEYS: Final = ("dst", "gw", *_ROUTE_NUMBERS)
_DNS_KEYS: Final = ("nameservers", "domain", "search", "options")


class Configuration:
    """A network configuration as the runtime passed it on. Each part is read once."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    @cached_property
    def version(self) -> str:
        """The CNI version of the answer."""
        given = self.values.get("cniVersion")
        if given is None or given == "":
            return OLDEST
        if not isinstance(given, str):
            raise reading.mistyped("cniVersion", "a string", given)
        if not is_supported(given):
            raise CniError(
                Code.INCOMPATIBLE_VERSION,
                f"incompatible CNI versions: the configuration has {reading.shown(given)}, "
                f"ipamd speaks {', '.join(VERSIONS)}",
            )
        return given

    @cached_property
    def network(self) -> str:
        """The network's name."""
        name = reading.text(self.values.get("name"), "name")
        if _NAME.fullmatch(name) is None:
            raise invalid(
                "name",
                f"{reading.shown(name)} is not a name of a network: write letters, digits, `_`, `.` or `-`",
            )
        return name

    @cached_property
    def ipam(self) -> Mapping[str, Any]:
        """The `ipam` object, without anything that would have to be ignored."""
        ipam = read_ipam(self.values)
        check_own_keys(ipam)
        return ipam

    @cached_property
    def pool_names(self) -> PoolNames:
        """The pools that the configuration names."""
        return read_pool_names(self.ipam.get("pools"), "ipam.pools")

    @cached_property
    def additions(self) -> Additions:
        """What the configuration adds to the answer."""
        own: dict[object, Route] = {}
        for route in read_routes(self.ipam):
            own.setdefault(route.destination, route)
        makes_defaults = self.values.get("isDefaultGateway") is True
        return Additions(tuple(own.values()), read_dns(self.ipam), makes_defaults)

    @cached_property
    def results(self) -> Results:
        """The results of its containers."""
        return Results(self.additions)

    def check(self) -> None:
        """Raise the error that an ADD with this configuration would get, if any."""
        _ = self.pool_names, self.additions

    @cached_property
    def asks_for_containers(self) -> bool:
        """Whether a runtime or a user may ask in it for something for one container."""
        return self.values.get("runtimeConfig") is not None or self.values.get("args") is not None

    @cached_property
    def runtime(self) -> Mapping[str, Any]:
        """What the runtime added for this container."""
        return reading.mapping(self.values.get("runtimeConfig"), "runtimeConfig")


def configuration_of(raw: bytes) -> Configuration:
    """The configuration of a call.

    All containers of a network on a node send the same bytes, unless the runtime adds something to each.
    """
    return _known(raw) if len(raw) <= LONGEST_KNOWN else _decoded(raw)


def _decoded(raw: bytes) -> Configuration:
    values = parse_configuration(raw)
    if not isinstance(values, dict):
        raise reading.mistyped("config", "an object", values)
    return Configuration(values)


_known: Final = lru_cache(maxsize=MOST_KNOWN)(_decoded)


def read_ipam(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `ipam` object, without anything that would have to be ignored."""
    if config.get("ipam") is None:
        raise invalid("ipam", "is missing")
    ipam = reading.mapping(config["ipam"], "ipam")
    for key in _FOREIGN:
        if key in ipam:
            raise CniError(
                Code.UNSUPPORTED_FIELD,
                f"unsupported field ipam.{key}: {reading.shown(ipam[key])}",
                "remove it; name pools of ipamd in ipam.pools, or name none and let selectors choose",
            )
    reading.check_keys(ipam, IPAM_KEYS, "ipam")
    return ipam


def read_pool_names(value: object, key: str) -> PoolNames:
    """The value of `pools`: for each address the names of the pools that may give it, in order."""
    pool_names = tuple(
        _names_of_one(entry, f"{key}[{place}]") for place, entry in enumerate(reading.listing(value, key))
    )
    if len(pool_names) > MOST_ADDRESSES:
        raise too_large(f"{key}: asks for {len(pool_names)} addresses; at most {MOST_ADDRESSES} are allowed")
    named = sum(map(len, pool_names))
    if named > MOST_POOLS:
        raise too_large(f"{key}: names {named} pools; at most {MOST_POOLS} are allowed")
    return pool_names


def _names_of_one(entry: object, key: str) -> tuple[str, ...]:
    if isinstance(entry, str):
        return (reading.pool_name(entry, key),)
    if not isinstance(entry, list):
        raise reading.mistyped(key, "a string or a list of strings", entry)
    if not entry:
        raise invalid(key, "is empty: name at least one pool")
    if len(entry) > MOST_POOLS:
        raise too_large(f"{key}: names {len(entry)} pools; at most {MOST_POOLS} are allowed")
    return tuple(reading.pool_name(name, f"{key}[{place}]") for place, name in enumerate(entry))


def read_routes(ipam: Mapping[str, Any]) -> tuple[Route, ...]:
    """The routes of the configuration. They are added to those of the pools."""
    entries = reading.listing(ipam.get("routes"), "ipam.routes")
    if len(entries) > MOST_ROUTES:
        raise too_large(f"ipam.routes: has {len(entries)} routes; at most {MOST_ROUTES} are allowed")
    return tuple(_route(entry, f"ipam.routes[{place}]") for place, entry in enumerate(entries))


def _route(entry: object, key: str) -> Route:
    if not isinstance(entry, dict):
        raise reading.mistyped(key, "an object", entry)
    reading.check_keys(entry, _ROUTE_KEYS, key)
    dst = reading.prefix(entry.get("dst"), f"{key}.dst")
    gw: IPAddress | None = None
    if entry.get("gw") is not None:
        gw = reading.host_address(entry["gw"], f"{key}.gw")
        if gw.version != dst.version:
            raise invalid(f"{key}.gw", f"{gw} is not in the address family of {dst}")
    numbers = {
        name: reading.integer(entry[name], f"{key}.{name}", 0, LARGEST_INTEGER)
        for name in _ROUTE_NUMBERS
        if entry.get(name) is not None
    }
    return Route(dst, gw, **numbers)


def read_dns(ipam: Mapping[str, Any]) -> Dns:
    """The DNS settings of the configuration. They are added to those of the pools."""
    dns = reading.mapping(ipam.get("dns"), "ipam.dns")
    if not dns:
        return Dns()
    reading.check_keys(dns, _DNS_KEYS, "ipam.dns")
    servers = _texts(dns, "nameservers")
    for place, server in enumerate(servers):
        reading.host_address(server, f"ipam.dns.nameservers[{place}]")
    domain = dns.get("domain")
    return Dns(
        nameservers=servers,
        domain=reading.text(domain, "ipam.dns.domain") if domain not in (None, "") else None,
        search=_texts(dns, "search"),
        options=_texts(dns, "options"),
    )


def _texts(dns: Mapping[str, Any], name: str) -> tuple[str, ...]:
    key = f"ipam.dns.{name}"
    entries = reading.listing(dns.get(name), key)
    if len(entries) > MOST_DNS_ENTRIES:
        raise too_large(f"{key}: has {len(entries)} entries; at most {MOST_DNS_ENTRIES} are allowed")
    return tuple(reading.text(entry, f"{key}[{place}]") for place, entry in enumerate(entries))
