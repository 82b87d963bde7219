"""Settings that drop packets of pods: forwarding, rp_filter, advertisements of routers, MTU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from netlink import family, link, route
from netlink.connection import Connection
from netlink.link import Link
from node_agent.doctor.finding import Finding
from node_agent.doctor.told import Peer, Told
from node_agent.pod_network.network import IPV4, IPV6
from node_agent.pod_network.reading import TUNNEL
from veth_plugin.kernel import forwarding, naming, sysctl
from veth_plugin.kernel.carried import MTU_FILE

_STRICT: Final = 1
_ALSO_WHERE_FORWARDING: Final = 2
_SWITCH: Final = {IPV4: "net.ipv4.ip_forward", IPV6: "net.ipv6.conf.all.forwarding"}
_NUMBER: Final = {IPV4: family.IPV4, IPV6: family.IPV6}


def find(routing: Connection, told: Told | None) -> list[Finding]:
    """Look at the links and their settings. Raises OSError, Failure or Interrupted."""
    links = [link.decode(one) for one in routing.list_all(link.get_all())]
    host_sides = [one for one in links if (one.name or "").startswith(naming.PREFIX)]
    found: list[Finding] = []
    if host_sides:  # ADD switches forwarding on, so before the first one it says nothing
        found += _of_forwarding(links, told)
    found += _of_advertisements(routing, links)
    if told is not None:
        found += _of_rp_filter(routing, links, told)
        found += _of_mtu(host_sides, told)
    return found


def _of_forwarding(links: Sequence[Link], told: Told | None) -> Iterator[Finding]:
    for one in sorted(told.families() if told else {IPV4}):
        if not forwarding.is_on(_NUMBER[one]):
            yield _switched_off(_SWITCH[one])
        elif one == IPV4:  # IPv6 asks for the one switch alone
            ours = {TUNNEL, told.uplink if told else None}
            for each in links:
                name = each.name or ""
                if (name in ours or name.startswith(naming.PREFIX)) and not forwarding.forwards(
                    each, family.IPV4
                ):
                    yield _switched_off(f"net.ipv4.conf.{name}.forwarding")


def _switched_off(key: str) -> Finding:
    return Finding(
        f"{key} is 0, so packets of pods are dropped",
        f"`sysctl -w {key}=1`, and see which file in /etc/sysctl.d says otherwise",
    )


def _of_advertisements(routing: Connection, links: Sequence[Link]) -> Iterator[Finding]:
    if not forwarding.is_on(family.IPV6):
        return
    by_router = forwarding.living_by_advertisements(routing)
    for each in links:
        if each.name in by_router and each.ipv6.get("accept_ra") != _ALSO_WHERE_FORWARDING:
            key = f"net.ipv6.conf.{each.name}.accept_ra"
            yield Finding(
                f"{each.name} has its routes from a router's advertisements, and will lose them while this "
                f"node forwards IPv6 and {key} is {each.ipv6.get('accept_ra')}",
                f"`sysctl -w {key}=2`, in /etc/sysctl.d too",
            )


def _of_rp_filter(routing: Connection, links: Sequence[Link], told: Told) -> Iterator[Finding]:
    """A peer sends to the uplink's address; a strict filter drops that if the way back is by another link."""
    uplink = next((one for one in links if one.name == told.uplink), None)
    if uplink is None:
        return
    of_all = int(sysctl.read("ipv4/conf/all/rp_filter") or 0)
    if max(of_all, uplink.ipv4.get("rp_filter", 0)) != _STRICT:
        return
    asked = [peer for peer in told.peers if peer.address.version == IPV4]
    by_index = {one.index: one.name for one in links}
    for peer, out in zip(asked, _ways(routing, asked), strict=True):
        if out is not None and out != uplink.index:
            yield Finding(
                f"rp_filter of {uplink.name} is strict, and the way to node {peer.name} at {peer.address} is "
                f"by {by_index.get(out, out)}, so what it sends to {uplink.name} is dropped",
                f"put the route right, or `sysctl -w net.ipv4.conf.all.rp_filter=0 "
                f"net.ipv4.conf.{uplink.name}.rp_filter=2`",
            )


def _ways(routing: Connection, peers: Sequence[Peer]) -> list[int | None]:
    answers = routing.exchange([route.find(peer.address.packed) for peer in peers]) if peers else []
    return [route.decode(one.messages[0]).index if one.messages else None for one in answers]


def _of_mtu(host_sides: Sequence[Link], told: Told) -> Iterator[Finding]:
    try:
        written = Path(MTU_FILE).read_text().strip()
    except FileNotFoundError:
        written = ""
    if written != str(told.mtu):
        yield Finding(
            f"{MTU_FILE} says {written or 'nothing'}, and packets of pods have room for {told.mtu} bytes",
            "have the agent run: it writes the file",
        )
    larger = [one for one in host_sides if one.mtu is not None and one.mtu > told.mtu]
    for one in larger:
        alias = naming.read_alias(one.alias)
        whose = alias.owner if alias else "nobody knows whose"
        yield Finding(
            f"{one.name} ({whose}) has an MTU of {one.mtu}, and packets of pods have room for "
            f"{told.mtu} bytes",
            "make that pod anew, or raise the uplinks' MTU",
        )
