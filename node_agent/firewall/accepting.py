"""An accept of containers' packets in the tables of nftables that drop them.

A chain of ours stands in such a table, and a rule that leads to it before what drops. So all that the
firewall itself decides counts first. The rules are such as iptables-nft writes: it can go on with its table.
"""

from __future__ import annotations

from collections.abc import Sequence

from netlink import expression, nftables
from netlink.connection import Connection
from netlink.message import Request
from netlink.nftables import Chain, Rule, Table
from veth_plugin.kernel import dropping
from veth_plugin.kernel.asking import NO_NFTABLES, NO_SUCH_FILE, list_all, transact
from veth_plugin.kernel.dropping import ACCEPTING, Drop

_FAMILIES = (nftables.IPV4, nftables.IPV6, nftables.INET)
_NOT_PERMITTED = 1
_OF_ANY_NAME = "+"


def put(filters: Connection, interfaces: Sequence[str]) -> tuple[list[str], list[str]]:
    """Accept what these interfaces send and get: what was written, and what could not be. Raises Failure."""
    done, faults = [], []
    for table, rules in _tables(filters):
        own = [rule for rule in rules if rule.chain == ACCEPTING]
        if own and _names(own) != _names_of(interfaces):
            transact(filters, nftables.transaction(_chain(table, interfaces)))
    for drop in dropping.find(filters):
        refusal = transact(filters, nftables.transaction(_accept(drop, interfaces)))
        if refusal is None:
            done.append(f"accepted packets of containers before {drop.text()}")
        elif refusal.errno == _NOT_PERMITTED:
            faults.append(f"{drop.text()}, and its owner alone may change it")
        elif refusal.errno != NO_SUCH_FILE:  # what dropped is gone
            faults.append(f"{drop.text()}, and the kernel refuses a rule: error {refusal.errno}")
    return done, faults


def remove(filters: Connection) -> int:
    """Take all of it away again; from how many tables. Raises Failure."""
    count = 0
    for table, rules in _tables(filters):
        leading = [rule for rule in rules if dropping.leads_to(rule) == ACCEPTING]
        changes = [table.delete_rule(rule.chain, rule.handle) for rule in leading]
        changes += [table.flush_chain(ACCEPTING), table.delete_chain(ACCEPTING)]
        count += transact(filters, nftables.transaction(changes)) is None
    return count


def _tables(filters: Connection) -> list[tuple[Table, list[Rule]]]:
    """The tables with a chain of ours, and all their rules."""
    found = []
    for family in _FAMILIES:
        told = list_all(filters, nftables.get_chains(family), "chains", (NO_SUCH_FILE, NO_NFTABLES))
        for table, chain in map(nftables.decode_chain, told):
            if chain.name == ACCEPTING:
                found.append((table, dropping.rules_of(filters, table)))
    return found


def _accept(drop: Drop, interfaces: Sequence[str]) -> list[Request]:
    leading = [expression.counter(), expression.verdict(expression.JUMP, ACCEPTING)]
    if drop.before is None:
        rule = drop.table.add_rule(drop.chain, leading)
    else:
        rule = drop.table.insert_rule(drop.chain, leading, drop.before)
    return [*_chain(drop.table, interfaces), rule]


def _chain(table: Table, interfaces: Sequence[str]) -> list[Request]:
    changes = [table.add_chain(Chain(ACCEPTING)), table.flush_chain(ACCEPTING)]
    for name in _names_of(interfaces):
        for direction in (expression.META_IN_NAME, expression.META_OUT_NAME):
            changes.append(
                table.add_rule(
                    ACCEPTING,
                    [
                        expression.meta(direction),
                        expression.compare(expression.EQUAL, name),
                        expression.counter(),
                        expression.verdict(expression.ACCEPT),
                    ],
                )
            )
    return changes


def _names_of(interfaces: Sequence[str]) -> list[bytes]:
    """The names as they are compared: with their NUL, or only how they begin."""
    return [
        name.removesuffix(_OF_ANY_NAME).encode() + (b"" if name.endswith(_OF_ANY_NAME) else b"\0")
        for name in interfaces
    ]


def _names(rules: Sequence[Rule]) -> list[bytes]:
    """The names that the rules of our chain compare with, each once."""
    compared = [
        expression.decode_compared(data) for rule in rules for name, data in rule.expressions if name == "cmp"
    ]
    return list(dict.fromkeys(compared))
