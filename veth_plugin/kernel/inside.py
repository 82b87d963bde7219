"""What is set up in the container's namespace, in both modes."""

from __future__ import annotations

from cni_plugin.failure import IO_FAILURE, Failure
from netlink import address, family, link, neighbour, route
from netlink.link import Link
from veth_plugin import address as addresses
from veth_plugin.kernel.asking import EXISTS, Step, carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.address import Address
    from netlink.neighbour import Neighbour
    from veth_plugin.kernel.pair import Pair
    from veth_plugin.result import Route


def prepare(pair: Pair, has_ipv6: bool, detects: bool = False) -> None:
    """Let the interface have addresses of IPv6 if it gets one, at once unless it `detects` duplicates."""
    settings = []
    conf = f"ipv6/conf/{pair.ifname}"
    if has_ipv6:
        settings += [("ipv6/conf/lo/disable_ipv6", "0"), (f"{conf}/disable_ipv6", "0")]
    if detects:
        settings += [(f"{conf}/enhanced_dad", "1"), (f"{conf}/accept_dad", "1")]
    else:
        settings.append((f"{conf}/accept_dad", "0"))
    pair.namespace.write(settings)


def set_up(
    pair: Pair,
    changed: Link,
    own: list[Address],
    neighbours: list[Neighbour],
    routes: list[Route],
) -> None:
    """Give the interface its addresses, switch it on, and write its neighbours and routes, in one send."""
    steps = [Step(link.change(changed), f"setting up interface {pair.ifname}")]
    for one in own:
        said = addresses.prefix_text(one.address, one.length)
        steps.append(Step(address.add(one), f"address {said} of the container", (EXISTS,)))
    steps.append(Step(link.change(Link(index=pair.inside, up=True)), f"switching interface {pair.ifname} on"))
    for each in neighbours:
        assert each.address is not None
        steps.append(Step(neighbour.put(each), f"neighbour {addresses.text(each.address)} of the container"))
    for wanted in routes:
        # Each interface needs its own way to the gateway, which two may share. Of other routes to one prefix
        # the first wins, as with the reference plugins.
        add = route.append if wanted.gateway is None else route.add
        steps.append(Step(add(made(wanted, pair.inside)), f"{said_of(wanted)} of the container", (EXISTS,)))
    carry_out(pair.namespace.routing, steps)


def announce(pair: Pair, has_ipv6: bool) -> None:
    """Tell whoever is on the link which MAC has the addresses now: they may know a former container's.

    Setting the MAC, to what it is, makes the kernel do so. It does when a link comes up, too, but then the
    bridge takes in no packets yet.
    """
    key = f"ipv6/conf/{pair.ifname}/ndisc_notify"
    if has_ipv6:
        pair.namespace.write([(key, "1")])
    again = link.change(Link(index=pair.inside, mac=pair.mac))
    carry_out(pair.namespace.routing, [Step(again, f"announcing the addresses of {pair.ifname}")])
    if has_ipv6:
        pair.namespace.write([(key, "0")])


def made(wanted: Route, index: int) -> route.Route:
    """Give a route of a result as the kernel takes it."""
    numbers = wanted.numbers
    return route.Route(
        wanted.destination,
        wanted.length,
        index,
        wanted.gateway,
        numbers.get("scope", route.SCOPE_GLOBAL if wanted.gateway is not None else route.SCOPE_LINK),
        table=numbers.get("table") or route.MAIN_TABLE,
        priority=numbers.get("priority"),
        mtu=numbers.get("mtu"),
        advmss=numbers.get("advmss"),
    )


def said_of(wanted: Route) -> str:
    """Name a route for an error."""
    via = "" if wanted.gateway is None else f" via {addresses.text(wanted.gateway)}"
    return f"route {addresses.prefix_text(wanted.destination, wanted.length)}{via}"


def require(has_ipv6: bool, known: dict[str, int]) -> None:
    """Failure 5 if an address of IPv6 is given and the kernel has none."""
    if has_ipv6 and not known:
        raise Failure(IO_FAILURE, "the IPAM plugin gave an address of IPv6, and this kernel is without IPv6")


def families(given: list[bytes]) -> list[int]:
    """Give the kernel's numbers of the families of addresses, each once, IPv4 first."""
    return sorted({family.of(one) for one in given})
