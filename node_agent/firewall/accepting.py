"""An accept, of containers' packets or of the tunnel's, in the tables of nftables that drop them.

A chain of ours stands in such a table, and a rule that leads to it before what drops. So all that the
firewall itself decides counts first. The rules are such as iptables-nft writes: it can go on with its table.
"""

from __future__ import annotations

from collections.abc import Sequence

from netlink import expression, nftables
from netlink.connection import Connection
from netlink.message import Request
from netlink.nftables import Chain, Rule, Table
from veth_plugin.kernel import dropping, naming
from veth_plugin.kernel.asking import NO_NFTABLES, NO_SUCH_FILE, list_all, transact
from veth_plugin.kernel.dropping import FORWARD, INPUT, Drop, Hook

_FAMILIES = (nftables.IPV4, nftables.IPV6, nftables.INET)
_NOT_PERMITTED = 1
_OF_ANY_NAME = "+"
_UDP = 17
_DESTINATION_PORT = 2  # where it begins in the header

Comparisons = list[tuple[bytes, bytes]]
"""What is loaded of a packet, and the value that it must have; each in turn."""


class Accept:
    """What is accepted at a hook: a packet that all comparisons of one of the `rules` are true for.

    `looked_for` is by what a firewall of itself may accept it; `text` are the words for people.
    """

    def __init__(self, hook: Hook, rules: Sequence[Comparisons], looked_for: bytes, text: str) -> None:
        self.hook = hook
        self.rules = rules
        self.looked_for = looked_for
        self.text = text

    @property
    def compared(self) -> list[bytes]:
        """The values of all comparisons, each once."""
        return list(dict.fromkeys(value for rule in self.rules for _, value in rule))


def of_containers(interfaces: Sequence[str]) -> Accept:
    """What these interfaces send and get."""
    rules = [
        [(expression.meta(direction), name)]
        for name in _names_of(interfaces)
        for direction in (expression.META_IN_NAME, expression.META_OUT_NAME)
    ]
    return Accept(FORWARD, rules, naming.PREFIX.encode(), "packets of containers")


def of_tunnel(port: int) -> Accept:
    """What comes to the UDP port of the tunnel: the agent's own table drops it unless a peer sent it."""
    number = port.to_bytes(2, "big")
    to_port = expression.payload(expression.TRANSPORT_HEADER, _DESTINATION_PORT, len(number))
    is_udp = (expression.meta(expression.META_PROTOCOL), bytes([_UDP]))
    return Accept(INPUT, [[is_udp, (to_port, number)]], number, f"UDP port {port}")


def put(filters: Connection, accept: Accept) -> tuple[list[str], list[str]]:
    """Write the accept into what drops: what was written, and what could not be. Raises Failure."""
    done, faults = [], []
    for table, rules in _tables(filters, accept.hook):
        own = [rule for rule in rules if rule.chain == accept.hook.accepting]
        if own and _values(own) != accept.compared:
            transact(filters, nftables.transaction(_chain(table, accept)))
    for drop in dropping.find(filters, accept.hook, accept.looked_for):
        refusal = transact(filters, nftables.transaction(_accept(drop, accept)))
        if refusal is None:
            done.append(f"accepted {accept.text} before {drop.text()}")
        elif refusal.errno == _NOT_PERMITTED:
            faults.append(f"{drop.text()}, and its owner alone may change it")
        elif refusal.errno != NO_SUCH_FILE:  # what dropped is gone
            faults.append(f"{drop.text()}, and the kernel refuses a rule: error {refusal.errno}")
    return done, faults


def remove(filters: Connection) -> int:
    """Take all of it away again; from how many chains of others. Raises Failure."""
    count = 0
    for hook in (FORWARD, INPUT):
        for table, rules in _tables(filters, hook):
            leading = [rule for rule in rules if dropping.leads_to(rule) == hook.accepting]
            changes = [table.delete_rule(rule.chain, rule.handle) for rule in leading]
            changes += [table.flush_chain(hook.accepting), table.delete_chain(hook.accepting)]
            count += transact(filters, nftables.transaction(changes)) is None
    return count


def _tables(filters: Connection, hook: Hook) -> list[tuple[Table, list[Rule]]]:
    """The tables with a chain of ours for the hook, and all their rules."""
    found = []
    for family in _FAMILIES:
        told = list_all(filters, nftables.get_chains(family), "chains", (NO_SUCH_FILE, NO_NFTABLES))
        for table, chain in map(nftables.decode_chain, told):
            if chain.name == hook.accepting:
                found.append((table, dropping.rules_of(filters, table)))
    return found


def _accept(drop: Drop, accept: Accept) -> list[Request]:
    leading = [expression.counter(), expression.verdict(expression.JUMP, accept.hook.accepting)]
    if drop.before is None:
        rule = drop.table.add_rule(drop.chain, leading)
    else:
        rule = drop.table.insert_rule(drop.chain, leading, drop.before)
    return [*_chain(drop.table, accept), rule]


def _chain(table: Table, accept: Accept) -> list[Request]:
    name = accept.hook.accepting
    changes = [table.add_chain(Chain(name)), table.flush_chain(name)]
    for rule in accept.rules:
        expressions = []
        for load, value in rule:
            expressions += [load, expression.compare(expression.EQUAL, value)]
        expressions += [expression.counter(), expression.verdict(expression.ACCEPT)]
        changes.append(table.add_rule(name, expressions))
    return changes


def _names_of(interfaces: Sequence[str]) -> list[bytes]:
    """The names as they are compared: with their NUL, or only how they begin."""
    return [
        name.removesuffix(_OF_ANY_NAME).encode() + (b"" if name.endswith(_OF_ANY_NAME) else b"\0")
        for name in interfaces
    ]


def _values(rules: Sequence[Rule]) -> list[bytes]:
    """The values that the rules of our chain compare with, each once."""
    compared = [
        expression.decode_compared(data) for rule in rules for name, data in rule.expressions if name == "cmp"
    ]
    return list(dict.fromkeys(compared))
