"""The contents of node.json: which node this is, where ipamd listens, and the credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cni_plugin.endpoint import UNIX, Endpoint
from cni_plugin.failure import Failure
from cni_plugin.scanner import NotJson, parse_object
from ipam_plugin import configuration, keys, node_name
from ipam_plugin.destination import Destination, Unusable, absolute_path
from ipam_plugin.destination import read as read_destination
from ipam_plugin.node_json import AGENT_KEYS, NODE_JSON, NODE_KEYS
from node_agent.failure import CommandFailed, ExitCode

AGENT: Final = "unix:///run/ipamd/agent.sock"
SERVICE: Final = "unix:///run/ipamd/ipamd.sock"
STATE_DIR: Final = "/var/lib/ipamd-node"
DEFAULT_NODE_JSON: Final = Path(NODE_JSON)
SECRET: Final = "secret"  # noqa: S105 - a file's name
RECORD: Final = "agent.json"
MACHINE: Final = "machine"
MOST_SEATS: Final = 64
LEASED: Final = "leased"
LEASE_EVENTS: Final = "lease-events"
CENSUS_RECEIPT: Final = "census-receipt"
OWN_FILES: Final = (SECRET, "token", RECORD, MACHINE, LEASED, LEASE_EVENTS, CENSUS_RECEIPT)
"""What the agent keeps in the state folder: its secret, the node's token, when that expires, what tells
this machine from others if nothing else does, that the node has a lease, what that did without ipamd's
knowledge, and what ipamd signed of the last census."""


@dataclass(frozen=True, slots=True)
class Node:
    """The node as the plugin sees it. `upstreams` are the plugin's endpoints without the agent's own."""

    name: str
    cluster: str
    state_dir: Path
    upstreams: tuple[Endpoint, ...]
    token: Path
    files: Mapping[str, str]
    """`caFile`, `certFile` and `keyFile`, empty if there is none."""
    most_seats: int = MOST_SEATS
    """How many free addresses its lease may have, `leases.max`."""

    @classmethod
    def read(cls, path: Path, own_socket: Path) -> Node:
        """Read node.json as the plugin does. Without it the plugin's defaults count. Raises CommandFailed."""
        values = _values(path)
        try:
            keys.check(values, NODE_KEYS + AGENT_KEYS, "", str(path))
            state_dir = absolute_path(values, "stateDir", STATE_DIR)
            token = absolute_path(values, "tokenFile", f"{state_dir}/token")
            whom = read_destination(values, [AGENT, SERVICE], token)
            name = configuration.name_of(values, "node") or node_name.find(state_dir).name
            cluster = configuration.name_of(values, "cluster") or "default"
            most_seats = _most_seats(values, path)
        except Unusable as error:
            raise CommandFailed(f"{path}: {error}", ExitCode.USAGE) from None
        except Failure as failure:
            raise CommandFailed(failure.msg, ExitCode.USAGE) from None
        return cls(
            name,
            cluster,
            Path(state_dir),
            _upstreams(whom, own_socket, path),
            Path(token),
            whom.credentials.paths,
            most_seats,
        )


def _values(path: Path) -> dict[str, object]:
    try:
        return parse_object(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}", ExitCode.USAGE) from None
    except NotJson as error:
        raise CommandFailed(f"{path} is not a JSON object: {error}", ExitCode.USAGE) from None


def _most_seats(values: dict[str, object], path: Path) -> int:
    section = values.get("leases", {})
    if not isinstance(section, dict):
        raise Unusable("leases", 'must be an object, such as {"max": 16}', section)
    keys.check(section, ("max",), "leases.", str(path))
    most = section.get("max", MOST_SEATS)
    if isinstance(most, int) and not isinstance(most, bool) and 0 <= most <= MOST_SEATS:
        return most
    raise Unusable("leases.max", f"must be a number from 0 to {MOST_SEATS}", most)


def _upstreams(whom: Destination, own_socket: Path, path: Path) -> tuple[Endpoint, ...]:
    own = {str(own_socket), AGENT.removeprefix("unix://")}
    found = tuple(one for one in whom.endpoints if one.scheme != UNIX or one.path not in own)
    if not found:
        raise CommandFailed(
            f"{path} names only the agent itself as endpoint: name ipamd's too", ExitCode.USAGE
        )
    return found
