"""The vxlan device of the node: made, put right, or made anew if it differs in what cannot be changed."""

from __future__ import annotations

import os

from netlink import link
from netlink.connection import Answer, Connection
from netlink.link import Link
from netlink.linkkind import Vxlan
from netlink.message import Refusal, Request
from node_agent.pod_network.desired import Tunnel
from node_agent.pod_network.reading import TUNNEL, tunnel
from veth_plugin.kernel import sysctl

_ALIAS = "the pod network of ipamd"
_EXISTS = 17
_NO_SUCH_KIND = 95


class Unmade(Exception):
    """The device is not as it shall be: says why, and what to do."""


def ensure(routing: Connection, wanted: Tunnel) -> list[str]:
    """See to it that the device is as it shall be; what was done, in words. Raises Unmade or OSError."""
    done: list[str] = []
    there = tunnel(routing)
    if there is not None and not isinstance(there.kind, Vxlan):
        raise Unmade(f"a device {TUNNEL} is there, and is no vxlan device: remove or rename it")
    if there is not None and not _is_of(there, wanted):
        _do(routing, link.delete(index=there.index), f"removing {TUNNEL}")
        done.append(f"removed {TUNNEL}, which differed")
        there = None
    if there is None:
        there = _make(routing, wanted, done)
    put_right = _put_right(there, wanted)
    if put_right is not None:
        _do(routing, link.change(put_right), f"setting up {TUNNEL}")
        done.append(f"put right MAC, MTU or state of {TUNNEL}")
    return done


def remove(routing: Connection) -> list[str]:
    """Remove the device; what was done, in words. Raises Unmade or OSError."""
    there = tunnel(routing)
    if there is None or not isinstance(there.kind, Vxlan):
        return []
    _do(routing, link.delete(index=there.index), f"removing {TUNNEL}")
    return [f"removed {TUNNEL}"]


def _is_of(there: Link, wanted: Tunnel) -> bool:
    kind = there.kind
    return (
        isinstance(kind, Vxlan)
        and (kind.identifier, kind.port, kind.local) == (wanted.vni, wanted.port, wanted.local.packed)
        and not kind.learning
        and kind.parent is None
    )


def _make(routing: Connection, wanted: Tunnel, done: list[str]) -> Link:
    # No link is named by which it sends: the routes decide, and an uplink may go and come.
    kind = Vxlan(wanted.vni, wanted.port, wanted.local.packed)
    made = Link(TUNNEL, mac=wanted.mac, mtu=wanted.mtu, kind=kind)
    [answer] = routing.exchange([link.create(made)])
    if answer.refusal is not None and answer.refusal.errno == _EXISTS:
        _clear(routing, wanted, done)
        [answer] = routing.exchange([link.create(made)])
    if answer.refusal is not None and answer.refusal.errno == _NO_SUCH_KIND:
        raise Unmade(
            f"this kernel has no vxlan, so {TUNNEL} cannot be made ({_reason(answer.refusal)}): install the "
            "package with its further modules, or set mode direct (`ipamctl network edit`)"
        )
    if answer.refusal is not None:
        raise Unmade(f"making {TUNNEL} (vxlan, VNI {wanted.vni}): {_reason(answer.refusal)}")
    _have_ipv6()
    told = tunnel(routing)
    if told is None:
        raise Unmade(f"{TUNNEL} vanished when it was new")
    if told.ipv6:  # no address of the kernel's own making; it must hear of that before the device is up
        without = Link(index=told.index, generation=link.GENERATE_NONE)
        _do(routing, link.change(without), f"setting up {TUNNEL}")
    done.append(f"made {TUNNEL} with VNI {wanted.vni} and port {wanted.port}")
    return told


def _have_ipv6() -> None:
    """Switch IPv6 on if it is off for new devices. Most containers can only read such settings."""
    key = f"ipv6/conf/{TUNNEL}/disable_ipv6"
    if sysctl.read(key) != "1":
        return
    try:
        sysctl.write(key, "0")
    except OSError as error:
        said = f"IPv6 is off on {TUNNEL}, and sysctl {key} cannot be written: {error.strerror}"
        raise Unmade(f"{said}; set net.ipv6.conf.default.disable_ipv6=0 on the node") from None


def _clear(routing: Connection, wanted: Tunnel, done: list[str]) -> None:
    """Remove the agent's own device if somebody renamed it. Raises Unmade if the VNI is another's."""
    for told in routing.list_all(link.get_all()):
        one = link.decode(told)
        if not isinstance(one.kind, Vxlan) or one.kind.identifier != wanted.vni:
            continue
        if one.alias != _ALIAS:
            said = f"VNI {wanted.vni} is of device {one.name} already"
            raise Unmade(f"{said}: give the network another (`ipamctl network edit`), or remove {one.name}")
        _do(routing, link.delete(index=one.index), f"removing {one.name}")
        done.append(f"removed {one.name}, which was {TUNNEL}")


def _put_right(there: Link, wanted: Tunnel) -> Link | None:
    if (there.mac, there.mtu, there.up, there.alias) == (wanted.mac, wanted.mtu, True, _ALIAS):
        return None
    return Link(index=there.index, mac=wanted.mac, mtu=wanted.mtu, alias=_ALIAS, up=True)


def _do(routing: Connection, request: Request, purpose: str) -> Answer:
    [answer] = routing.exchange([request])
    if answer.refusal is not None:
        raise Unmade(f"{purpose}: {_reason(answer.refusal)}")
    return answer


def _reason(refusal: Refusal) -> str:
    return refusal.text or os.strerror(refusal.errno)
