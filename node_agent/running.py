"""`ipamd-agent run`: the parts of the agent, from the node's token to its socket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from hosting.serving import serve
from hosting.watching import keep_loaded
from node_agent import listeners, metrics
from node_agent.facts import Facts, Waiting, rfc3339
from node_agent.firewall import permission
from node_agent.firewall.keeping import Firewalls
from node_agent.host_sides.watching import keep_host_sides
from node_agent.leasing.keeping import Leasing
from node_agent.metrics import Measures
from node_agent.node import Node
from node_agent.pod_network.carrying import Options, PodNetwork
from node_agent.relay.delivery import keep_delivering
from node_agent.relay.holding_back import at_once
from node_agent.relay.membership import Membership
from node_agent.relay.passing_on import Relay
from node_agent.relay.probing import keep_probing
from node_agent.relay.upstream import Upstream
from node_agent.run_options import RunOptions
from node_agent.watching.keeping import LOOK_EVERY, Watching

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The flags of `run`."""

    node_json: Path
    socket: Path
    port: int
    join_token: Path | None
    network: Options | None = None
    """How this node takes part in the pod network; None if the agent is to carry none."""
    look_every: int = LOOK_EVERY
    """Seconds between two looks at what lives here."""

    @classmethod
    def of(cls, options: RunOptions) -> Settings:
        """What the command line says."""
        return cls(
            node_json=Path(options.node_json),
            socket=Path(options.socket),
            port=options.port,
            join_token=Path(options.join_token) if options.join_token else None,
            network=None if options.addresses is None else Options(options.addresses),
            look_every=options.look_every,
        )


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then answer the calls under way. Raises CommandFailed."""
    node = Node.read(settings.node_json, settings.socket)
    facts = Facts()
    upstream = Upstream(node.upstreams, node.files, facts)
    membership = Membership(node, settings.join_token, upstream, facts)
    network = PodNetwork(node, settings.network, upstream, membership, facts) if settings.network else None
    until_known = network.until_known if network else at_once
    leasing = Leasing(node, node.most_seats, upstream, membership, facts, until_known)
    measures = Measures(facts, node.state_dir, leasing.state, network)
    firewalls = Firewalls(
        settings.node_json.parent / permission.NAME, lambda: network.tunnel_port if network else None
    )
    watching = Watching(node, settings.look_every, upstream, membership, facts, leasing.until_told)
    relay = Relay(
        upstream,
        membership,
        measures,
        lambda: (
            _status(node, facts, firewalls, network)
            | {"leases": leasing.status(), "containers": watching.status()}
        ),
        leasing.saw,
        until_known,
    )
    try:
        with listeners.loopback(settings.port) as tcp, listeners.unix(settings.socket) as unix:
            await membership.begin()
            servers = [
                (listeners.server(relay), unix),
                (listeners.server(metrics.application(measures)), tcp),
            ]
            log.info("listening", socket=str(settings.socket), port=settings.port, node=node.name)
            await serve(
                servers,
                [
                    membership.keep(),
                    keep_delivering(node.state_dir, facts),
                    keep_probing(upstream, facts),
                    keep_loaded(upstream.watched),
                    keep_host_sides(),
                    firewalls.keep(),
                    leasing.keep(),
                    watching.keep(),
                    watching.show_receipt_when(leasing.state.over),
                    *([network.keep()] if network else []),
                ],
            )
    finally:
        await upstream.close()
    log.info("ended")


def _status(node: Node, facts: Facts, firewalls: Firewalls, network: PodNetwork | None) -> dict[str, Any]:
    waiting: dict[str, Any]
    try:
        spool = Waiting.of(node.state_dir)
        waiting = {
            "waiting": spool.entries,
            "oldest_seconds": round(spool.oldest_seconds),
            "set_aside": spool.set_aside,
        }
    except (OSError, ValueError) as error:
        waiting = {"error": str(error)}
    return {
        "node": node.name,
        "cluster": node.cluster,
        "endpoints": [one.text for one in node.upstreams],
        "reached": facts.upstream,
        "latency_ms": round(facts.latency * 1000, 2) if facts.latency is not None else None,
        "joined": facts.joined,
        "token_expires": rfc3339(facts.token_expires),
        "spool": waiting,
        "last_error": facts.last_error,
        "last_error_at": rfc3339(facts.last_error_at),
        "dropping": firewalls.dropping,
        "pod_network": network.status() if network else None,
    }
