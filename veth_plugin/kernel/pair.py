"""The veth pair of an attachment: made, set up by the mode's own module, and taken away."""

from __future__ import annotations

import select

from cni_plugin import platform
from cni_plugin.failure import BAD_ENVIRONMENT, INVALID_CONFIGURATION, IO_FAILURE, TRY_AGAIN, Failure, reason
from cni_plugin.quoting import quote
from netlink import family, link, route
from netlink.connection import ROUTE
from netlink.link import Link
from veth_plugin import address, mac
from veth_plugin.kernel import carried, naming, sysctl, uplink
from veth_plugin.kernel.asking import (
    EXISTS,
    NETWORK_UNREACHABLE,
    NO_SUCH_DEVICE,
    Step,
    carry_out,
    connect,
    exchange,
    refused,
)
from veth_plugin.kernel.namespace import Namespace
from veth_plugin.result import Interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.connection import Connection
    from netlink.message import Refusal
    from veth_plugin.attachment import Attachment
    from veth_plugin.configuration import Settings
    from veth_plugin.layout import Layout

_MAC_BYTES = 6
_WAIT_MS = (0, 1, 1, 2, 5, 10, 20, 50, 100, 200, 300, 300)  # until packets pass: at most a second


class Pair:
    """Both ends of a pair: `name` and `index` on the node, `ifname` and `inside` in the container."""

    def __init__(self, attachment: Attachment, settings: Settings, namespace: Namespace) -> None:
        self.attachment = attachment
        self.settings = settings
        self.namespace = namespace
        self.node = connect(ROUTE)
        self.ifname = attachment.ifname
        self.name = naming.host_side(attachment)
        self.mac = settings.mac or random_mac()
        self.host_mac = random_mac()
        self.index = 0
        self.inside = 0
        self.mtu: int | None = None
        self.sources: dict[int, bytes] = {}
        self.told = Link()
        """The host side as the kernel told it when it was new."""

    def make(self) -> None:
        """Make both ends, each where it stays, down; Failure if that cannot be, with nothing changed."""
        self._measure()
        host = Link(self.name, mac=self.host_mac, mtu=self.mtu, group=self._group())
        peer = Link(self.ifname, mac=self.mac, mtu=self.mtu, namespace=self.namespace.file)
        try:
            created, told = exchange(self.node, [link.create_pair(host, peer), link.get(self.name)])
        except Failure:
            self._abandon_unclaimed()
            raise
        if created.refusal is not None:
            raise self._why_not(created.refusal)
        if told.refusal is not None:
            raise refused(f"interface {self.name} vanished", told.refusal)
        self.told = link.decode(told.messages[0])
        self.index = self.told.index
        self.inside = self.told.peer_index or 0
        try:
            self._claim()
        except Failure:
            self.abandon()
            raise

    def complete(self, layout: Layout) -> list[Interface]:
        """Set up both ends and what they need on the node; Failure if something is in the way."""
        if self.settings.bridge is None:
            from veth_plugin.kernel import routed

            above = routed.complete(self, layout)
        else:
            from veth_plugin.kernel import bridged

            above = bridged.complete(self, layout, self.settings.bridge)
        return above + [
            Interface(self.name, mac.text(self.host_mac), "", self.told.mtu or 0),
            Interface(self.ifname, mac.text(self.mac), self.attachment.netns, self.told.mtu or 0),
        ]

    def abandon(self) -> None:
        """Take away both ends with all that stands on them; Failure 5 if the kernel refuses."""
        if self._group() == naming.CHECKED:
            from veth_plugin.kernel import spoofing

            self.namespace.be_home()
            spoofing.forget(self.name, self.mac)
        deletion = link.delete(index=self.index) if self.index else link.delete(self.name)
        carry_out(self.node, [Step(deletion, f"removing interface {self.name}", (NO_SUCH_DEVICE,))])

    def tell(self, addresses: list[bytes], prefixes: list[tuple[bytes, int]]) -> Link:
        """Give the change of the host side that says whose it is."""
        return Link(index=self.index, alias=naming.alias(self.attachment, self.mac, addresses, prefixes))

    def wait_until_packets_pass(self, inside: list[bytes], outside: list[bytes]) -> None:
        """Wait until both ends carry packets, and the addresses inside and on the node take them.

        The kernel sees to both some time after it was told to, by threads of its own: seen of IPv6 addresses,
        once in a hundred times.
        """
        _wait(self.node, Link(self.name, self.index), outside)
        _wait(self.namespace.routing, Link(self.ifname, self.inside), inside)

    def _group(self) -> int:
        if self.settings.bridge is not None and self.settings.bridge.mac_spoof_check:
            return naming.CHECKED
        return naming.MASQUERADED if self.settings.masquerades else naming.PLAIN

    def _measure(self) -> None:
        """Find out the MTU and, in mode routed, the node's own addresses; Failure 7 for too large an MTU."""
        given = self.settings.mtu
        if self.settings.bridge is not None:
            self.mtu = given or None
            return
        found = uplink.find(self.node)
        self.sources = found.sources
        if given and found.mtu and given > found.mtu:
            why = f"is more than the {found.mtu} of the link by which the node sends"
            raise Failure(INVALID_CONFIGURATION, f"mtu: {given} {why}")
        self.mtu = given or carried.mtu() or found.mtu or None

    def _abandon_unclaimed(self) -> None:
        """Take away what was made before the answer was lost: a host side that is nobody's by its alias."""
        [answer] = exchange(self.node, [link.get(self.name)])
        if answer.messages and link.decode(answer.messages[0]).alias is None:
            self.abandon()

    def _claim(self) -> None:
        """Say on the host side whose it is, and keep it from heeding what its container advertises."""
        claimed = self.tell([], [])
        if self.settings.bridge is None:
            claimed.generation = link.GENERATE_NONE
            claimed.ipv4 = {"send_redirects": 0}
        carry_out(self.node, [Step(link.change(claimed), f"setting up interface {self.name}")])
        key = f"ipv6/conf/{self.name}/accept_ra"
        try:
            sysctl.write(key, "0")
        except OSError as error:
            raise Failure(IO_FAILURE, f"sysctl {key}: {reason(error)}") from error

    def _why_not(self, refusal: Refusal) -> Failure:
        """Say why the pair was not made; of a name that is taken, which."""
        if refusal.errno != EXISTS:
            return refused(f"making interface {self.ifname} in the container", refusal)
        [answer] = exchange(self.node, [link.get(self.name)])
        if not answer.messages:
            why = f"the container has an interface {quote(self.ifname)} already"
            return Failure(BAD_ENVIRONMENT, f"CNI_IFNAME: {why}")
        alias = naming.read_alias(link.decode(answer.messages[0]).alias)
        whose = "of nobody that it says" if alias is None else f"of {alias.owner}"
        why = f"its host side {self.name} is there already, {whose}; a DEL removes it"
        return Failure(BAD_ENVIRONMENT, f"CNI_CONTAINERID and CNI_IFNAME: {why}")


def _wait(connection: Connection, end: Link, addresses: list[bytes]) -> None:
    """Wait until an end carries packets and IPv6 addresses take them; Failure 11 after a second."""
    looked_up = [Step(link.get(index=end.index), f"interface {end.name} vanished")]
    for one in addresses:
        if family.of(one) == family.IPV6:
            looked_up.append(Step(route.find(one), f"address {address.text(one)}", (NETWORK_UNREACHABLE,)))
    for delay in _WAIT_MS:
        if delay:
            select.poll().poll(delay)
        answers = carry_out(connection, looked_up)
        told = link.decode(answers[0].messages[0])
        waiting = told.operational_state != link.OPERATIONAL_UP
        for answer in answers[1:]:
            if not answer.messages or route.decode(answer.messages[0]).kind != route.LOCAL:
                waiting = True
        if not waiting:
            return
    raise Failure(TRY_AGAIN, f"interface {end.name} does not carry packets a second after it is up")


def make(attachment: Attachment, settings: Settings) -> Pair:
    """Make the pair of an attachment, both ends down; Failure if that cannot be, with nothing changed."""
    namespace = Namespace(attachment)
    pair = Pair(attachment, settings, namespace)
    pair.make()
    return pair


def random_mac() -> bytes:
    """Give a MAC of one interface that no vendor gave (two bits of its first byte say so)."""
    chosen = platform.random_bytes(_MAC_BYTES)
    return bytes([chosen[0] & 0xFC | 0x02]) + chosen[1:]
