"""The network configuration on stdin and /etc/ipamd/node.json, as far as the plugin itself reads them."""

from __future__ import annotations

import os

from cni_plugin import platform
from cni_plugin.clock import DEFAULT_TIMEOUT
from cni_plugin.configuration import invalid, missing
from cni_plugin.failure import (
    BAD_ENVIRONMENT,
    INVALID_CONFIGURATION,
    IO_FAILURE,
    Failure,
    reason,
)
from cni_plugin.files import Unfit, read_regular
from cni_plugin.quoting import show
from cni_plugin.scanner import NotJson, parse_object
from ipam_plugin import destination
from ipam_plugin.destination import Destination, Unusable, absolute_path

NODE_JSON = "/etc/ipamd/node.json"
NODE_KEYS = ("endpoint", "node", "cluster", "stateDir", "tokenFile", "caFile", "certFile", "keyFile")
_NODE_JSON_BYTES = 65536
_ENDPOINTS = ["unix:///run/ipamd/agent.sock", "unix:///run/ipamd/ipamd.sock"]
_STATE_DIR = "/var/lib/ipamd-node"
_NAME_BYTES = 253
_LONGEST_TIMEOUT = 600
INSTALLATION, SERVICE, CAPACITY = "installation", "service", "capacity"
_STATUS = (INSTALLATION, SERVICE, CAPACITY)


class Settings:
    """What the plugin needs for a request: the destination, the node, the timeout, and the state folder."""

    def __init__(
        self, destination: Destination, node: str, cluster: str, state_dir: str, timeout: float, status: str
    ) -> None:
        self.destination = destination
        self.node = node
        self.cluster = cluster
        self.state_dir = state_dir
        self.timeout = timeout
        self.status = status


def settings(configuration: dict[str, object]) -> Settings:
    """Read the `ipam` section and node.json.

    If that file exists, its keys come from it alone. Failure 5 or 7.
    """
    if "ipam" not in configuration:
        raise missing("ipam")
    section = configuration["ipam"]
    if not isinstance(section, dict):
        raise invalid("ipam", "must be an object", section)
    on_node = _node_json()
    if on_node is not None:
        for key in NODE_KEYS:
            if key in section:
                raise invalid(f"ipam.{key}", f"comes from {NODE_JSON} alone on this node", section[key])
    try:
        timeout = _timeout(section)
        status = _status(section)
    except Unusable as error:
        raise Failure(INVALID_CONFIGURATION, f"ipam.{error}") from error
    try:
        values = section if on_node is None else on_node
        cluster = name_of(values, "cluster") or "default"
        state_dir = absolute_path(values, "stateDir", _STATE_DIR)
        token = f"{state_dir}/token"
        whom = destination.read(values, _ENDPOINTS, token if _exists(token) else "")
        node = name_of(values, "node") or node_name(state_dir)
    except Unusable as error:
        place = "ipam." if on_node is None else f"{NODE_JSON}: "
        raise Failure(INVALID_CONFIGURATION, f"{place}{error}") from error
    return Settings(whom, node, cluster, state_dir, timeout, status)


def _node_json() -> dict[str, object] | None:
    if not _exists(NODE_JSON):
        return None
    try:
        return parse_object(read_regular(NODE_JSON, _NODE_JSON_BYTES).data)
    except OSError as error:
        raise Failure(IO_FAILURE, f"{NODE_JSON} cannot be read: {reason(error)}") from error
    except (NotJson, Unfit) as error:
        raise Failure(INVALID_CONFIGURATION, f"{NODE_JSON} is not a JSON object: {error}") from error


def _exists(path: str) -> bool:
    """Tell whether a file exists. If that cannot be seen, it counts as existing, and reading it says why."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno not in (2, 20)
    return True


def _timeout(section: dict[str, object]) -> float:
    given = section.get("timeout", DEFAULT_TIMEOUT)
    if isinstance(given, (int, float)) and not isinstance(given, bool) and 0 < given <= _LONGEST_TIMEOUT:
        return float(given)
    raise Unusable(
        "timeout", f"must be a number of seconds, more than 0 and at most {_LONGEST_TIMEOUT}", given
    )


def _status(section: dict[str, object]) -> str:
    given = section.get("status", INSTALLATION)
    if isinstance(given, str) and given in _STATUS:
        return given
    raise Unusable("status", f"must be one of {', '.join(_STATUS)}", given)


def name_of(values: dict[str, object], key: str) -> str:
    """Give the name under a key, "" if there is no such key."""
    if key not in values:
        return ""
    name = values[key]
    if not isinstance(name, str) or not is_node_name(name):
        raise Unusable(key, f"must be a name of 1 to {_NAME_BYTES} bytes without control characters", name)
    return name


def is_node_name(name: str) -> bool:
    return 0 < len(name.encode()) <= _NAME_BYTES and all(" " < c != "\x7f" for c in name)


def node_name(state_dir: str) -> str:
    """Find the name of this node if it is not configured: NODE_NAME, the file in stateDir, the host name."""
    try:
        name = platform.environment("NODE_NAME")
    except ValueError as error:
        raise Failure(BAD_ENVIRONMENT, "NODE_NAME is not UTF-8") from error
    source = "NODE_NAME"
    if not name:
        source = f"{state_dir}/node"
        name = _node_file(source) if _exists(source) else None
    if name is None:
        source, name = "the host name", platform.host_name()
    if not is_node_name(name):
        raise Failure(INVALID_CONFIGURATION, f"{source} is no name for a node: {show(name)}")
    return name


def _node_file(path: str) -> str:
    try:
        return read_regular(path, _NAME_BYTES + 2).data.decode().strip()
    except OSError as error:
        raise Failure(IO_FAILURE, f"{path} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise Failure(INVALID_CONFIGURATION, f"{path} is no name for a node: {error}") from error
