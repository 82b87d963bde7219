"""The agent's packet filters in the kernel: compared with what they shall be, and written.

Rules are compared with what the kernel told after they were written, for it does not tell what it was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import collapse_addresses
from typing import Final

from netlink import nftables
from netlink.connection import Connection
from netlink.message import Message, Request
from netlink.nftables import Element, Set, Table
from node_agent.pod_network.desired import Filters
from node_agent.pod_network.network import IPV4, IPV6, Address, Prefix
from node_agent.pod_network.rules import (
    CHAINS,
    DIRECT,
    EXCEPTED,
    MASQUERADED,
    PEERS,
    PODS,
    SIZES,
    TUNNEL_ADDRESSES,
    Rules,
    rules_of,
)

TABLE: Final = Table(nftables.INET, "ipamd")

_NO_SUCH_FILE: Final = 2
_HEADER: Final = 4
_DATA_TYPES: Final = {IPV4: 7, IPV6: 8}
_AT_ONCE: Final = 1000

Remembered = dict[str, list[bytes]]
"""Chains with their rules, as the kernel told them when they were new."""


class Refused(Exception):
    """The kernel refuses the filters: says what, and why."""


def ensure(filters: Connection, wanted: Filters, remembered: Remembered) -> list[str]:
    """See to it that the filters are as they shall be; what was done, in words. Raises Refused or OSError."""
    done = []
    sets = _sets(wanted)
    rules = rules_of(wanted)
    key = repr((wanted.port, wanted.own.version, wanted.check_sources))
    standing = {chain.name: _list(filters, TABLE.get_rules(chain.name)) for chain in CHAINS}
    is_right = {name: remembered.get(f"{key} {name}") == there for name, there in standing.items()}
    if not all(is_right.values()) or not _are_there(filters, sets):
        _send(filters, _anew(sets, rules), "the filters")
        remembered.clear()
        for chain in CHAINS:
            remembered[f"{key} {chain.name}"] = _list(filters, TABLE.get_rules(chain.name))
        done.append("wrote the packet filters")
    for of, elements in sets:
        changed = _bring_up_to_date(filters, of, elements)
        if changed:
            done.append(f"changed {changed} elements of set {of.name}")
    return done


def remove(filters: Connection) -> bool:
    """Take all of it away; whether anything was there. Raises Refused or OSError."""
    there = [chain.name for chain in CHAINS if _is_there(filters, chain.name)]
    if there:
        gone = [TABLE.flush_chain(name) for name in there] + [TABLE.delete_chain(name) for name in there]
        gone += [TABLE.delete_set(of.name) for of, _ in _sets(None)]
        _send(filters, gone, "removing the filters")
    [table] = filters.exchange([TABLE.get()])
    if table.refusal is None and all(nftables.decode_use(one) == 0 for one in table.messages):
        _send(filters, [TABLE.delete()], "removing the table")  # nothing of the plugin's is in it
    return bool(there)


def _sets(wanted: Filters | None) -> list[tuple[Set, dict[bytes, Element]]]:
    """The sets, each with its elements by the keys by which the kernel tells them."""
    found = []
    for family in (IPV4, IPV6):
        size, data_type = SIZES[family], _DATA_TYPES[family]
        for name, prefixes in _prefixes(wanted).items():
            of = Set(f"{name}{family}", [size], nftables.INTERVAL, data_type)
            found.append((of, _ranges(one for one in prefixes if one.version == family)))
        for name, addresses in _addresses(wanted).items():
            of = Set(f"{name}{family}", [size], 0, data_type)
            own = (one.packed for one in addresses if one.version == family)
            found.append((of, {key: Element(key) for key in own}))
    return found


def _prefixes(wanted: Filters | None) -> Mapping[str, Iterable[Prefix]]:
    return {
        PODS: wanted.pods if wanted else (),
        MASQUERADED: wanted.masqueraded if wanted else (),
        EXCEPTED: wanted.excepted if wanted else (),
    }


def _addresses(wanted: Filters | None) -> Mapping[str, Iterable[Address]]:
    return {
        DIRECT: wanted.direct if wanted else (),
        PEERS: wanted.tunnel_peers if wanted else (),
        TUNNEL_ADDRESSES: wanted.tunnel_addresses if wanted else (),
    }


def _ranges(prefixes: Iterable[Prefix]) -> dict[bytes, Element]:
    found: dict[bytes, Element] = {}
    for one in collapse_addresses(prefixes):  # type: ignore[type-var]  # all of one family
        first, last = one.network_address.packed, one.broadcast_address.packed
        found[first] = Element(first, last)
    return found


def _anew(sets: list[tuple[Set, dict[bytes, Element]]], rules: Rules) -> list[Request]:
    changes = [TABLE.add()]
    changes += [TABLE.add_set(of, number) for number, (of, _) in enumerate(sets, 1)]
    for chain in CHAINS:
        changes += [TABLE.add_chain(chain), TABLE.flush_chain(chain.name)]
        changes += [TABLE.add_rule(chain.name, rule) for rule in rules[chain.name]]
    return changes


def _bring_up_to_date(filters: Connection, of: Set, elements: dict[bytes, Element]) -> int:
    """Change what differs of a set's elements; how many."""
    told = _messages(filters, TABLE.get_elements(of.name))
    there = {element.key for one in told for element in nftables.decode_elements(one)}
    if of.flags & nftables.INTERVAL:
        # The kernel tells where ranges begin and where they have ended, so these few are written as one.
        expected = {key for one in elements.values() for key in _ends(one)}
        if there == expected:
            return 0
        anew = [TABLE.flush_set(of.name)]
        anew += [TABLE.add_elements(of, list(elements.values()))] if elements else []
        _send(filters, anew, f"set {of.name}")
        return len(there ^ expected)
    new = [one for key, one in elements.items() if key not in there]
    old = [Element(key) for key in there if key not in elements]
    for start in range(0, len(new), _AT_ONCE):
        _send(filters, [TABLE.add_elements(of, new[start : start + _AT_ONCE])], f"set {of.name}")
    for start in range(0, len(old), _AT_ONCE):
        _send(filters, [TABLE.delete_elements(of, old[start : start + _AT_ONCE])], f"set {of.name}")
    return len(new) + len(old)


def _ends(one: Element) -> list[bytes]:
    """The keys by which the kernel tells a range: its first, and the one behind its last if there is one."""
    last = int.from_bytes(one.last or one.key, "big") + 1
    size = len(one.key)
    return [one.key] if last >> 8 * size else [one.key, last.to_bytes(size, "big")]


def _are_there(filters: Connection, sets: list[tuple[Set, dict[bytes, Element]]]) -> bool:
    [table] = filters.exchange([TABLE.get()])
    answers = filters.exchange([TABLE.get_set(of.name) for of, _ in sets])
    return table.refusal is None and all(one.refusal is None for one in answers)


def _is_there(filters: Connection, chain: str) -> bool:
    [answer] = filters.exchange([TABLE.get_chain(chain)])
    return answer.refusal is None


def _list(filters: Connection, request: Request) -> list[bytes]:
    # Each begins with the number of the last transaction, whoever's it was.
    return [one.body[_HEADER:] for one in _messages(filters, request)]


def _messages(filters: Connection, request: Request) -> list[Message]:
    try:
        return filters.list_all(request)
    except OSError as error:
        if error.errno == _NO_SUCH_FILE:
            return []
        raise


def _send(filters: Connection, changes: list[Request], what: str) -> None:
    answers = filters.transaction(nftables.transaction(changes))
    for one in answers:
        if one.refusal is not None:
            why = one.refusal.text or f"error {one.refusal.errno}"
            raise Refused(f"nftables refuses {what}: {why}; kernel 5.10 with nf_tables and its fib is needed")
