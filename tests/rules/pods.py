"""Nodes of a pod network, written shortly."""

from ipaddress import ip_address, ip_network

from node_agent.pod_network.desired import mac_of
from node_agent.pod_network.network import Mode, Network, Peer, Pool, Settings

FOUR, SIX = "10.64.0.0/16", "fd00:64::/64"


def peer(
    number: int,
    address: str | None = None,
    prefix: str = "192.0.2.0/24",
    mtu: int = 1500,
    borrowed: tuple[str, ...] = (),
    pod_addresses: tuple[str, ...] | None = None,
) -> Peer:
    """Node `node-N` at 192.0.2.N, with a block of each family: 10.64.N.0/26 and fd00:64::N00/122."""
    own = (f"10.64.{number}.1", f"fd00:64::{number}01") if pod_addresses is None else pod_addresses
    return Peer(
        f"node-{number}",
        f"machine-{number}",
        ip_address(address or f"192.0.2.{number}"),
        (ip_network(prefix, strict=False),),
        mtu,
        mac_of("default", f"node-{number}"),
        tuple(map(ip_address, own)),
        (ip_network(f"10.64.{number}.0/26"), ip_network(f"fd00:64::{number}00/122")),
        tuple(map(ip_network, borrowed)),
    )


def network(*peers: Peer, settings: Settings | None = None, mode: Mode = Mode.AUTO) -> Network:
    """A network of these nodes, with a pool of each family."""
    pools = (Pool("v4", ip_network(FOUR), True), Pool("v6", ip_network(SIX), True))
    return Network("epoch", 1, settings or Settings(mode), pools, {one.name: one for one in peers})
