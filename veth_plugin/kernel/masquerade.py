"""Masquerading: table `inet ipamd`, in which all that is ours for both families is named `veth_…`.

One chain serves all containers. The group of the interface by which a packet came says that it may be
concerned, and a set for each family holds between which prefixes it is not: those of one network. So an ADD
reads that its prefixes are there and writes nothing, but for the first of a prefix.
"""

from __future__ import annotations

from cni_plugin.failure import UNSUPPORTED_FIELD, Failure
from netlink import expression, nftables
from netlink.connection import NETFILTER
from netlink.nftables import Chain, Element, Set, Table
from veth_plugin import address
from veth_plugin.kernel import naming
from veth_plugin.kernel.asking import (
    EXISTS,
    INVALID,
    NO_NFTABLES,
    NO_SUCH_FILE,
    connect,
    exchange,
    list_all,
    refused,
    transact,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.connection import Connection
    from netlink.message import Refusal, Request

    Pool = tuple[bytes, int]

TABLE = Table(nftables.INET, "ipamd")
CHAIN = "veth_postrouting"
LOCAL = {
    address.IPV4: Set("veth_local4", [4, 4], nftables.INTERVAL | nftables.CONCATENATED, 7 << 6 | 7),
    address.IPV6: Set("veth_local6", [16, 16], nftables.INTERVAL | nftables.CONCATENATED, 8 << 6 | 8),
}

_TRIES = 3
_OTHERS_WROTE = (NO_SUCH_FILE, EXISTS)  # another ADD wrote what we had read
_SOURCE_NAT = 100  # the priority of a chain that changes sources
_FAMILY_BYTES = {address.IPV4: b"\x02", address.IPV6: b"\x0a"}
_SOURCE_AT = {address.IPV4: 12, address.IPV6: 8}
_MULTICAST = {address.IPV4: (b"\xf0", b"\xe0"), address.IPV6: (b"\xff", b"\xff")}
_MARK_OF_KUBE_PROXY = bytes.fromhex(
    "00400000"
)  # 0x4000, as the machine has it: kube-proxy masquerades itself


def ensure(network: str, pools: list[Pool]) -> None:
    """See to it that what leaves a network's pools is masqueraded; Failure 5, or 2 without nftables."""
    filters = connect(NETFILTER)
    try:
        for tries_left in range(_TRIES, 0, -1):
            if is_there(filters, pools):
                return
            refusal = _write(filters, naming.short(network), pools)
            if refusal is None:
                return
            if refusal.errno in (NO_NFTABLES, INVALID):
                said = f"key ipMasq with value true: this kernel has no nftables ({refusal.errno})"
                raise Failure(UNSUPPORTED_FIELD, said)
            if refusal.errno not in _OTHERS_WROTE or tries_left == 1:
                raise refused("masquerading by nftables", refusal)
    finally:
        filters.close()


def is_there(filters: Connection, pools: list[Pool]) -> bool:
    """Tell whether the prefixes are known as ones of a network; Failure 5."""
    pairs = _pairs(pools, pools)
    asked = [TABLE.get_element(LOCAL[address.family(one.key[: len(one.key) // 2])], one.key) for one in pairs]
    for pair, answer in zip(pairs, exchange(filters, asked)):
        if answer.refusal is not None:
            return False
        [told] = nftables.decode_elements(answer.messages[0])
        if not _covers(told, pair):
            return False
    return True


def forget(network: str) -> None:
    """Take a network's prefixes out again; Failure 5."""
    filters = connect(NETFILTER)
    try:
        changes = []
        for of in LOCAL.values():
            gone = [one for one in _known(filters, of) if one.comment == naming.short(network)]
            if gone:
                changes.append(TABLE.delete_elements(of, gone))
        refusal = transact(filters, nftables.transaction(changes)) if changes else None
    finally:
        filters.close()
    if refusal is not None and refusal.errno != NO_SUCH_FILE:
        raise refused(f"masquerading of network {network}", refusal)


def faults(own: list[bytes]) -> list[str]:
    """Tell what is missing for the masquerading of addresses; Failure 5."""
    filters = connect(NETFILTER)
    try:
        return _faults(filters, own)
    finally:
        filters.close()


def _faults(filters: Connection, own: list[bytes]) -> list[str]:
    [chain] = exchange(filters, [TABLE.get_chain(CHAIN)])
    if chain.refusal is not None:
        return [f"chain {CHAIN} in table inet {TABLE.name} is missing"]
    rules = len(list_all(filters, TABLE.get_rules(CHAIN), "rules"))
    missing = []
    if rules != len(_rules()):
        missing.append(f"chain {CHAIN} in table inet {TABLE.name} has {rules} rules, not {len(_rules())}")
    for one in own:
        of = LOCAL[address.family(one)]
        [element] = exchange(filters, [TABLE.get_element(of, one + one)])
        if element.refusal is not None:
            missing.append(f"set {of.name} lacks the pool of {address.text(one)}")
    return missing


def _write(filters: Connection, network: str, pools: list[Pool]) -> Refusal | None:
    """Write chain and rules anew, and what the sets lack of the pools."""
    changes = [TABLE.add()]
    changes += [TABLE.add_set(of, number) for number, of in enumerate(LOCAL.values(), 1)]
    changes.append(TABLE.add_chain(Chain(CHAIN, nftables.POSTROUTING, _SOURCE_NAT, "nat")))
    changes.append(TABLE.flush_chain(CHAIN))
    changes += [TABLE.add_rule(CHAIN, rule) for rule in _rules()]
    for number, of in LOCAL.items():
        own = [pool for pool in pools if address.family(pool[0]) == number]
        if own:
            changes += _elements(_known(filters, of), of, network, own)
    return transact(filters, nftables.transaction(changes))


def _elements(known: list[Element], of: Set, network: str, own: list[Pool]) -> list[Request]:
    """Give the changes of a set by which nothing between a network's prefixes is masqueraded."""
    of_network = [_pool(one) for one in known if one.comment == network and _is_of_one(one)]
    others = [pool for pool in of_network if pool not in own]
    wanted = _pairs(own, own) + _pairs(own, others) + _pairs(others, own)
    wanted = [new for new in wanted if not any(_covers(one, new) for one in known)]
    wanted = [new for new in wanted if not any(one is not new and _covers(one, new) for one in wanted)]
    # A larger prefix takes the place of smaller ones, of which the kernel might find either.
    replaced = [one for one in known if any(_covers(new, one) for new in wanted)]
    for element in wanted:
        element.comment = network
    changes = []
    if replaced:
        changes.append(TABLE.delete_elements(of, replaced))
    if wanted:
        changes.append(TABLE.add_elements(of, wanted))
    return changes


def _rules() -> list[list[bytes]]:
    """Give the rules of the chain, each of which but the last lets packets pass as they are.

    The last one names the group that it concerns. A rule that returned for other groups would miss what the
    node itself sends and what a bridge passes on: that came by no interface, and a comparison ends the rule.
    """
    marked = [
        expression.meta(expression.META_MARK),
        expression.masked(_MARK_OF_KUBE_PROXY),
        expression.compare(expression.EQUAL, _MARK_OF_KUBE_PROXY),
        expression.verdict(expression.RETURN),
    ]
    masqueraded = [
        expression.meta(expression.META_IN_GROUP),
        expression.compare(expression.EQUAL, naming.MASQUERADED.to_bytes(4, "little")),
        expression.masquerade(expression.FULLY_RANDOM),
    ]
    within = [rule(number, of) for number, of in LOCAL.items() for rule in (_to_many, _to_local)]
    return [marked] + within + [masqueraded]


def _of_family(number: int) -> list[bytes]:
    return [
        expression.meta(expression.META_FAMILY),
        expression.compare(expression.EQUAL, _FAMILY_BYTES[number]),
    ]


def _to_many(number: int, of: Set) -> list[bytes]:
    """Give the rule for multicast."""
    mask, multicast = _MULTICAST[number]
    return _of_family(number) + [
        expression.payload(expression.NETWORK_HEADER, _SOURCE_AT[number] + of.fields[0], 1),
        expression.masked(mask),
        expression.compare(expression.EQUAL, multicast),
        expression.verdict(expression.RETURN),
    ]


def _to_local(number: int, of: Set) -> list[bytes]:
    """Give the rule for what stays within a pool: source and destination are looked up together."""
    size, source = of.fields[0], _SOURCE_AT[number]
    return _of_family(number) + [
        expression.payload(expression.NETWORK_HEADER, source, size, expression.word(0)),
        expression.payload(expression.NETWORK_HEADER, source + size, size, expression.word(size // 4)),
        expression.lookup(of.name, expression.word(0)),
        expression.verdict(expression.RETURN),
    ]


def _known(filters: Connection, of: Set) -> list[Element]:
    """Give what a set holds; nothing if it is not there."""
    [there] = exchange(filters, [TABLE.get()])
    if there.refusal is not None:
        return []
    told = list_all(filters, TABLE.get_elements(of.name), f"set {of.name}")
    return [element for one in told for element in nftables.decode_elements(one)]


def _pairs(sources: list[Pool], destinations: list[Pool]) -> list[Element]:
    """Give elements for what goes from each source to each destination of the same family."""
    found = []
    for source in sources:
        for destination in destinations:
            if len(source[0]) == len(destination[0]):
                found.append(Element(source[0] + destination[0], _last(source) + _last(destination)))
    return found


def _last(pool: Pool) -> bytes:
    """Give the last address of a prefix."""
    first, length = pool
    free = address.bits(first) - length
    return (int.from_bytes(first, "big") | (1 << free) - 1).to_bytes(len(first), "big")


def _pool(element: Element) -> Pool:
    """Give the prefix of which an element holds what stays in it."""
    half = len(element.key) // 2
    first, last = element.key[:half], (element.last or element.key)[:half]
    size = int.from_bytes(last, "big") - int.from_bytes(first, "big") + 1
    free = 0
    while 1 << free < size:
        free += 1
    return first, address.bits(first) - free


def _is_of_one(element: Element) -> bool:
    half = len(element.key) // 2
    last = element.last or element.key
    return element.key[:half] == element.key[half:] and last[:half] == last[half:]


def _covers(one: Element, other: Element) -> bool:
    """Tell whether all of the other element's keys are the one's too."""
    half = len(one.key) // 2
    last, other_last = one.last or one.key, other.last or other.key
    return (
        one.key[:half] <= other.key[:half]
        and one.key[half:] <= other.key[half:]
        and last[:half] >= other_last[:half]
        and last[half:] >= other_last[half:]
    )
