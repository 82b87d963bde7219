"""/etc/ipamd/node.json: what the node's owner decides, and whoever writes a configuration does not."""

from __future__ import annotations

import os

from cni_plugin.configuration import invalid
from cni_plugin.failure import INVALID_CONFIGURATION, IO_FAILURE, Failure, reason
from cni_plugin.files import Unfit, read_regular
from cni_plugin.scanner import NotJson, parse_object

NODE_JSON = "/etc/ipamd/node.json"
NODE_KEYS = ("endpoint", "node", "cluster", "stateDir", "tokenFile", "caFile", "certFile", "keyFile")
AGENT_KEYS = ("leases",)  # read by the agent alone, and part of no network configuration
_BYTES = 65536


def read() -> dict[str, object] | None:
    """Give what it says, None if there is none; Failure 5 or 7."""
    if not exists(NODE_JSON):
        return None
    try:
        return parse_object(read_regular(NODE_JSON, _BYTES).data)
    except OSError as error:
        raise Failure(IO_FAILURE, f"{NODE_JSON} cannot be read: {reason(error)}") from error
    except (NotJson, Unfit) as error:
        raise Failure(INVALID_CONFIGURATION, f"{NODE_JSON} is not a JSON object: {error}") from error


def check(on_node: dict[str, object], section: dict[str, object]) -> None:
    """Refuse a key that it does not have (Failure 2), and those in a configuration that are its own (7)."""
    for key in on_node:
        if key not in NODE_KEYS and key not in AGENT_KEYS:
            from ipam_plugin import keys

            keys.check(on_node, NODE_KEYS + AGENT_KEYS, "", NODE_JSON)
    for key in NODE_KEYS:
        if key in section:
            raise invalid(f"ipam.{key}", f"comes from {NODE_JSON} alone on this node", section[key])


def exists(path: str) -> bool:
    """Tell whether there is such a name; what cannot be seen counts as there, so that reading it says why."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno not in (2, 20)
    return True
