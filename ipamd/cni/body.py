"""The decoded body of a plugin's call, and what all commands read from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct, ValidationError
from msgspec.json import Decoder

from ipamd.cni import reading
from ipamd.cni.caller import Caller
from ipamd.cni.configuration import configuration_of
from ipamd.cni.error import CniError, Code, invalid
from ipamd.cni.version import NEWEST
from ipamd.models.allocation import NetworkNamespace
from ipamd.models.identity import Identity
from ipamd.models.issued import Issued
from ipamd.models.limits import CNI_NAME
from ipamd.models.nearest import nearest
from ipamd.models.node import node_name
from ipamd.models.pool import DEFAULT_CLUSTER
from ipamd.models.strict_json import parse_json

LARGEST_INTEGER: Final = (1 << 63) - 1
LONGEST_PATH: Final = 4096
LONGEST_CONTAINER_ID: Final = 256
LONGEST_TIME: Final = 64
LONGEST_TIMEOUT: Final = 300.0
DEFAULT_TIMEOUT: Final = 10.0

_ISSUED_KEYS: Final = frozenset(("boot", "uptime_ns", "time"))
_VARIABLES: Final = {
    "container_id": "CNI_CONTAINERID",
    "netns": "CNI_NETNS",
    "ifname": "CNI_IFNAME",
    "path": "CNI_PATH",
}
_NAME: Final = re.compile(CNI_NAME)
_BOOT: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Envelope(Struct):
    """The keys of a body with their undecoded meaning. The configuration stays as bytes."""

    container_id: Any = None
    netns: Any = None
    netns_id: Any = None
    ifname: Any = None
    args: Any = None
    path: Any = None
    cluster: Any = None
    node: Any = None
    issued: Any = None
    delivered: Any = None
    ended: Any = None
    undo: Any = None
    spooled: Any = None
    timeout: Any = None
    config: Raw = Raw(b"null")


class _ClosedEnvelope(_Envelope, forbid_unknown_fields=True):
    """The same of a call that may be refused: no other key is passed over."""


_CLOSED: Final = Decoder(_ClosedEnvelope)
_OPEN: Final = Decoder(_Envelope)


class Body:
    """A decoded body.

    With `closed` an unknown key is an error. Without it unknown keys are ignored: a release must not fail
    because of them. With `any_version` an unsupported version is no error: there is no answer to write in it.
    """

    def __init__(self, raw: bytes, *, closed: bool = True, any_version: bool = False) -> None:
        self._values = _opened(raw, _CLOSED if closed else _OPEN)
        self._closed = closed
        try:
            self.config = configuration_of(bytes(self._values.config))
        except ValueError as error:
            raise _undecodable(error) from None
        self.version = NEWEST if any_version else self.config.version
        self.identified: Caller | None = None
        """The caller, as soon as it is known. Later errors name it."""

    def get(self, key: str, default: object = None) -> object:
        """A value as it was sent. null counts as absent."""
        value = getattr(self._values, key)
        return default if value is None else value

    def caller(self, *variables: str) -> Caller:
        """The caller. The command needs these variables of the environment."""
        self._check_environment(variables)
        identity = Identity(
            cluster=reading.text(self.get("cluster", DEFAULT_CLUSTER), "cluster"),
            network=self.config.network,
            node=node_name(reading.text(self.get("node"), "node")),
            container_id=self._values.container_id if "container_id" in variables else "",
            ifname=self._values.ifname if "ifname" in variables else "",
        )
        spooled = reading.integer(self.get("spooled", 0), "spooled", 0, LARGEST_INTEGER)
        self.identified = Caller(self.version, identity, spooled)
        return self.identified

    def _check_environment(self, variables: tuple[str, ...]) -> None:
        missing, malformed = [], []
        for key in variables:
            value = getattr(self._values, key)
            if value is None or value == "":
                missing.append(_VARIABLES[key])
            elif not _WELL_FORMED[key](value):
                malformed.append(_VARIABLES[key])
        complaints = []
        if missing:
            complaints.append(f"required env variables [{','.join(missing)}] missing")
        if malformed:
            complaints.append(f"env variables [{','.join(malformed)}] malformed")
        if complaints:
            raise CniError(Code.BAD_ENVIRONMENT, "; ".join(complaints))

    def issued(self, key: str) -> Issued | None:
        """`issued` or `delivered`: a moment of the node's clock."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise reading.mistyped(key, "an object", value)
        if self._closed and not value.keys() <= _ISSUED_KEYS:
            raise invalid(key, f"has an unknown key {reading.shown(min(value.keys() - _ISSUED_KEYS))}")
        boot = reading.text(value.get("boot"), f"{key}.boot").lower()
        if _BOOT.fullmatch(boot) is None:
            raise invalid(f"{key}.boot", f"{reading.shown(boot)} is not a UUID")
        uptime = reading.integer(value.get("uptime_ns"), f"{key}.uptime_ns", 0, LARGEST_INTEGER)
        time = value.get("time")
        return Issued(boot, uptime, None if time is None else reading.text(time, f"{key}.time", LONGEST_TIME))

    def netns(self) -> NetworkNamespace | None:
        """Device and inode of the container's network namespace."""
        value = self.get("netns_id")
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != 2:
            raise reading.mistyped("netns_id", "a list of device and inode", value)
        device, inode = (
            reading.integer(number, f"netns_id[{place}]", 0, LARGEST_INTEGER)
            for place, number in enumerate(value)
        )
        return NetworkNamespace(device, inode)

    def timeout(self) -> float:
        """How many seconds the caller waits for its answer."""
        value = self.get("timeout", DEFAULT_TIMEOUT)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise reading.mistyped("timeout", "a number of seconds", value)
        if value <= 0:
            raise invalid("timeout", f"expected more than 0 seconds, got {reading.shown(value)}")
        return float(min(value, LONGEST_TIMEOUT))


def _opened(raw: bytes, decoder: Decoder[_Envelope] | Decoder[_ClosedEnvelope]) -> _Envelope:
    try:
        return decoder.decode(raw)
    except ValidationError:
        raise _not_a_body(raw) from None
    except (ValueError, RecursionError) as error:
        raise _undecodable(error) from None


def _not_a_body(raw: bytes) -> CniError:
    """The error for a body that is not a JSON object with the known keys."""
    try:
        values = parse_json(raw)
    except ValueError as error:
        return _undecodable(error)
    if not isinstance(values, dict):
        return CniError(Code.CANNOT_DECODE, "cannot decode the request: it is not a JSON object")
    key = min(values.keys() - set(_Envelope.__struct_fields__))
    near = nearest(key, _Envelope.__struct_fields__)
    return CniError(
        Code.UNSUPPORTED_FIELD,
        f"unsupported field {reading.shown(key)}: {reading.shown(values[key])}",
        f"did you mean {near}?" if near is not None else "",
    )


def _undecodable(error: ValueError | RecursionError) -> CniError:
    why = "JSON is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return CniError(Code.CANNOT_DECODE, f"cannot decode the request: {why}")


def _is_container_id(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_CONTAINER_ID and bool(_NAME.fullmatch(value))


def _is_ifname(value: object) -> bool:
    # The kernel counts bytes. It forbids names that cannot be a folder in sysfs.
    return (
        isinstance(value, str)
        and len(value.encode()) <= 15
        and value not in (".", "..")
        and value.isprintable()
        and not any(character in "/:" or character.isspace() for character in value)
    )


def _is_path(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_PATH and value.isprintable()


_WELL_FORMED: Final[Mapping[str, Callable[[object], bool]]] = {
    "container_id": _is_container_id,
    "netns": _is_path,
    "ifname": _is_ifname,
    "path": _is_path,
}
