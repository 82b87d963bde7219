"""The network configuration on stdin, as far as the main plugin itself reads it."""

from __future__ import annotations

from cni_plugin.failure import INVALID_CONFIGURATION, UNSUPPORTED_FIELD, Failure
from cni_plugin.quoting import quote, show
from veth_plugin import address, decoding, mac
from veth_plugin.spelling import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from veth_plugin.result import Dns

ROUTED, BRIDGE = "routed", "bridge"

_DEFAULT_BRIDGE = "cni0"
DEFAULT_GATEWAYS = ("169.254.1.1", "fe80::1")
_SMALLEST_MTU, _LARGEST_MTU = 68, 65535
_LARGEST_VLAN = 4094
_INTERFACE_NAME_BYTES = 15
_MASQUERADE_BACKEND = "nftables"

# Keys of the specification, of libcni and of the lists that it reads; "cni.dev/…" may be added by it.
_OF_CNI = (
    "cniVersion", "cniVersions", "name", "type", "capabilities", "runtimeConfig", "args", "prevResult",
    "ipam", "dns", "disableCheck", "disableGC",
)  # fmt: skip
_OF_LIBCNI = "cni.dev/"
_OF_BOTH_MODES = ("mode", "mtu", "mac", "ipMasq", "ipMasqBackend")
_OF_ONE_MODE = {
    "gateway": ROUTED,
    "podNetwork": ROUTED,
    "bridge": BRIDGE,
    "isGateway": BRIDGE,
    "isDefaultGateway": BRIDGE,
    "forceAddress": BRIDGE,
    "hairpinMode": BRIDGE,
    "macspoofchk": BRIDGE,
    "vlan": BRIDGE,
    "enabledad": BRIDGE,
}
# Keys of the reference bridge that are not done, with the value that asks for nothing.
_NOT_DONE: dict[str, object] = {
    "promiscMode": False,
    "vlanTrunk": [],
    "preserveDefaultVlan": True,
    "portIsolation": False,
    "disableContainerInterface": False,
}
_ASKING_FOR_NOTHING: tuple[object, ...] = (None, False, 0, "", [])


class Bridge:
    """The bridge of `mode: bridge`, and what its ports shall do."""

    def __init__(self, values: dict[str, object]) -> None:
        self.name = _interface_name(values, "bridge", _DEFAULT_BRIDGE)
        self.is_default_gateway = _switch(values, "isDefaultGateway")
        self.is_gateway = _switch(values, "isGateway") or self.is_default_gateway
        self.force_address = _switch(values, "forceAddress")
        self.hairpin = _switch(values, "hairpinMode")
        self.mac_spoof_check = _switch(values, "macspoofchk")
        self.vlan = _number(values, "vlan", 0, _LARGEST_VLAN)
        self.detects_duplicates = _switch(values, "enabledad")


class Settings:
    """What ADD needs to know. `mtu` is 0 if it is not given, `bridge` None in routed mode.

    `gateways` are the addresses of host sides in routed mode, by family. `is_carried` is whether the node's
    agent carries what goes to other nodes.
    """

    def __init__(self, values: dict[str, object], arguments: str) -> None:
        self.mode = mode(values)
        _check_keys(values, self.mode)
        self.mtu = _number(values, "mtu", _SMALLEST_MTU, _LARGEST_MTU)
        self.mac = mac.requested(values, arguments)
        self.masquerades = _switch(values, "ipMasq")
        self.bridge = Bridge(values) if self.mode == BRIDGE else None
        self.gateways = _gateways(values)
        self.is_carried = _switch(values, "podNetwork")
        self.dns = _dns(values)


def mode(values: dict[str, object]) -> str:
    """Give the mode; Failure 7 if there is no such mode."""
    given = values.get("mode", ROUTED)
    if given == ROUTED:
        return ROUTED
    if given == BRIDGE:
        return BRIDGE
    raise _invalid("mode", f"must be {quote(ROUTED)} or {quote(BRIDGE)}", given)


def _check_keys(values: dict[str, object], chosen: str) -> None:
    """Refuse (code 2) what would be passed over: silence would leave a network unlike what was asked for."""
    for key in sorted(values):
        value = values[key]
        if key in _OF_CNI or key in _OF_BOTH_MODES or key.startswith(_OF_LIBCNI):
            continue
        if key in _OF_ONE_MODE:
            wanted = _OF_ONE_MODE[key]
            if wanted != chosen and value not in _ASKING_FOR_NOTHING:
                raise _unsupported(key, value, f"belongs to mode {wanted}, and the mode is {chosen}")
        elif key in _NOT_DONE:
            if value is not None and value != _NOT_DONE[key]:
                raise _unsupported(key, value, "is a key of the reference bridge that ipamd-veth does not do")
        else:
            known = list(_OF_CNI + _OF_BOTH_MODES) + sorted(_OF_ONE_MODE) + sorted(_NOT_DONE)
            raise _unsupported(key, value, f"is unknown; the nearest key is {quote(nearest(key, known))}")
    backend = values.get("ipMasqBackend")
    if backend is not None and backend != _MASQUERADE_BACKEND:
        raise _unsupported("ipMasqBackend", backend, f"is not done; ipamd-veth does {_MASQUERADE_BACKEND}")


def _switch(values: dict[str, object], key: str) -> bool:
    given = values.get(key)
    if given is None or given is False:
        return False
    if given is True:
        return True
    raise _invalid(key, "must be true or false", given)


def _number(values: dict[str, object], key: str, least: int, most: int) -> int:
    """Give the number under a key, 0 if it is absent or 0."""
    given = values.get(key)
    if given is None:
        return 0
    if isinstance(given, int) and not isinstance(given, bool) and (given == 0 or least <= given <= most):
        return given
    raise _invalid(key, f"must be a number from {least} to {most}, or 0", given)


def _interface_name(values: dict[str, object], key: str, default: str) -> str:
    name = values.get(key) or default
    if isinstance(name, str) and len(name.encode()) <= _INTERFACE_NAME_BYTES and name not in (".", ".."):
        if all("!" <= c and c not in "/:" for c in name):
            return name
    raise _invalid(key, f"must be the name of an interface, of up to {_INTERFACE_NAME_BYTES} bytes", name)


def _gateways(values: dict[str, object]) -> dict[int, bytes]:
    found = {address.family(one): one for one in [address.parse(text) for text in DEFAULT_GATEWAYS]}
    given = values.get("gateway")
    named: list[int] = []
    for text in given if isinstance(given, list) else [given]:
        if text is None or text == "":
            continue
        try:
            one = address.parse(text) if isinstance(text, str) else b"?"
        except ValueError:
            one = b"?"
        family = address.family(one)
        if len(one) == 1 or not address.is_link_local(one):
            raise _invalid("gateway", "must be a link-local address, or one for each family", given)
        if family in named:
            raise _invalid("gateway", f"has two addresses of IPv{family}: name one for each family", given)
        named.append(family)
        found[family] = one
    return found


def _dns(values: dict[str, object]) -> Dns:
    try:
        return decoding.dns(values, "dns")
    except decoding.Malformed as error:
        raise Failure(INVALID_CONFIGURATION, str(error)) from error


def _invalid(key: str, why: str, value: object) -> Failure:
    return Failure(INVALID_CONFIGURATION, f"{key}: {why}, not {show(value)}")


def _unsupported(key: str, value: object, why: str) -> Failure:
    return Failure(UNSUPPORTED_FIELD, f"key {quote(key)} with value {show(value)} {why}")
