"""The check that a container on a bridge sends with its own MAC: table `bridge ipamd`, set `veth_macs`.

The group of a port says that it is checked; the set holds which MAC it may send with.
"""

from __future__ import annotations

from cni_plugin.failure import UNSUPPORTED_FIELD, Failure
from netlink import expression, nftables
from netlink.connection import NETFILTER
from netlink.nftables import Chain, Element, Set, Table
from veth_plugin.kernel import naming
from veth_plugin.kernel.asking import NO_NFTABLES, NO_SUCH_FILE, connect, exchange, refused, transact

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

TABLE = Table(nftables.BRIDGE, "ipamd")
CHAIN = "veth_prerouting"
_NAME_BYTES, _MAC_BYTES = 16, 6
_MACS = Set("veth_macs", [_NAME_BYTES, _MAC_BYTES], nftables.CONCATENATED, 41 << 6 | 9)
_BEFORE_ALL = -300  # the priority of a chain that sees packets as they come
_SOURCE_AT = 6  # in the header of Ethernet


def ensure(name: str, mac: bytes) -> None:
    """Let a host side pass only what has its container's MAC; Failure 5, or 2 without nftables."""
    changes = [
        TABLE.add(),
        TABLE.add_set(_MACS, 1),
        TABLE.add_chain(Chain(CHAIN, nftables.PREROUTING, _BEFORE_ALL)),
        TABLE.flush_chain(CHAIN),
        TABLE.add_rule(CHAIN, _rule()),
        TABLE.add_elements(_MACS, [_element(name, mac)]),
    ]
    filters = connect(NETFILTER)
    try:
        [there, rules] = exchange(filters, [TABLE.get_chain(CHAIN), TABLE.get()])
        if there.refusal is None and rules.refusal is None:
            changes = changes[-1:]
        refusal = transact(filters, nftables.transaction(changes))
    finally:
        filters.close()
    if refusal is not None and refusal.errno == NO_NFTABLES:
        raise Failure(
            UNSUPPORTED_FIELD, "key macspoofchk with value true: this kernel has no nftables for bridges"
        )
    if refusal is not None:
        raise refused("the check of MACs by nftables", refusal)


def forget(name: str, mac: bytes) -> None:
    """Take a host side out of the check; Failure 5."""
    filters = connect(NETFILTER)
    try:
        refusal = transact(
            filters, nftables.transaction([TABLE.delete_elements(_MACS, [_element(name, mac)])])
        )
    finally:
        filters.close()
    if refusal is not None and refusal.errno not in (NO_SUCH_FILE, NO_NFTABLES):
        raise refused("the check of MACs by nftables", refusal)


def faults(name: str, mac: bytes) -> list[str]:
    """Tell what is missing for the check of a host side; Failure 5."""
    filters = connect(NETFILTER)
    try:
        chain, element = exchange(
            filters, [TABLE.get_chain(CHAIN), TABLE.get_element(_MACS, _element(name, mac).key)]
        )
    finally:
        filters.close()
    missing = []
    if chain.refusal is not None:
        missing.append(f"chain {CHAIN} in table bridge {TABLE.name} is missing")
    if element.refusal is not None:
        missing.append(f"set {_MACS.name} lacks the MAC of {name}")
    return missing


def _rule() -> list[bytes]:
    """Give the rule: of a port that is checked, drop what comes with a MAC that it may not send with."""
    name, mac = expression.word(0), expression.word(_NAME_BYTES // 4)
    return [
        expression.meta(expression.META_IN_GROUP),
        expression.compare(expression.EQUAL, naming.CHECKED.to_bytes(4, "little")),
        expression.meta(expression.META_IN_NAME, name),
        expression.payload(expression.LINK_HEADER, _SOURCE_AT, _MAC_BYTES, mac),
        expression.lookup(_MACS.name, name, inverted=True),
        expression.verdict(expression.DROP),
    ]


def _element(name: str, mac: bytes) -> Element:
    encoded = name.encode()
    return Element(encoded + bytes(_NAME_BYTES - len(encoded)) + mac + bytes(2))
