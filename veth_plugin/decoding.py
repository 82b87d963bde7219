"""Results of every version of the specification, read into plain values ("Result types" of each)."""

from __future__ import annotations

from cni_plugin.quoting import show
from cni_plugin.versions import VERSIONS
from veth_plugin import address
from veth_plugin.result import PREFIXES, ROUTE_NUMBERS, Address, Dns, Interface, Result, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from veth_plugin.result import Prefix

_LARGEST_NUMBER = 0xFFFFFFFF


class Malformed(ValueError):
    """What should be a result is none; says where, what is wrong, and the value."""

    def __init__(self, place: str, why: str, value: object) -> None:
        super().__init__(f"{place} {why}: {show(value)}")


def decode(values: dict[str, object]) -> Result:
    """Read a result, whichever version it says that it has; Malformed if it is none."""
    version = values.get("cniVersion") or VERSIONS[0]
    if version not in VERSIONS:
        raise Malformed("cniVersion", "is not supported", version)
    if version in ("0.1.0", "0.2.0"):
        return _by_family(values)
    return Result(
        [_interface(place, entry) for place, entry in _objects(values, "interfaces")],
        [_address(place, entry, "address") for place, entry in _objects(values, "ips")],
        [_route(place, entry) for place, entry in _objects(values, "routes")],
        dns(values, "dns"),
        _prefixes(values),
    )


def dns(values: dict[str, object], key: str) -> Dns:
    """Read the settings for the resolver under a key of a result or a configuration; Malformed."""
    given = {} if values.get(key) is None else _object(values[key], key)
    return Dns(
        _texts(given, key, "nameservers"),
        _text(given, key, "domain"),
        _texts(given, key, "search"),
        _texts(given, key, "options"),
    )


def _by_family(values: dict[str, object]) -> Result:
    addresses: list[Address] = []
    routes: list[Route] = []
    for place in ("ip4", "ip6"):
        given = values.get(place)
        if given is not None:
            entry = _object(given, place)
            addresses.append(_address(place, entry, "ip"))
            routes += [_route(f"{place}.{where}", route) for where, route in _objects(entry, "routes")]
    return Result([], addresses, routes, dns(values, "dns"), _prefixes(values))


def _prefixes(values: dict[str, object]) -> list[Prefix]:
    found: list[Prefix] = []
    for number, text in enumerate(_texts(values, "the result", PREFIXES)):
        place = f"{PREFIXES}[{number}]"
        try:
            first, length = address.parse_prefix(text)
        except ValueError as error:
            raise Malformed(place, str(error), text) from error
        if address.network(first, length) != first:
            raise Malformed(place, "does not begin with the first address of a prefix", text)
        found.append((first, length))
    return found


def _address(place: str, entry: dict[str, object], key: str) -> Address:
    first, length = _prefix(place, entry, key)
    interface = entry.get("interface")
    if interface is not None and not _is_number(interface):
        raise Malformed(f"{place}.interface", "is not the position of an interface", interface)
    made = Address(first, length, _gateway(place, entry, "gateway"), None)
    if isinstance(interface, int):
        made.interface = interface
    if made.gateway is not None and len(made.gateway) != len(first):
        raise Malformed(f"{place}.gateway", "is of the other family", entry["gateway"])
    return made


def _route(place: str, entry: dict[str, object]) -> Route:
    destination, length = _prefix(place, entry, "dst")
    gateway = _gateway(place, entry, "gw")
    numbers: dict[str, int] = {}
    for key in ROUTE_NUMBERS:
        value = entry.get(key)
        if value is None:
            continue
        if not _is_number(value):
            raise Malformed(f"{place}.{key}", f"is not a number up to {_LARGEST_NUMBER}", value)
        assert isinstance(value, int)
        numbers[key] = value
    return Route(destination, length, gateway, numbers)


def _interface(place: str, entry: dict[str, object]) -> Interface:
    mtu = entry.get("mtu") or 0
    if not _is_number(mtu):
        raise Malformed(f"{place}.mtu", "is not a number", mtu)
    assert isinstance(mtu, int)
    texts = [_text(entry, place, key) for key in ("name", "mac", "sandbox")]
    return Interface(texts[0], texts[1], texts[2], mtu)


def _prefix(place: str, entry: dict[str, object], key: str) -> tuple[bytes, int]:
    text = entry.get(key)
    if not isinstance(text, str):
        raise Malformed(f"{place}.{key}", "is not ADDRESS/LENGTH", text)
    try:
        return address.parse_prefix(text)
    except ValueError as error:
        raise Malformed(f"{place}.{key}", str(error), text) from error


def _gateway(place: str, entry: dict[str, object], key: str) -> bytes | None:
    text = entry.get(key)
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise Malformed(f"{place}.{key}", "is not an address", text)
    try:
        return address.parse(text)
    except ValueError as error:
        raise Malformed(f"{place}.{key}", str(error), text) from error


def _objects(values: dict[str, object], key: str) -> list[tuple[str, dict[str, object]]]:
    """Give the objects of a list, each with its place; a list that is absent or null is empty."""
    given = values.get(key)
    if given is None:
        return []
    if not isinstance(given, list):
        raise Malformed(key, "is not a list", given)
    return [(f"{key}[{number}]", _object(entry, f"{key}[{number}]")) for number, entry in enumerate(given)]


def _object(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Malformed(place, "is not an object", value)
    return value


def _text(values: dict[str, object], place: str, key: str) -> str:
    value = values.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"{place}.{key}", "is not a text", value)
    return value


def _texts(values: dict[str, object], place: str, key: str) -> list[str]:
    given = values.get(key)
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise Malformed(f"{place}.{key}", "is not a list of texts", given)
    return given


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_NUMBER
