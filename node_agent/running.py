"""`ipamd-agent run`: the agent's parts, from the node's token up to its socket."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from node_agent import listeners, metrics
from node_agent.delivery import keep_delivering
from node_agent.facts import Facts, Waiting, rfc3339
from node_agent.membership import Membership
from node_agent.metrics import Measures
from node_agent.node import Node
from node_agent.probing import keep_probing
from node_agent.relay import Relay
from node_agent.upstream import Upstream

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the flags of `run` say."""

    node_json: Path
    socket: Path
    port: int
    join_token: Path | None


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then answer what was taken; raises Failure where it cannot start."""
    node = Node.read(settings.node_json, settings.socket)
    facts = Facts()
    upstream = Upstream(node.upstreams, node.files, facts)
    membership = Membership(node, settings.join_token, upstream, facts)
    measures = Measures(facts, node.state_dir)
    relay = Relay(upstream, membership, measures, lambda: _status(node, facts))
    try:
        with listeners.loopback(settings.port) as tcp, listeners.unix(settings.socket) as unix:
            await membership.begin()
            servers = [
                (listeners.server(relay), unix),
                (listeners.server(metrics.application(measures)), tcp),
            ]
            with _until_told_to_end([server for server, _ in servers]):
                log.info("listening", socket=str(settings.socket), port=settings.port, node=node.name)
                async with asyncio.TaskGroup() as tasks:
                    beside = [
                        tasks.create_task(membership.keep()),
                        tasks.create_task(keep_delivering(node.state_dir, facts)),
                        tasks.create_task(keep_probing(upstream, facts)),
                    ]
                    await asyncio.wait(
                        [tasks.create_task(server.serve(sockets=[at])) for server, at in servers]
                    )
                    for task in beside:
                        task.cancel()
    finally:
        await upstream.close()
    log.info("ended")


def _status(node: Node, facts: Facts) -> dict[str, Any]:
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
    }


@contextlib.contextmanager
def _until_told_to_end(servers: list[uvicorn.Server]) -> Iterator[None]:
    """Ends the servers at the first SIGTERM or SIGINT; at the second without waiting for anybody."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
