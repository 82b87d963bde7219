"""Mode bridge: containers beside each other on a bridge of the node, as with the reference plugin."""

from __future__ import annotations

import select

from cni_plugin.failure import (
    INVALID_CONFIGURATION,
    IO_FAILURE,
    TRY_AGAIN,
    UNSUPPORTED_FIELD,
    Failure,
    reason,
)
from cni_plugin.quoting import quote
from netlink import address, family, link, neighbour
from netlink.link import Link, Port
from netlink.linkkind import Bridge as BridgeKind
from netlink.neighbour import Neighbour
from veth_plugin import address as addresses
from veth_plugin import mac
from veth_plugin.kernel import forwarding, inside, masquerade, naming, spoofing, sysctl, tracking, vlan
from veth_plugin.kernel.asking import EXISTS, NOT_SUPPORTED, Step, carry_out, exchange, list_all, refused
from veth_plugin.kernel.pair import random_mac
from veth_plugin.result import Interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.address import Address as KernelAddress
    from netlink.connection import Connection
    from veth_plugin.configuration import Bridge
    from veth_plugin.kernel.pair import Pair
    from veth_plugin.layout import Layout
    from veth_plugin.result import Address

_LONGEST_WITH_BROADCAST = 30
_DETECTION_MS, _DETECTION_STEP_MS = 10_000, 20


def complete(pair: Pair, layout: Layout, bridge: Bridge) -> list[Interface]:
    """Set up bridge, port and container; the first packet after this is answered. Failure."""
    own = [each.address for each in layout.addresses]
    families = inside.families(own)
    has_ipv6 = family.IPV6 in families
    inside.require(has_ipv6, pair.told.ipv6)
    tracking.forget_what_is_left(own)
    there = ensure(pair, bridge)
    above = [Interface(bridge.name, mac.text(there.mac or b""), "", there.mtu or 0)]
    if bridge.mac_spoof_check:
        spoofing.ensure(pair.name, pair.mac)
    _set_up_port(pair, own, there.index, bridge)
    facing = there
    fresh: list[bytes] = []
    if bridge.is_gateway and layout.gateways:
        forwarding.switch_on(pair, families)
        if bridge.vlan:
            facing = vlan.ensure_interface(pair, there, bridge)
            above.append(Interface(facing.name or "", mac.text(facing.mac or b""), "", facing.mtu or 0))
        fresh = _ensure_gateways(pair, facing, layout.gateways, bridge.force_address)
    if pair.settings.masquerades:
        masquerade.ensure(pair.attachment.network, layout.pools)
    inside.prepare(pair, has_ipv6, bridge.detects_duplicates)
    inside.set_up(
        pair,
        Link(index=pair.inside, ipv4={"arp_notify": 1}),
        [_of_container(pair.inside, each, bridge.detects_duplicates) for each in layout.addresses],
        [],
        layout.routes,
    )
    if bridge.is_gateway:
        # Whoever had an address before is known by another MAC still.
        known = [neighbour.put(Neighbour(facing.index, one, pair.mac, neighbour.REACHABLE)) for one in own]
        exchange(pair.node, known)
    pair.wait_until_packets_pass([] if bridge.detects_duplicates else own, fresh)
    inside.announce(pair, has_ipv6)
    if bridge.detects_duplicates and has_ipv6:
        _wait_for_detection(pair)
    return above


def ensure(pair: Pair, bridge: Bridge) -> Link:
    """Give the bridge, made if it is not there; Failure 7 if something else has its name."""
    there = find(pair.node, bridge)
    if there is None:
        return _make(pair, bridge)
    if not there.up:
        carry_out(
            pair.node, [Step(link.change(Link(index=there.index, up=True)), f"switching {bridge.name} on")]
        )
    if pair.settings.masquerades and there.group != naming.MASQUERADED:
        changed = link.change(Link(index=there.index, group=naming.MASQUERADED))
        carry_out(pair.node, [Step(changed, f"setting up bridge {bridge.name}")])
        there.group = naming.MASQUERADED
    return there


def find(node: Connection, bridge: Bridge) -> Link | None:
    """Give the bridge if it is there; Failure 7 if something else has its name."""
    [answer] = exchange(node, [link.get(bridge.name)])
    if not answer.messages:
        return None
    there = link.decode(answer.messages[0])
    _check(there, bridge)
    return there


def _check(there: Link, bridge: Bridge) -> None:
    if not isinstance(there.kind, BridgeKind):
        kind = there.kind_name or "a physical interface"
        said = f"bridge: interface {quote(bridge.name)} is there already and is no bridge, but {kind}"
        raise Failure(INVALID_CONFIGURATION, said)
    if bridge.vlan and not there.kind.vlan_filtering:
        said = f"vlan: bridge {quote(bridge.name)} is there already and does not filter VLANs"
        raise Failure(
            INVALID_CONFIGURATION, f"{said}; `ip link set {bridge.name} type bridge vlan_filtering 1`"
        )


def _make(pair: Pair, bridge: Bridge) -> Link:
    """Make the bridge, with a MAC of its own: else it takes its ports', and changes as they come and go."""
    group = naming.MASQUERADED if pair.settings.masquerades else None
    kind = BridgeKind(True) if bridge.vlan else BridgeKind()
    made = Link(bridge.name, mac=random_mac(), mtu=pair.mtu, group=group, kind=kind)
    created, told = exchange(pair.node, [link.create(made), link.get(bridge.name)])
    if created.refusal is not None and created.refusal.errno == NOT_SUPPORTED and bridge.vlan:
        said = f"key vlan with value {bridge.vlan}: this kernel's bridges do not filter VLANs"
        raise Failure(UNSUPPORTED_FIELD, said)
    if created.refusal is not None and created.refusal.errno != EXISTS:
        raise refused(f"making bridge {bridge.name}", created.refusal)
    if told.refusal is not None:
        raise refused(f"bridge {bridge.name} vanished", told.refusal)
    there = link.decode(told.messages[0])
    _check(there, bridge)
    key = f"ipv6/conf/{bridge.name}/accept_ra"
    try:
        sysctl.write(key, "0")  # a container could announce itself as the node's router
    except OSError as error:
        raise Failure(IO_FAILURE, f"sysctl {key}: {reason(error)}") from error
    carry_out(pair.node, [Step(link.change(Link(index=there.index, up=True)), f"switching {bridge.name} on")])
    return there


def _set_up_port(pair: Pair, own: list[bytes], index: int, bridge: Bridge) -> None:
    told = pair.tell(own, [])
    told.master = index
    steps = [Step(link.change(told), f"putting {pair.name} onto bridge {bridge.name}")]
    if bridge.hairpin:
        port = Link(index=pair.index, port=Port(hairpin=True))
        steps.append(Step(link.change(port), f"hairpin mode of {pair.name}"))
    if bridge.vlan:
        steps.append(vlan.step(pair.index, pair.name, bridge.vlan))
    steps.append(Step(link.change(Link(index=pair.index, up=True)), f"switching interface {pair.name} on"))
    carry_out(pair.node, steps)


def _ensure_gateways(pair: Pair, facing: Link, gateways: list[Address], force: bool) -> list[bytes]:
    """Give the bridge the addresses of gateways, and tell which it lacked; Failure 7 if it has others."""
    wanted = [_of_bridge(facing.index, each) for each in gateways]
    steps = [
        Step(address.add(each), f"address {addresses.text(each.address)} of {facing.name}", (EXISTS,))
        for each in wanted
    ]
    fresh = []
    for each, answer in zip(wanted, carry_out(pair.node, steps)):
        if answer.refusal is None:
            fresh.append(each)
    if not fresh:
        return []
    told = list_all(pair.node, address.get_all(facing.index), f"addresses of {facing.name}")
    there = [address.decode(one) for one in told]
    for each in fresh:
        others = [one for one in there if _excludes(one, each, wanted)]
        if others and not force:
            exchange(pair.node, [address.delete(one) for one in fresh])
            said = f"bridge {quote(facing.name or '')} has the address {_said(others[0])}, not {_said(each)}"
            raise Failure(INVALID_CONFIGURATION, f"{said}; forceAddress replaces it")
        carry_out(
            pair.node, [Step(address.delete(one), f"address {_said(one)} of {facing.name}") for one in others]
        )
    if facing.mac is not None:
        # A bridge that had no MAC of its own keeps the one that containers learn from now on.
        kept = link.change(Link(index=facing.index, mac=facing.mac))
        carry_out(pair.node, [Step(kept, f"keeping the MAC of {facing.name}")])
    return [each.address for each in fresh]


def _excludes(one: KernelAddress, wanted: KernelAddress, all_wanted: list[KernelAddress]) -> bool:
    """Tell whether an address stands in the way of another, as the reference plugin sees it."""
    if len(one.address) != len(wanted.address) or one.scope != address.SCOPE_GLOBAL:
        return False
    if any(one.address == each.address and one.length == each.length for each in all_wanted):
        return False
    if family.of(one.address) == family.IPV4:
        return True
    shorter = min(one.length, wanted.length)
    return addresses.network(one.address, shorter) == addresses.network(wanted.address, shorter)


def _of_bridge(index: int, each: Address) -> KernelAddress:
    return address.Address(
        index,
        each.address,
        each.length,
        address.NO_DETECTION,
        broadcast=_broadcast(each.address, each.length),
    )


def _of_container(index: int, each: Address, detects: bool) -> KernelAddress:
    flags = 0 if detects else address.NO_DETECTION
    return address.Address(
        index, each.address, each.length, flags, broadcast=_broadcast(each.address, each.length)
    )


def _broadcast(one: bytes, length: int) -> bytes | None:
    if family.of(one) != family.IPV4 or length > _LONGEST_WITH_BROADCAST:
        return None
    return (int.from_bytes(one, "big") | (1 << 32 - length) - 1).to_bytes(4, "big")


def _said(one: KernelAddress) -> str:
    return addresses.prefix_text(one.address, one.length)


def _wait_for_detection(pair: Pair) -> None:
    """Wait until the addresses were looked for on the bridge; Failure 7 if another has one, or 11."""
    waited = 0
    while waited < _DETECTION_MS:
        told = list_all(
            pair.namespace.routing, address.get_all(pair.inside, family.IPV6), f"addresses of {pair.ifname}"
        )
        there = [address.decode(one) for one in told]
        for one in there:
            if one.flags & address.DETECTION_FAILED:
                raise Failure(INVALID_CONFIGURATION, f"another on the bridge has {_said(one)} already")
        if not any(one.flags & address.TENTATIVE for one in there):
            return
        select.poll().poll(_DETECTION_STEP_MS)
        waited += _DETECTION_STEP_MS
    raise Failure(TRY_AGAIN, "the detection of duplicate addresses does not end")
