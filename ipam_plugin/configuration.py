"""The network configuration on stdin and /etc/ipamd/node.json, as far as the plugin itself reads them."""

from __future__ import annotations

from cni_plugin.clock import DEFAULT_TIMEOUT
from cni_plugin.configuration import invalid, missing
from cni_plugin.failure import INVALID_CONFIGURATION, Failure
from ipam_plugin import destination, node_json, node_name
from ipam_plugin.destination import Destination, Unusable, absolute_path
from ipam_plugin.node_json import NODE_JSON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.node_name import Found

ENDPOINTS = ["unix:///run/ipamd/agent.sock", "unix:///run/ipamd/ipamd.sock"]
STATE_DIR = "/var/lib/ipamd-node"
DEFAULT_CLUSTER = "default"
_LONGEST_TIMEOUT = 600
INSTALLATION, SERVICE, CAPACITY = "installation", "service", "capacity"
_STATUS = (INSTALLATION, SERVICE, CAPACITY)
_PASSED_OVER = ("DEL", "GC")


class Settings:
    """What the plugin needs for a request: the destination, the node, the timeout, and the state folder.

    `found_node` tells how the node's name was found, None if it was configured.
    """

    def __init__(
        self,
        destination: Destination,
        node: str,
        cluster: str,
        state_dir: str,
        timeout: float = DEFAULT_TIMEOUT,
        status: str = INSTALLATION,
        found_node: Found | None = None,
    ) -> None:
        self.destination = destination
        self.node = node
        self.cluster = cluster
        self.state_dir = state_dir
        self.timeout = timeout
        self.status = status
        self.found_node = found_node


def settings(configuration: dict[str, object], verb: str) -> Settings:
    """Read the `ipam` section and node.json.

    If that file exists, its keys come from it alone. Failure 2, 5 or 7; DEL and GC are not refused for it.
    """
    if verb in _PASSED_OVER:
        from ipam_plugin import salvage

        return salvage.settings(configuration)
    if "ipam" not in configuration:
        raise missing("ipam")
    section = configuration["ipam"]
    if not isinstance(section, dict):
        raise invalid("ipam", "must be an object", section)
    on_node = node_json.read()
    if on_node is not None:
        node_json.check(on_node, section)
    if verb == "STATUS":
        from ipam_plugin import keys

        keys.check_section(section)
    try:
        limit, scope = timeout(section), _status(section)
    except Unusable as error:
        raise Failure(INVALID_CONFIGURATION, f"ipam.{error}") from error
    try:
        return _settings(section if on_node is None else on_node, limit, scope)
    except Unusable as error:
        place = "ipam." if on_node is None else f"{NODE_JSON}: "
        raise Failure(INVALID_CONFIGURATION, f"{place}{error}") from error


def _settings(values: dict[str, object], limit: float, scope: str) -> Settings:
    cluster = name_of(values, "cluster") or DEFAULT_CLUSTER
    state_dir = absolute_path(values, "stateDir", STATE_DIR)
    whom = destination.read(values, ENDPOINTS, default_token(state_dir))
    told = name_of(values, "node")
    found = None if told else node_name.find(state_dir)
    return Settings(whom, found.name if found else told, cluster, state_dir, limit, scope, found)


def default_token(state_dir: str) -> str:
    """Give the token file that needs no key, "" if there is none."""
    token = f"{state_dir}/token"
    return token if node_json.exists(token) else ""


def timeout(section: dict[str, object]) -> float:
    """Give the seconds of the whole call; Unusable for a wrong value."""
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
    if not isinstance(name, str) or not node_name.is_name(name):
        why = f"must be a name of 1 to {node_name.NAME_BYTES} bytes without blanks and control characters"
        raise Unusable(key, why, name)
    return name
