"""The body of a plugin's call, decoded, and what every command reads from it alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ipamd.cni import reading
from ipamd.cni.caller import Caller
from ipamd.cni.error import CniError, Code, invalid
from ipamd.cni.version import OLDEST, VERSIONS, is_supported
from ipamd.models.allocation import NetworkNamespace
from ipamd.models.identity import Identity
from ipamd.models.issued import Issued
from ipamd.models.pool import DEFAULT_CLUSTER

LARGEST_INTEGER: Final = (1 << 63) - 1
LONGEST_PATH: Final = 4096
LONGEST_CONTAINER_ID: Final = 256
LONGEST_TIME: Final = 64
LONGEST_TIMEOUT: Final = 300.0
DEFAULT_TIMEOUT: Final = 10.0

_ENVIRONMENT_KEYS: Final = ("container_id", "netns", "netns_id", "ifname", "args", "path")
_NODE_KEYS: Final = ("cluster", "node", "issued", "delivered", "undo", "spooled", "timeout")
_KEYS: Final = frozenset((*_ENVIRONMENT_KEYS, *_NODE_KEYS, "config"))
_VARIABLES: Final = {
    "container_id": "CNI_CONTAINERID",
    "netns": "CNI_NETNS",
    "ifname": "CNI_IFNAME",
    "path": "CNI_PATH",
}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_BOOT: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Body:
    """A decoded body, whose keys are known and whose version we speak."""

    def __init__(self, raw: bytes) -> None:
        try:
            decoded = reading.parse_json(raw)
        except ValueError as error:
            raise CniError(Code.CANNOT_DECODE, f"cannot decode the request: {error}") from None
        if not isinstance(decoded, dict):
            raise CniError(Code.CANNOT_DECODE, "cannot decode the request: it is not a JSON object")
        self._values: Mapping[str, Any] = decoded
        self._refuse_unknown_keys()
        self.config = self._configuration()
        self.version = self._version()
        self.identified: Caller | None = None
        """Who calls, once it is known: what is wrong from then on is known to be theirs."""

    def _refuse_unknown_keys(self) -> None:
        unknown = self._values.keys() - _KEYS
        if unknown:
            key = min(unknown)
            raise CniError(
                Code.UNSUPPORTED_FIELD,
                f"unsupported field {reading.shown(key)}: {reading.shown(self._values[key])}",
            )

    def _configuration(self) -> Mapping[str, Any]:
        config = self._values.get("config")
        if not isinstance(config, dict):
            raise reading.mistyped("config", "an object", config)
        return config

    def _version(self) -> str:
        given = self.config.get("cniVersion")
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

    def get(self, key: str, default: object = None) -> object:
        """A value as it came; null counts as absent."""
        value = self._values.get(key)
        return default if value is None else value

    def caller(self, *variables: str) -> Caller:
        """Who calls; of the environment's variables these must be there."""
        self._check_environment(variables)
        named = frozenset(variables)
        network = reading.text(self.config.get("name"), "name")
        if _NAME.fullmatch(network) is None:
            raise invalid("name", f"{reading.shown(network)} is not a network's name")
        identity = Identity(
            cluster=reading.text(self.get("cluster", DEFAULT_CLUSTER), "cluster"),
            network=network,
            node=reading.text(self.get("node"), "node"),
            container_id=self._values["container_id"] if "container_id" in named else "",
            ifname=self._values["ifname"] if "ifname" in named else "",
        )
        spooled = reading.integer(self.get("spooled", 0), "spooled", 0, LARGEST_INTEGER)
        self.identified = Caller(self.version, identity, spooled)
        return self.identified

    def _check_environment(self, variables: tuple[str, ...]) -> None:
        missing = [_VARIABLES[key] for key in variables if self.get(key, "") == ""]
        malformed = [
            _VARIABLES[key]
            for key in variables
            if self.get(key, "") != "" and not _WELL_FORMED[key](self._values[key])
        ]
        complaints = []
        if missing:
            complaints.append(f"required env variables [{','.join(missing)}] missing")
        if malformed:
            complaints.append(f"env variables [{','.join(malformed)}] malformed")
        if complaints:
            raise CniError(Code.BAD_ENVIRONMENT, "; ".join(complaints))

    def issued(self, key: str) -> Issued | None:
        """`issued` or `delivered`: a moment by the node's own clock."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise reading.mistyped(key, "an object", value)
        unknown = value.keys() - {"boot", "uptime_ns", "time"}
        if unknown:
            raise invalid(key, f"has an unknown key {reading.shown(min(unknown))}")
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
        """Seconds that the caller waits for its answer."""
        value = self.get("timeout", DEFAULT_TIMEOUT)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise reading.mistyped("timeout", "a number of seconds", value)
        if value <= 0:
            raise invalid("timeout", f"expected more than 0 seconds, got {reading.shown(value)}")
        return float(min(value, LONGEST_TIMEOUT))


def _is_container_id(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_CONTAINER_ID and bool(_NAME.fullmatch(value))


def _is_ifname(value: object) -> bool:
    # The kernel counts bytes, and forbids what would not do as a folder's name in sysfs.
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
