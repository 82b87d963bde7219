"""VLANs of a bridge: the one of a container's port, and the node's own interface in it."""

from __future__ import annotations

from netlink import link
from netlink.link import Link
from veth_plugin.kernel.asking import EXISTS, Step, carry_out, exchange, refused
from veth_plugin.kernel.pair import random_mac

TYPE_CHECKING = False
if TYPE_CHECKING:
    from veth_plugin.configuration import Bridge
    from veth_plugin.kernel.pair import Pair

_LONGEST_NAME = 15


def step(index: int, name: str, number: int) -> Step:
    """Give the step by which a port's untagged packets are of a VLAN."""
    member = link.add_vlan(index, number, link.VLAN_PVID | link.VLAN_UNTAGGED)
    return Step(member, f"VLAN {number} of {name}")


def ensure_interface(pair: Pair, there: Link, bridge: Bridge) -> Link:
    """Give the node's interface in the VLAN: one end of a pair whose other end is a port; Failure 5."""
    name = interface_name(bridge)
    [answer] = exchange(pair.node, [link.get(name)])
    if answer.messages:
        return link.decode(answer.messages[0])
    port = f"{name[: _LONGEST_NAME - 2]}-p"
    ends = link.create_pair(
        Link(name, mac=random_mac(), mtu=there.mtu, group=there.group),
        Link(port, mac=random_mac(), mtu=there.mtu),
    )
    created, told, told_port = exchange(pair.node, [ends, link.get(name), link.get(port)])
    if created.refusal is not None and created.refusal.errno != EXISTS:
        raise refused(f"making interface {name}", created.refusal)
    for one in (told, told_port):
        if one.refusal is not None:
            raise refused(f"interface {name} vanished", one.refusal)
    made, other = link.decode(told.messages[0]), link.decode(told_port.messages[0])
    carry_out(
        pair.node,
        [
            Step(
                link.change(Link(index=other.index, master=there.index)), f"putting {port} onto {bridge.name}"
            ),
            step(other.index, port, bridge.vlan),
            Step(link.change(Link(index=other.index, up=True)), f"switching interface {port} on"),
            Step(link.change(Link(index=made.index, up=True)), f"switching interface {name} on"),
        ],
    )
    return made


def interface_name(bridge: Bridge) -> str:
    """Give the name of the node's interface in a container's VLAN."""
    return f"{bridge.name}.{bridge.vlan}"
