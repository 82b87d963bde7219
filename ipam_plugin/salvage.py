"""Settings of a call that frees: no pod hangs in Terminating for a configuration that it does not need.

What its ADD once passed must do, and less: the runtime may hand on the configuration of then, that of today,
or what is left of it. What it lacks, or what cannot be used of it, comes from what the last good ADD of the
network on this node used. node.json, if there is one, still decides whom to ask, and what to show.
"""

from __future__ import annotations

from cni_plugin.clock import DEFAULT_TIMEOUT
from cni_plugin.failure import INVALID_CONFIGURATION, Failure
from cni_plugin.reply import note
from ipam_plugin import destination, last_add, node_json, node_name
from ipam_plugin.configuration import (
    DEFAULT_CLUSTER,
    ENDPOINTS,
    STATE_DIR,
    Settings,
    default_token,
    name_of,
    timeout,
)
from ipam_plugin.credentials import KEYS
from ipam_plugin.destination import Destination, Unusable, absolute_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    Values = dict[str, object]


def settings(configuration: dict[str, object]) -> Settings:
    """Give the settings; Failure 4, 5 or 7 only if it cannot be known as which node the ADD came."""
    section = configuration.get("ipam")
    if not isinstance(section, dict):
        section = {}
    network = configuration["name"]
    assert isinstance(network, str)
    on_node, is_broken = _node_json()
    values = section if on_node is None else on_node
    state_dir = _path(values, "stateDir")
    kept = last_add.read(state_dir or STATE_DIR, network)
    if not state_dir:
        state_dir = _path(kept, "stateDir") or STATE_DIR
    may_take_kept = on_node is None or is_broken
    whom = _destination(values, kept if may_take_kept else {}, state_dir)
    cluster = _name(values, kept, "cluster") or DEFAULT_CLUSTER
    told = _name(values, kept, "node")
    found = None if told else node_name.find(state_dir)
    node = found.name if found else told
    return Settings(whom, node, cluster, state_dir, _timeout(section), found_node=found)


def _node_json() -> tuple[Values | None, bool]:
    """Give what node.json says, and whether it is there but cannot be used: then nobody else may say it."""
    try:
        on_node = node_json.read()
    except Failure as failure:
        note(f"{failure.msg}: what the last ADD used is used")
        return {}, True
    if on_node is None:
        return None, False
    try:
        destination.read(on_node, ENDPOINTS, "")
    except Unusable as error:
        note(f"{node_json.NODE_JSON}: {error}: what the last ADD used is used")
        return {}, True
    return on_node, False


def _destination(values: Values, kept: Values, state_dir: str) -> Destination:
    token = default_token(state_dir)
    try:
        return destination.read(_completed(values, kept), ENDPOINTS, token)
    except Unusable as error:
        note(f"{error}: what the last ADD used is used")
    try:
        return destination.read(kept, ENDPOINTS, token)
    except Unusable:
        return destination.read({}, ENDPOINTS, token)


def _completed(values: Values, kept: Values) -> Values:
    """Give endpoint and credentials, completed by the last ADD's: those go to its endpoints alone."""
    given = {key: values[key] for key in ("endpoint",) + KEYS if key in values}
    if "endpoint" not in given and "endpoint" in kept:
        given["endpoint"] = kept["endpoint"]
    endpoint = given.get("endpoint")
    listed = endpoint if isinstance(endpoint, list) else [endpoint]
    if listed == kept.get("endpoint"):
        for key in KEYS:
            if key in kept and key not in given:
                given[key] = kept[key]
    return given


def _name(values: Values, kept: Values, key: str) -> str:
    """Give a name as it is told, else as the last ADD had it, "" if neither says it."""
    try:
        told = name_of(values, key)
    except Unusable as error:
        if key not in kept:
            raise Failure(INVALID_CONFIGURATION, f"ipam.{error}") from error
        told = ""
    try:
        return told or name_of(kept, key)
    except Unusable:
        return ""


def _path(values: Values, key: str) -> str:
    try:
        return absolute_path(values, key, "")
    except Unusable:
        return ""


def _timeout(section: Values) -> float:
    try:
        return timeout(section)
    except Unusable:
        return DEFAULT_TIMEOUT
