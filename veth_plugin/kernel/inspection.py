"""Comparing what is there with what ADD set up, on both sides; what later plugins add is allowed."""

from __future__ import annotations

from cni_plugin.failure import IO_FAILURE, Failure
from netlink import address, family, link, neighbour, route
from netlink.connection import NETFILTER, ROUTE
from netlink.linkkind import Veth
from veth_plugin import address as addresses
from veth_plugin import mac
from veth_plugin.kernel import bridged, dropping, forwarding, inside, masquerade, naming, spoofing
from veth_plugin.kernel.asking import connect, exchange, list_all
from veth_plugin.kernel.namespace import Namespace
from veth_plugin.kernel.removal import of_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.connection import Connection
    from netlink.link import Link
    from veth_plugin.attachment import Attachment
    from veth_plugin.configuration import Bridge, Settings
    from veth_plugin.layout import Layout
    from veth_plugin.result import Interface, Route

NETWORK_SUFFERS = 51
_NO_TABLE = (2,)  # of IPv6 the kernel refuses to list a table that is not there


class Inspection:
    """What is looked at, and what of it differs."""

    def __init__(
        self, attachment: Attachment, settings: Settings, layout: Layout, told: list[Interface]
    ) -> None:
        self.settings = settings
        self.layout = layout
        self.node = connect(ROUTE)
        self.namespace = Namespace(attachment)
        self.inside = self.namespace.routing
        self.ifname = attachment.ifname
        self.name = naming.host_side(attachment)
        self.macs = {each.name: each.mac for each in told if bool(each.sandbox) == (each.name == self.ifname)}
        self.own = [each.address for each in layout.addresses]
        self.faults: list[str] = []

    def close(self) -> None:
        self.node.close()
        self.namespace.close()


def compare(attachment: Attachment, settings: Settings, layout: Layout, told: list[Interface]) -> None:
    """Compare what is there with what ADD set up; Failure 5 names all that differs."""
    inspection = Inspection(attachment, settings, layout, told)
    try:
        host = _end(inspection, inspection.node, inspection.name, "on the node")
        container = _end(inspection, inspection.inside, inspection.ifname, "in the container")
        if host is not None and container is not None:
            if container.peer_index != host.index or host.peer_index != container.index:
                inspection.faults.append(f"{inspection.name} is not the other end of {inspection.ifname}")
            _compare_inside(inspection, container)
            if settings.bridge is None:
                _compare_routed(inspection, host, container)
            else:
                _compare_bridged(inspection, host, container, settings.bridge)
            _compare_forwarding(inspection, host)
        if settings.masquerades:
            inspection.faults += masquerade.faults(inspection.own)
    finally:
        inspection.close()
    if inspection.faults:
        said = f"interface {attachment.ifname} of container {attachment.container_id} is not as ADD made it"
        details = inspection.faults + _what_drops()
        raise Failure(IO_FAILURE, f"{said}: {inspection.faults[0]}", "; ".join(details))


def _what_drops() -> list[str]:
    """Say why the container may reach nobody beside its faults: that alone is no fault of its network."""
    filters = connect(NETFILTER)
    try:
        return dropping.said(filters)
    finally:
        filters.close()


def condition(network: str, settings: Settings) -> None:
    """Failure 51 if the network's containers here have no forwarding, or no bridge, that they need."""
    node = connect(ROUTE)
    try:
        links = [link.decode(told) for told in list_all(node, link.get_all(), "interfaces")]
        own = of_network(links, network)
        bridge = settings.bridge
        there = None if bridge is None else bridged.find(node, bridge)
    finally:
        node.close()
    if not own:
        return
    if bridge is not None and there is None:
        raise Failure(NETWORK_SUFFERS, f"bridge {bridge.name} is gone, and {len(own)} containers are on it")
    if bridge is not None and not bridge.is_gateway:
        return
    families = {
        addresses.family(one)
        for told in own
        for alias in [naming.read_alias(told.alias)]
        if alias is not None
        for one in alias.addresses
    }
    for of, number in ((addresses.IPV4, family.IPV4), (addresses.IPV6, family.IPV6)):
        if of in families and not forwarding.is_on(number):
            said = f"forwarding of IPv{of} is off, and {len(own)} containers of the network need it"
            raise Failure(NETWORK_SUFFERS, said)


def _end(inspection: Inspection, connection: Connection, name: str, where: str) -> Link | None:
    [answer] = exchange(connection, [link.get(name)])
    if not answer.messages:
        inspection.faults.append(f"interface {name} {where} is missing")
        return None
    told = link.decode(answer.messages[0])
    if not isinstance(told.kind, Veth):
        inspection.faults.append(f"interface {name} {where} is no end of a veth pair")
    if not told.up:
        inspection.faults.append(f"interface {name} {where} is down")
    wanted = inspection.macs.get(name)
    found = mac.text(told.mac or b"")
    if wanted and wanted.lower() != found:
        inspection.faults.append(f"interface {name} {where} has the MAC {found}, not {wanted}")
    return told


def _compare_inside(inspection: Inspection, container: Link) -> None:
    what = f"addresses of {inspection.ifname}"
    told = list_all(inspection.inside, address.get_all(container.index), what)
    there = [(one.address, one.length) for one in [address.decode(each) for each in told]]
    for each in inspection.layout.addresses:
        if (each.address, each.length) not in there:
            said = addresses.prefix_text(each.address, each.length)
            inspection.faults.append(f"address {said} of the container is missing")
    _compare_routes(inspection, inspection.inside, container.index, inspection.layout.routes)


def _compare_routes(inspection: Inspection, connection: Connection, index: int, wanted: list[Route]) -> None:
    there: list[route.Route] = []
    asked: list[tuple[int, int]] = []
    for each in wanted:
        made = inside.made(each, index)
        if (family.of(made.destination), made.table) not in asked:
            asked.append((family.of(made.destination), made.table))
    for of, table in asked:
        listed = list_all(connection, route.get_all(of, None, table), "routes of the container", _NO_TABLE)
        there += [route.decode(told) for told in listed]
    for each in wanted:
        if not any(_is(one, inside.made(each, index)) for one in there):
            inspection.faults.append(f"{inside.said_of(each)} of the container is missing")


def _is(there: route.Route, wanted: route.Route) -> bool:
    """Tell whether a route is the one that was made, or one by another interface, which was there first.

    Of its numbers only those that were given count.
    """
    same = there.length == wanted.length and there.table == wanted.table
    if not same or addresses.network(there.destination, there.length) != addresses.network(
        wanted.destination, wanted.length
    ):
        return False
    if there.index != wanted.index:
        return wanted.gateway is not None
    return (
        there.gateway == wanted.gateway
        and wanted.priority in (None, there.priority)
        and wanted.mtu in (None, there.mtu)
        and wanted.advmss in (None, there.advmss)
    )


def _compare_routed(inspection: Inspection, host: Link, container: Link) -> None:
    told = list_all(inspection.node, address.get_all(host.index), f"addresses of {inspection.name}")
    there = [one.address for one in [address.decode(each) for each in told]]
    for each in inspection.layout.gateways:
        if each.address not in there:
            said = addresses.text(each.address)
            inspection.faults.append(f"gateway {said} at {inspection.name} is missing")
        _compare_neighbour(inspection, inspection.inside, container.index, each.address, host.mac)
    for one in inspection.own:
        _compare_neighbour(inspection, inspection.node, host.index, one, container.mac)
        [answer] = exchange(inspection.node, [route.find(one)])
        index = route.decode(answer.messages[0]).index if answer.messages else None
        if index != host.index:
            said = addresses.text(one)
            inspection.faults.append(f"the node's route to {said} does not lead to {inspection.name}")
    _compare_prefixes(inspection, host)


def _compare_prefixes(inspection: Inspection, host: Link) -> None:
    """Of prefixes the host side tells: a runtime keeps no keys of a result that it does not know."""
    alias = naming.read_alias(host.alias)
    for first, length in [] if alias is None else alias.prefixes:
        said = addresses.prefix_text(first, length)
        asked = route.get_all(family.of(first), host.index)
        told = list_all(inspection.node, asked, f"routes to {inspection.name}")
        there = [(one.destination, one.length) for one in [route.decode(each) for each in told]]
        if (first, length) not in there:
            inspection.faults.append(f"the node's route to {said} does not lead to {inspection.name}")


def _compare_neighbour(
    inspection: Inspection, connection: Connection, index: int, one: bytes, wanted: bytes | None
) -> None:
    """A neighbour that is missing is learned again; one with another MAC is not, if it is permanent."""
    [answer] = exchange(connection, [neighbour.get(index, one)])
    if not answer.messages:
        return
    there = neighbour.decode(answer.messages[0])
    if there.state & neighbour.PERMANENT and there.mac != wanted:
        found = mac.text(there.mac or b"")
        said = f"neighbour {addresses.text(one)} has the MAC {found}"
        inspection.faults.append(f"{said}, not {mac.text(wanted or b'')}")


def _compare_bridged(inspection: Inspection, host: Link, container: Link, bridge: Bridge) -> None:
    try:
        there = bridged.find(inspection.node, bridge)
    except Failure as failure:
        inspection.faults.append(failure.msg)
        return
    if there is None:
        inspection.faults.append(f"bridge {bridge.name} is missing")
        return
    if not there.up:
        inspection.faults.append(f"bridge {bridge.name} is down")
    if host.master != there.index:
        inspection.faults.append(f"{inspection.name} is not on bridge {bridge.name}")
    elif host.port is not None and bool(host.port.hairpin) != bridge.hairpin:
        inspection.faults.append(f"hairpin mode of {inspection.name} is {bool(host.port.hairpin)}")
    if bridge.mac_spoof_check and container.mac is not None:
        inspection.faults += spoofing.faults(inspection.name, container.mac)
    if bridge.is_gateway and not bridge.vlan:
        told = list_all(inspection.node, address.get_all(there.index), f"addresses of {bridge.name}")
        found = [(one.address, one.length) for one in [address.decode(each) for each in told]]
        for each in inspection.layout.gateways:
            if (each.address, each.length) not in found:
                said = addresses.prefix_text(each.address, each.length)
                inspection.faults.append(f"gateway {said} at bridge {bridge.name} is missing")


def _compare_forwarding(inspection: Inspection, host: Link) -> None:
    bridge = inspection.settings.bridge
    if bridge is not None and not bridge.is_gateway:
        return
    for number in inside.families(inspection.own):
        if not forwarding.forwards(host, number):
            said = 4 if number == family.IPV4 else 6
            inspection.faults.append(f"forwarding of IPv{said} is off")
