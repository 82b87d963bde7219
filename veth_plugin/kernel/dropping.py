"""What of the node's nftables drops packets of containers: of iptables-nft, UFW, firewalld or others.

An accept in a table of ours helps nothing: a packet passes the chains of all tables.
"""

from __future__ import annotations

from cni_plugin.failure import Failure
from netlink import expression, nftables
from veth_plugin.kernel import naming
from veth_plugin.kernel.asking import NO_NFTABLES, NO_SUCH_FILE, list_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.connection import Connection
    from netlink.nftables import Rule, Table


class Hook:
    """A place where firewalls look, and `accepting`, the chain of ours that accepts there in their tables.

    A rule that leads to that chain comes before what drops.
    """

    def __init__(self, number: int, accepting: str, packets: str) -> None:
        self.number = number
        self.accepting = accepting
        self.packets = packets


FORWARD = Hook(nftables.FORWARD, "IPAMD-FORWARD", "forwarded packets")
INPUT = Hook(nftables.INPUT, "IPAMD-INPUT", "packets of the tunnel")

_HOST_SIDES = naming.PREFIX.encode()
_FAMILIES = {nftables.IPV4: "ip", nftables.IPV6: "ip6", nftables.INET: "inet"}
_DEEPEST = 8  # jumps that are followed
_OF_NO_CONSEQUENCE = ("counter", "log")
_REFUSING = b"REJECT"  # a target that iptables-nft has from iptables


class Drop:
    """A base chain that drops what no rule of it accepts, by its policy or by the rule numbered `before`."""

    def __init__(self, hook: Hook, table: Table, chain: str, before: int | None) -> None:
        self.hook = hook
        self.table = table
        self.chain = chain
        self.before = before

    def text(self) -> str:
        """Say what drops."""
        how = "by its policy" if self.before is None else "by its last rule"
        family = _FAMILIES[self.table.family]
        return f"chain {self.chain} of table {family} {self.table.name} drops {self.hook.packets} {how}"


def find(filters: Connection, hook: Hook = FORWARD, known: bytes = _HOST_SIDES) -> list[Drop]:
    """Find what drops packets at a hook, but firewalls that look for what begins with `known`; Failure 5."""
    found = []
    for family in _FAMILIES:
        told = list_all(filters, nftables.get_chains(family), "chains", (NO_SUCH_FILE, NO_NFTABLES))
        for table, chain in [nftables.decode_chain(one) for one in told]:
            if chain.hook != hook.number:
                continue
            rules = rules_of(filters, table)
            drop = _drop(hook, table, chain.name, chain.accepts, rules)
            if drop is not None and not _looks_for(known, rules, hook):
                found.append(drop)
    return found


def said(filters: Connection) -> list[str]:
    """Say what drops packets of our interfaces, as far as the kernel can be asked."""
    try:
        return [one.text() for one in find(filters)]
    except Failure as failure:
        return [failure.msg]


def rules_of(filters: Connection, table: Table) -> list[Rule]:
    """Give all rules of a table; Failure 5."""
    told = list_all(filters, table.get_rules(), "rules", (NO_SUCH_FILE,))
    return [nftables.decode_rule(one) for one in told]


def leads_to(rule: Rule) -> str | None:
    """Give the chain to which a rule leads packets, of whatever kind."""
    verdict = _verdict(rule)
    return verdict[1] if verdict is not None else None


def _drop(hook: Hook, table: Table, chain: str, accepts: bool, rules: list[Rule]) -> Drop | None:
    for rule in [one for one in rules if one.chain == chain]:
        if leads_to(rule) == hook.accepting:
            return None
        if _drops_all(rule, rules, _DEEPEST):
            return Drop(hook, table, chain, rule.handle)
    return None if accepts else Drop(hook, table, chain, None)


def _drops_all(rule: Rule, rules: list[Rule], deepest: int) -> bool:
    """Tell whether a rule drops whatever comes to it."""
    names = [name for name, data in rule.expressions if not _is_of_no_consequence(name, data)]
    if names == ["reject"] or (names == ["target"] and _REFUSING in rule.expressions[-1][1]):
        return True
    verdict = _verdict(rule)
    if names != ["immediate"] or verdict is None:
        return False
    if verdict[0] == expression.DROP:
        return True
    inner = [one for one in rules if one.chain == verdict[1]]
    return deepest > 0 and bool(inner) and any(_drops_all(one, rules, deepest - 1) for one in inner)


def _is_of_no_consequence(name: str, data: bytes) -> bool:
    return name in _OF_NO_CONSEQUENCE or (name == "match" and b"comment\0" in data)


def _verdict(rule: Rule) -> tuple[int, str | None] | None:
    for name, data in rule.expressions:
        if name == "immediate":
            return expression.decode_verdict(data)
    return None


def _looks_for(known: bytes, rules: list[Rule], hook: Hook) -> bool:
    """Tell whether the firewall of these rules was told of what we want accepted, by whomever."""
    for rule in rules:
        if rule.chain != hook.accepting:
            for name, data in rule.expressions:
                if name == "cmp" and expression.decode_compared(data).startswith(known):
                    return True
    return False
