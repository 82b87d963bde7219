"""`ipamd-agent status`: the state of this node's agent, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from node_agent.facts import Waiting
from node_agent.failure import CommandFailed, ExitCode
from node_agent.node import Node
from node_agent.text import say

_SECONDS = 5.0


class NotAnswering(Exception):
    """No agent answers at a socket."""


def ask(socket: Path) -> dict[str, Any]:
    """What the running agent tells of itself. Raises NotAnswering."""
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=_SECONDS) as client:
            found = client.get("http://localhost/status")
            document: dict[str, Any] = found.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise NotAnswering(f"no agent answers at {socket} ({error})") from error
    return document


def status(node_json: Path, socket: Path) -> None:
    """Print the state of the agent. Raises CommandFailed if it does not answer, or does not reach ipamd."""
    node = Node.read(node_json, socket)
    try:
        document = ask(socket)
    except NotAnswering as error:
        _print_spool(node.state_dir)
        raise CommandFailed(
            f"{error}: start `ipamd-agent run`; until then the plugin asks "
            f"{', '.join(one.text for one in node.upstreams)} itself",
            ExitCode.UNREACHABLE,
        ) from None
    for key, value in _lines(document):
        say(f"{key + ':':<15} {value}")
    for line in _lease_lines(document["leases"]):
        say(line)
    say(_containers_line(document["containers"]))
    conflicts = document["containers"]["conflicts"]
    for conflict in conflicts:
        say(f"{'  conflict:':<15} {conflict}")
    network = document.get("pod_network")
    for drop in document["dropping"]:
        say(f"{'firewall:':<15} {drop}; see `ipamd-agent install --allow-forwarding`")
    for line in _network_lines(network) if network else ():
        say(line)
    if document["reached"] is None:
        raise CommandFailed("the agent does not reach ipamd: see `last error`", ExitCode.UNREACHABLE)
    if network and network["faults"]:
        raise CommandFailed("something is wrong with the pod network: see `wrong`")
    if conflicts:
        raise CommandFailed("containers use addresses that are others': see `conflict`, and end them")


def _lines(document: dict[str, Any]) -> list[tuple[str, str]]:
    spool = document["spool"]
    waits = spool.get("error") or (
        f"{spool['waiting']} waiting, one for {spool['oldest_seconds']} s, {spool['set_aside']} set aside"
        if spool["waiting"]
        else f"nothing waits, {spool['set_aside']} set aside"
    )
    error = document["last_error"]
    return [
        ("node", f"{document['node']} of cluster {document['cluster']}"),
        ("ipamd", document["reached"] or f"not reached ({', '.join(document['endpoints'])})"),
        ("latency", "-" if document["latency_ms"] is None else f"{document['latency_ms']} ms"),
        (
            "token",
            f"good until {document['token_expires'] or 'it is revoked'}" if document["joined"] else "none",
        ),
        ("spool", waits),
        ("last error", "none" if error is None else f"{error}, at {document['last_error_at']}"),
    ]


def _lease_lines(lease: dict[str, Any]) -> list[str]:
    """How the lease is; nothing of a node that has none."""
    seats = lease["seats"]
    lines = []
    if seats is not None:
        state = f"gives for {lease['seconds_left']} s without ipamd" if lease["open"] else "gives nothing"
        counts = f"{seats['free']} free, {seats['taken']} taken, {seats['returning']} returning"
        lines.append(f"{'lease:':<15} {state}; {counts}; {lease['unreported']} events to report")
    whys = [lease["why"]] if lease["why"] else []
    return lines + [f"{'  lease:':<15} {why}" for why in [*whys, *lease["refused"]]]


def _containers_line(containers: dict[str, Any]) -> str:
    """What ipamd gave to containers of this node, and what is gone of it."""
    why = f"; {containers['why']}" if containers["why"] else ""
    return f"{'addresses:':<15} {containers['known']} of containers, {containers['dead']} of dead ones{why}"


def _network_lines(network: dict[str, Any]) -> list[str]:
    routes = network["routes"]
    lines = [
        f"{'pod network:':<15} mode {network['mode'] or '-'}, address {network['address'] or '-'}, "
        f"MTU of pods {network['mtu'] or '-'}, {routes['there']} of {routes['wanted']} routes there"
    ]
    if not network["stands"]:
        waits_for = network["waits_for"]
        why = (
            f"{len(waits_for)} nodes do not answer yet, first {waits_for[0]}" if waits_for else "see `wrong`"
        )
        lines.append(f"{'  stands:':<15} no, so no pod begins: {why}")
    lines += [
        f"{'  peer:':<15} {one['name']} at {one['address']}, {one['mode'] or 'not reached'}"
        for one in network["peers"]
    ]
    return lines + [f"{'  wrong:':<15} {fault}" for fault in network["faults"]]


def _print_spool(state_dir: Path) -> None:
    try:
        spool = Waiting.of(state_dir)
    except (OSError, ValueError) as error:
        say(f"the spool in {state_dir} cannot be read: {error}")
        return
    say(f"{'spool:':<15} {spool.entries} waiting, {spool.set_aside} set aside")
