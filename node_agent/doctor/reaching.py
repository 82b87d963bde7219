"""Whether each peer answers packets as large as pods send them, along the way that pods' packets take.

The kernel of the peer answers, so no agent need run there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from netlink import link, route
from netlink.connection import Connection
from node_agent.doctor.finding import Finding
from node_agent.doctor.told import Peer, Told
from node_agent.pod_network import echo
from node_agent.pod_network.network import Address

_SMALL: Final = 100


def find(routing: Connection, told: Told) -> list[Finding]:
    """Ask each peer by each of its addresses. Raises OSError if the kernel cannot be asked."""
    found: list[Finding] = []
    for own in told.own:
        peers = {
            address: peer
            for peer in told.peers
            for address in peer.answering
            if address.version == own.version
        }
        if peers:
            found += _of_family(routing, own, peers, told)
    return found


def _of_family(
    routing: Connection, own: Address, peers: Mapping[Address, Peer], told: Told
) -> Iterator[Finding]:
    sizes = _sizes(routing, list(peers), told.mtu)
    for address in peers.keys() - sizes.keys():
        yield Finding(
            f"no route leads to {address} of node {peers[address].name}", "see `ipamd-agent status`"
        )
    silent = echo.silent(own, sizes)
    wholly = echo.silent(own, dict.fromkeys(silent, _SMALL))
    port = f"UDP port {told.port} and ICMP" if told.port is not None else "ICMP"
    for address, why in silent.items():
        name, size = peers[address].name, sizes[address]
        if address in wholly:
            yield Finding(
                f"node {name} does not answer at {address} ({why})",
                f"see `ipamd-agent status` on both nodes, and let {port} pass between them",
            )
        else:
            yield Finding(
                f"node {name} answers small packets at {address}, and none of {size} bytes as pods send them",
                "let larger packets pass between both nodes, or lower the MTU of their uplinks",
            )


def _sizes(routing: Connection, addresses: Sequence[Address], mtu: int) -> dict[Address, int]:
    """How large a pod's packet to an address may be, by the route there; without a route it is left out."""
    links = {one.index: one.mtu for one in map(link.decode, routing.list_all(link.get_all()))}
    found = {}
    answers = routing.exchange([route.find(one.packed) for one in addresses])
    for address, answer in zip(addresses, answers, strict=True):
        if answer.messages:
            told = route.decode(answer.messages[0])
            by_link = links.get(told.index or 0) or mtu
            found[address] = min(mtu, told.mtu or by_link, by_link)
    return found
