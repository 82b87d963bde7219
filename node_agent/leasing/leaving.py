"""`ipamd-agent give-back`: a node gives up its lease, before its agent is uninstalled."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from ipam_plugin import leases
from node_agent.facts import Facts
from node_agent.failure import CommandFailed
from node_agent.leasing.holding import NoStore
from node_agent.leasing.keeping import AgentRuns, Leasing, Left
from node_agent.node import AGENT, LEASE_EVENTS, LEASED, Node
from node_agent.relay.holding_back import at_once
from node_agent.relay.membership import Membership
from node_agent.relay.upstream import Upstream

_SECONDS: Final = 20.0


class SomethingLeft(CommandFailed):
    """Not all could be given back."""


def give_back(node_json: Path) -> str | None:
    """Report all that the lease did, and give back what no container has; a sentence if there was a lease.

    Raises SomethingLeft, and CommandFailed if an agent runs: it would ask for more.
    """
    node = Node.read(node_json, Path(AGENT.removeprefix("unix://")))
    try:
        left = asyncio.run(_give_back(node))
    except AgentRuns as error:
        raise CommandFailed(str(error)) from None
    except NoStore as error:
        raise SomethingLeft(f"the lease of this node is not given back: {error}") from None
    if left is None:
        return None
    if not left.is_nothing:
        raise SomethingLeft(_sentence(node, left))
    return "the lease of this node is given back"


async def _give_back(node: Node) -> Left | None:
    traces = (Path(leases.PATH).parent, node.state_dir / LEASED, node.state_dir / LEASE_EVENTS)
    if not any(path.exists() for path in traces):
        return None
    facts = Facts()
    upstream = Upstream(node.upstreams, node.files, facts)
    try:
        membership = Membership(node, None, upstream, facts)
        await membership.begin()
        leasing = Leasing(node, 0, upstream, membership, facts, at_once)
        return await leasing.give_back(_SECONDS)
    finally:
        await upstream.close()


def _sentence(node: Node, left: Left) -> str:
    parts = []
    if left.taken:
        parts.append(f"{left.taken} of its addresses are containers' that did not end")
    if left.free:
        parts.append(f"{left.free} free ones are still its own")
    if left.unreported:
        parts.append(f"ipamd has not heard of {left.unreported} begins and ends of containers")
    if left.is_unsure and not (left.free or left.taken):
        parts.append("ipamd may have addresses for it")
    why = f" ({left.why})" if left.why and left.is_to_be_given_back else ""
    return (
        f"the lease of this node is not wholly given back: {', '.join(parts)}{why}. Run this again, or, if "
        f"this node is to hold nothing any more: ipamctl node release {node.name} --why REASON"
    )
