"""What the plugin alone acts on in an `ipam` object, held to the plugin's rules.

A call has passed the plugin, which refuses the same; whoever explains a file has not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ipamd.cni import reading
from ipamd.cni.error import CniError, invalid
from ipamd.models.limits import LONGEST_NAME
from ipamd.models.node import is_node_name

LONGEST_TIMEOUT: Final = 600
STATUSES: Final = ("installation", "service", "capacity")
_SCHEMES: Final = ("http://", "https://", "unix:///")


def check_own_keys(ipam: Mapping[str, Any]) -> None:
    """Raise if the plugin would not go on."""
    for key in ("node", "cluster"):
        if key in ipam and not (isinstance(ipam[key], str) and is_node_name(ipam[key])):
            why = f"must be a name of 1 to {LONGEST_NAME} bytes without blanks and control characters"
            raise _wrong(ipam, key, why)
    for key in ("stateDir", "tokenFile", "caFile", "certFile", "keyFile"):
        if key in ipam and not _is_path(ipam[key]):
            raise _wrong(ipam, key, "must be an absolute path")
    if "timeout" in ipam and not _is_timeout(ipam["timeout"]):
        raise _wrong(
            ipam, "timeout", f"must be a number of seconds, more than 0 and at most {LONGEST_TIMEOUT}"
        )
    if "status" in ipam and ipam["status"] not in STATUSES:
        raise _wrong(ipam, "status", f"must be one of {', '.join(STATUSES)}")
    if "endpoint" in ipam and not _are_endpoints(ipam["endpoint"]):
        raise _wrong(ipam, "endpoint", "must be http://, https:// or unix:///path, or a list of them")


def _wrong(ipam: Mapping[str, Any], key: str, why: str) -> CniError:
    return invalid(f"ipam.{key}", f"{why}, not {reading.shown(ipam[key])}")


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and "\0" not in value


def _is_timeout(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LONGEST_TIMEOUT


def _are_endpoints(value: object) -> bool:
    entries = value if isinstance(value, list) else [value]
    return bool(entries) and all(isinstance(entry, str) and entry.startswith(_SCHEMES) for entry in entries)
