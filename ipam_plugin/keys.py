"""What an `ipam` object and node.json may have; a key beside them is a slip, and is named with the nearest.

ADD leaves that to ipamd, which reads every call. STATUS asks nobody, and node.json is the node's alone.
"""

from __future__ import annotations

from cni_plugin.failure import UNSUPPORTED_FIELD, Failure
from cni_plugin.nearest import nearest
from cni_plugin.quoting import quote, show
from ipam_plugin.node_json import NODE_KEYS

IPAM_KEYS = ("type", "pools", "routes", "dns", "timeout", "status") + NODE_KEYS
ROUTE_KEYS = ("dst", "gw", "mtu", "advmss", "priority", "table", "scope")
DNS_KEYS = ("nameservers", "domain", "search", "options")


def check_section(section: dict[str, object]) -> None:
    """Refuse an `ipam` object with a key that nobody reads; Failure 2. Its values are ipamd's to judge."""
    check(section, IPAM_KEYS, "ipam.")
    routes, dns = section.get("routes"), section.get("dns")
    if isinstance(routes, list):
        for at, route in enumerate(routes):
            if isinstance(route, dict):
                check(route, ROUTE_KEYS, f"ipam.routes[{at}].")
    if isinstance(dns, dict):
        check(dns, DNS_KEYS, "ipam.dns.")


def check(values: dict[str, object], known: tuple[str, ...], prefix: str, file: str = "") -> None:
    """Refuse the first other key in the order of the alphabet; Failure 2. `prefix` leads to the object."""
    other = sorted([key for key in values if key not in known])
    if not other:
        return
    key = other[0]
    near = nearest(key, known)
    hint = f"did you mean {prefix}{near}?" if near else f"known are {', '.join(known)}"
    name = key if 0 < len(key) <= 64 and all("!" <= c <= "~" for c in key) else quote(key[:64])
    where = f"{file}: " if file else ""
    raise Failure(UNSUPPORTED_FIELD, f"{where}unsupported field {prefix}{name}: {show(values[key])}; {hint}")
