"""Taking away: what one attachment has, and what is left of those that are gone."""

from __future__ import annotations

from cni_plugin.failure import Failure
from netlink import link
from netlink.connection import ROUTE
from veth_plugin.kernel import departure, masquerade, naming, spoofing, tracking
from veth_plugin.kernel.asking import connect, exchange, list_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.link import Link
    from veth_plugin.attachment import Attachment
    from veth_plugin.kernel.naming import Alias


def remove(attachment: Attachment) -> list[bytes]:
    """Remove both ends, and with them all that stands on them, and give the container's addresses.

    Nothing if they are gone already. Failure 5.
    """
    node = connect(ROUTE)
    try:
        [answer] = exchange(node, [link.get(naming.host_side(attachment))])
        if not answer.messages:
            return []
        told = link.decode(answer.messages[0])
        alias = naming.read_alias(told.alias)
        if alias is not None and alias.owner != naming.owner(attachment):
            return []  # it is another network's: this one's ADD had found the name taken
        return _remove(told, alias)
    finally:
        node.close()


def collect(network: str, living: list[Attachment]) -> None:
    """Remove the host sides of a network that are of none of the living; Failure 5 names what stayed."""
    node = connect(ROUTE)
    spared = [naming.host_side(one) for one in living]
    own = of_network([link.decode(told) for told in list_all(node, link.get_all(), "interfaces")], network)
    stale = [told for told in own if told.name not in spared]
    failures: list[Failure] = []
    addresses: list[bytes] = []
    for told in stale:
        try:
            addresses += _remove(told, naming.read_alias(told.alias))
        except Failure as failure:
            failures.append(failure)
    node.close()
    tracking.forget(addresses)
    if failures:
        raise Failure(failures[0].code, "; ".join([failure.msg for failure in failures]))
    if len(stale) == len(own):
        masquerade.forget(network)


def _remove(told: Link, alias: Alias | None) -> list[bytes]:
    """Remove a host side, and give the addresses of which it says that they are its container's."""
    addresses = [] if alias is None else alias.addresses
    tracking.note(addresses)
    if told.group == naming.CHECKED and alias is not None and alias.container_mac is not None:
        # First: killed in between, the next DEL would find no interface that says what is left of it.
        spoofing.forget(told.name or "", alias.container_mac)
    departure.remove(told.index, told.name or "")
    return addresses


def of_network(links: list[Link], network: str) -> list[Link]:
    """Give the host sides of a network out of all links."""
    found = []
    for told in links:
        alias = naming.read_alias(told.alias)
        if (told.name or "").startswith(naming.PREFIX) and alias is not None:
            if alias.network() == naming.short(network):
                found.append(told)
    return found
