"""One whole pass over the kernel: read what it has, write what differs, read again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from cni_plugin.failure import Failure
from netlink.attribute import Malformed
from netlink.connection import NETFILTER, ROUTE, Connection, Interrupted
from node_agent.pod_network import device, difference, filters
from node_agent.pod_network.desired import Desired
from node_agent.pod_network.difference import Change
from node_agent.pod_network.network import Peer
from node_agent.pod_network.reading import Reading, reached_directly, read, routes
from veth_plugin.kernel.asking import connect

_AT_ONCE: Final = 500
"""So many changes are made of what differs, and written, before the next: at a start there are thousands."""


class Unread(Exception):
    """The kernel could not be read or written, so nothing is known: says why. A later pass may do better."""


@dataclass(slots=True)
class Outcome:
    """What a pass did, in words, what it could not do, and how many routes stand of those wanted.

    `uplink` is the name of the link with the node's address, `tunnel` the number of the vxlan device.
    """

    changes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    wanted: int = 0
    there: int = 0
    uplink: str | None = None
    tunnel: int | None = None


class Kernel:
    """The kernel in the network namespace of the thread that calls."""

    def __init__(self) -> None:
        self._remembered: filters.Remembered = {}

    def apply(self, desired: Desired) -> Outcome:
        """Make one pass. Raises Unread."""
        outcome = Outcome()
        try:
            routing, packets = connect(ROUTE), connect(NETFILTER)
            try:
                # First what keeps strangers out, and what an answer needs to find its way back.
                self._apply_filters(packets, desired, outcome)
                _apply_device(routing, desired, outcome)
                _apply_rest(routing, desired, outcome)
            finally:
                routing.close()
                packets.close()
        except (OSError, Failure, Interrupted, Malformed) as error:
            raise Unread(f"the kernel cannot be read: {error}") from error
        return outcome

    def reached_directly(self, peers: Iterable[Peer]) -> set[str]:
        """The peers that an earlier life of the agent reached without the tunnel. Raises Unread."""
        try:
            routing = connect(ROUTE)
            try:
                return reached_directly(routes(routing), peers)
            finally:
                routing.close()
        except (OSError, Failure, Interrupted, Malformed) as error:
            raise Unread(f"the kernel cannot be read: {error}") from error

    def _apply_filters(self, packets: Connection, desired: Desired, outcome: Outcome) -> None:
        try:
            outcome.changes += filters.ensure(packets, desired.filters, self._remembered)
        except filters.Refused as refused:
            outcome.faults.append(str(refused))


def _apply_device(routing: Connection, desired: Desired, outcome: Outcome) -> None:
    try:
        if desired.tunnel is None:
            outcome.changes += device.remove(routing)
        else:
            outcome.changes += device.ensure(routing, desired.tunnel)
    except device.Unmade as unmade:
        outcome.faults.append(str(unmade))


def _apply_rest(routing: Connection, desired: Desired, outcome: Outcome) -> None:
    before = read(routing, desired.filters.own)
    if before.uplink is None:
        outcome.faults.append(f"this node's address {desired.filters.own} is on none of its links")
    changes = difference.changes(desired, before)
    is_changed = False
    while portion := list(islice(changes, _AT_ONCE)):
        is_changed = True
        _write(routing, portion, outcome)
    if is_changed:
        del before, changes, portion  # there may be thousands of routes
        before = read(routing, desired.filters.own)
    _tell(before, desired, outcome)


def _tell(there: Reading, desired: Desired, outcome: Outcome) -> None:
    outcome.uplink = there.uplink.name if there.uplink else None
    outcome.tunnel = there.tunnel.index if there.tunnel else None
    outcome.wanted = len(desired.routes)
    outcome.there = outcome.wanted - difference.missing(desired, there)


def _write(routing: Connection, changes: list[Change], outcome: Outcome) -> None:
    answers = routing.exchange([one.request for one in changes])
    for change, answer in zip(changes, answers, strict=True):
        if answer.refusal is None:
            outcome.changes.append(change.text)
        elif answer.refusal.errno not in change.passed:
            why = answer.refusal.text or os.strerror(answer.refusal.errno)
            outcome.faults.append(f"the kernel refuses: {change.text}: {why}")
