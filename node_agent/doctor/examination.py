"""`ipamd-agent doctor`: look at everything, and say in a sentence each what would break pods."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cni_plugin.failure import Failure
from netlink.attribute import Malformed
from netlink.connection import ROUTE, Connection, Interrupted
from node_agent.doctor import (
    firewalls,
    kernel,
    links,
    managers,
    networks,
    overlaps,
    reaching,
    service_proxy,
    told,
)
from node_agent.doctor.finding import Finding
from node_agent.doctor.told import Told
from node_agent.failure import CommandFailed
from node_agent.installation.root import Root
from node_agent.status import NotAnswering, ask
from node_agent.text import say
from veth_plugin.kernel.asking import connect


@dataclass(frozen=True, slots=True)
class Where:
    """Where to look: the agent's socket, the root folder of the node, and its network configurations."""

    socket: Path
    root: Root
    conflist_dir: str


def doctor(where: Where) -> None:
    """Print what is wrong. Raises CommandFailed if anything is, or if the kernel cannot be asked."""
    document, found = _agent(where.socket)
    network = told.read(document.get("pod_network"))
    try:
        routing = connect(ROUTE)
        try:
            found += _find(where, routing, network)
        finally:
            routing.close()
    except (OSError, Failure, Interrupted, Malformed) as error:
        why = error.msg if isinstance(error, Failure) else error
        raise CommandFailed(f"this node cannot be looked at: {why}; run this as root") from None
    for one in found:
        say(str(one))
    if found:
        count = "1 thing is" if len(found) == 1 else f"{len(found)} things are"
        raise CommandFailed(f"{count} wrong on this node")
    answered = (
        f", and all other nodes that it knows ({len(network.peers)}) answer packets as large as those of pods"
        if network
        else ""
    )
    say(f"nothing that would break pods was found on this node{answered}")


def _agent(socket: Path) -> tuple[dict[str, Any], list[Finding]]:
    """What the running agent tells, and what is wrong with it."""
    try:
        document = ask(socket)
    except NotAnswering as error:
        return {}, [
            Finding(str(error), "start `ipamd-agent run`, else nothing of the pod network is known here")
        ]
    found = []
    if document["reached"] is None:
        found.append(
            Finding(f"the agent does not reach ipamd ({document['last_error']})", "see `ipamd-agent status`")
        )
    network = document.get("pod_network")
    found += (
        [Finding(f"pod network: {fault}", "see docs/pod-network.md") for fault in network["faults"]]
        if network
        else []
    )
    return document, found


def _find(where: Where, routing: Connection, network: Told | None) -> list[Finding]:
    configured = networks.read(where.root, where.conflist_dir)
    found = [
        *kernel.find(where.root, with_tunnel=network is not None and network.has_tunnel()),
        *firewalls.find(network.port if network else None),
        *links.find(routing, network),
        *managers.find(where.root, [one.plugin for one in configured]),
    ]
    if network is not None:
        found += networks.find(configured, network)
        found += overlaps.find(routing, network)
        found += service_proxy.find(network)
        found += reaching.find(routing, network)
    return found
