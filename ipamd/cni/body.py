"""The decoded body of a plugin's call, and what all commands read from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
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

_NUMBER: Final = (int, float)
_ISSUED_KEYS: Final = frozenset(("boot", "uptime_ns", "time"))
_ISSUED_PLACES: Final = {
    key: (f"{key}.boot", f"{key}.uptime_ns", f"{key}.time") for key in ("issued", "delivered", "ended")
}
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

    @property
    def args(self) -> object:
        """CNI_ARGS as they were sent."""
        return self._values.args

    def undo(self) -> bool:
        """Whether a DEL undoes an ADD."""
        value = self._values.undo
        return value is not None and reading.boolean(value, "undo")

    def caller(self, *variables: str) -> Caller:
        """The caller. The command needs these variables of the environment."""
        values = self._values
        for key in variables:
            if not _WELL_FORMED[key](getattr(values, key)):
                raise _bad_environment(values, variables)
        cluster, spooled = values.cluster, values.spooled
        identity = Identity(
            DEFAULT_CLUSTER if cluster is None else reading.text(cluster, "cluster"),
            self.config.network,
            node_name(reading.text(values.node, "node")),
            values.container_id if "container_id" in variables else "",
            values.ifname if "ifname" in variables else "",
        )
        waiting = 0 if spooled is None else reading.integer(spooled, "spooled", 0, LARGEST_INTEGER)
        self.identified = Caller(self.version, identity, waiting)
        return self.identified

    def issued(self, key: str) -> Issued | None:
        """`issued` or `delivered`: a moment of the node's clock."""
        value = getattr(self._values, key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise reading.mistyped(key, "an object", value)
        if self._closed and not _ISSUED_KEYS.issuperset(value):
            raise invalid(key, f"has an unknown key {reading.shown(min(value.keys() - _ISSUED_KEYS))}")
        boot_key, uptime_key, time_key = _ISSUED_PLACES[key]
        boot = _boot(reading.text(value.get("boot"), boot_key))
        if boot is None:
            raise invalid(boot_key, f"{reading.shown(value['boot'].lower())} is not a UUID")
        uptime = reading.integer(value.get("uptime_ns"), uptime_key, 0, LARGEST_INTEGER)
        time = value.get("time")
        return Issued(boot, uptime, None if time is None else reading.text(time, time_key, LONGEST_TIME))

    def netns(self) -> NetworkNamespace | None:
        """Device and inode of the container's network namespace."""
        value = self._values.netns_id
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != 2:
            raise reading.mistyped("netns_id", "a list of device and inode", value)
        return NetworkNamespace(
            reading.integer(value[0], "netns_id[0]", 0, LARGEST_INTEGER),
            reading.integer(value[1], "netns_id[1]", 0, LARGEST_INTEGER),
        )

    def timeout(self) -> float:
        """How many seconds the caller waits for its answer."""
        value = self._values.timeout
        if value is None:
            return DEFAULT_TIMEOUT
        if not isinstance(value, _NUMBER) or isinstance(value, bool):
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


def _bad_environment(values: _Envelope, variables: tuple[str, ...]) -> CniError:
    """The error that names all variables that are missing or malformed."""
    missing, malformed = [], []
    for key in variables:
        value = getattr(values, key)
        if value is None or value == "":
            missing.append(_VARIABLES[key])
        elif not _WELL_FORMED[key](value):
            malformed.append(_VARIABLES[key])
    complaints = []
    if missing:
        complaints.append(f"required env variables [{','.join(missing)}] missing")
    if malformed:
        complaints.append(f"env variables [{','.join(malformed)}] malformed")
    return CniError(Code.BAD_ENVIRONMENT, "; ".join(complaints))


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


@lru_cache(maxsize=1024)
def _boot(text: str) -> str | None:
    """A boot's UUID, None for any other text. All calls of a node bring the same until it boots anew."""
    boot = text.lower()
    return boot if _BOOT.fullmatch(boot) is not None else None


def _is_container_id(value: object) -> bool:
    return (
        isinstance(value, str) and len(value) <= LONGEST_CONTAINER_ID and _NAME.fullmatch(value) is not None
    )


def _is_ifname(value: object) -> bool:
    # The kernel counts bytes, takes no blank, and forbids names that cannot be a folder in sysfs. Of what is
    # printable only a blank is space.
    return (
        isinstance(value, str)
        and 0 < len(value.encode()) <= 15
        and value.isprintable()
        and not ("/" in value or ":" in value or " " in value)
        and value not in (".", "..")
    )


def _is_path(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_PATH and value.isprintable()


_WELL_FORMED: Final[Mapping[str, Callable[[object], bool]]] = {
    "container_id": _is_container_id,
    "netns": _is_path,
    "ifname": _is_ifname,
    "path": _is_path,
}
