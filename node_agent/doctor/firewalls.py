"""Firewalls of the node, of all kinds, that drop what pods send and get."""

from __future__ import annotations

from typing import Final

from node_agent.doctor.finding import Finding
from node_agent.firewall.keeping import look

_REMEDY: Final = (
    "give `ipamd-agent install` the flag --allow-forwarding, or have that firewall accept it by its own "
    "command (docs/agent.md)"
)


def find(tunnel_port: int | None) -> list[Finding]:
    """Look at what is forwarded, and at what comes to the tunnel's port if there is one."""
    drops, unread = look(tunnel_port)
    found = [Finding(one, _REMEDY) for one in drops]
    return found + [Finding(f"a firewall cannot be looked at: {one}", "run this as root") for one in unread]
