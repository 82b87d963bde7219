"""Tables, chains, sets and rules of packet filters (linux/netfilter/nf_tables.h).

What changes them goes in a transaction (`Connection.transaction`); what asks goes alone.
"""

from __future__ import annotations

from netlink import attribute, message
from netlink.message import Message, Request

INET, IPV4, BRIDGE, IPV6 = 1, 2, 7, 10
"""Families of tables: IPv4 and IPv6 at once, one of both, what passes a bridge."""

PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = 0, 1, 2, 3, 4
"""Hooks, in the families that are here."""

INTERVAL, CONCATENATED = 0x4, 0x80
"""Flags of a set: of ranges; of keys that are put together from several."""
_INTERVAL_END = 0x1

_SUBSYSTEM = 10 << 8
_NEW_TABLE, _GET_TABLE, _DELETE_TABLE = 0, 1, 2
_NEW_CHAIN, _GET_CHAIN, _DELETE_CHAIN = 3, 4, 5
_NEW_RULE, _GET_RULE, _DELETE_RULE = 6, 7, 8
_NEW_SET, _GET_SET, _DELETE_SET = 9, 10, 11
_NEW_ELEMENTS, _GET_ELEMENTS, _DELETE_ELEMENTS = 12, 13, 14
_BEGIN, _END = 16, 17
_HEADER = 4


class Chain:
    """A chain; one with a hook is a base chain, with a kind ("nat", "filter", "route") and a priority."""

    def __init__(
        self,
        name: str,
        hook: int | None = None,
        priority: int = 0,
        kind: str = "filter",
        accepts: bool = True,
    ) -> None:
        self.name = name
        self.hook = hook
        self.priority = priority
        self.kind = kind
        self.accepts = accepts


class Rule:
    """A rule as the kernel tells it: its number in the table, its chain, its expressions by their names."""

    def __init__(self, handle: int, chain: str, expressions: list[tuple[str, bytes]]) -> None:
        self.handle = handle
        self.chain = chain
        self.expressions = expressions


class Set:
    """A set of keys; `fields` are the sizes in bytes of what a key is put together from.

    `data_type` tells `nft list` how to write the keys, and the kernel nothing.
    """

    def __init__(self, name: str, fields: list[int], flags: int = 0, data_type: int = 0) -> None:
        self.name = name
        self.fields = fields
        self.flags = flags
        self.data_type = data_type

    def size(self) -> int:
        """Give the size of a key: its fields begin at words of four bytes."""
        return sum([field + 3 & ~3 for field in self.fields])


class Element:
    """A key of a set, or of a set of ranges all keys from `key` to `last`, which belongs to it.

    `comment` is of up to 127 bytes, and empty for none.
    """

    def __init__(self, key: bytes, last: bytes | None = None, comment: str = "") -> None:
        self.key = key
        self.last = last
        self.comment = comment


class Table:
    """A table, and the requests that concern it."""

    def __init__(self, family: int, name: str) -> None:
        self.family = family
        self.name = name

    def add(self) -> Request:
        """Make it; nothing if it is there."""
        return self._request(_NEW_TABLE, message.CREATE, [attribute.text(1, self.name), attribute.be32(2, 0)])

    def delete(self) -> Request:
        """Remove it with all that is in it."""
        return self._request(_DELETE_TABLE, 0, [attribute.text(1, self.name)])

    def get(self) -> Request:
        """Ask whether it is there."""
        return self._request(_GET_TABLE, 0, [attribute.text(1, self.name)])

    def add_chain(self, chain: Chain) -> Request:
        """Make a chain; nothing if it is there."""
        parts = [attribute.text(1, self.name), attribute.text(3, chain.name)]
        if chain.hook is not None:
            priority = chain.priority & 0xFFFFFFFF
            parts += [
                attribute.nested(4, [attribute.be32(1, chain.hook), attribute.be32(2, priority)]),
                attribute.be32(5, int(chain.accepts)),
                attribute.text(7, chain.kind),
            ]
        return self._request(_NEW_CHAIN, message.CREATE, parts)

    def get_chain(self, name: str) -> Request:
        """Ask whether a chain is there."""
        return self._request(_GET_CHAIN, 0, [attribute.text(1, self.name), attribute.text(3, name)])

    def delete_chain(self, name: str) -> Request:
        """Remove a chain that no rule names."""
        return self._request(_DELETE_CHAIN, 0, [attribute.text(1, self.name), attribute.text(3, name)])

    def add_rule(self, chain: str, expressions: list[bytes]) -> Request:
        """Put a rule at the end of a chain."""
        place = [attribute.text(1, self.name), attribute.text(2, chain)]
        rule = attribute.nested(4, expressions)
        return self._request(_NEW_RULE, message.CREATE | message.APPEND, place + [rule])

    def insert_rule(self, chain: str, expressions: list[bytes], before: int) -> Request:
        """Put a rule before the one of a number; refused if that is gone."""
        place = [attribute.text(1, self.name), attribute.text(2, chain)]
        rule = attribute.nested(4, expressions)
        number = attribute.raw(6, before.to_bytes(8, "big"))
        return self._request(_NEW_RULE, message.CREATE, place + [rule, number])

    def delete_rule(self, chain: str, handle: int) -> Request:
        """Remove the rule of a number."""
        place = [attribute.text(1, self.name), attribute.text(2, chain)]
        return self._request(_DELETE_RULE, 0, place + [attribute.raw(3, handle.to_bytes(8, "big"))])

    def flush_chain(self, chain: str) -> Request:
        """Remove all rules of a chain."""
        return self._request(_DELETE_RULE, 0, [attribute.text(1, self.name), attribute.text(2, chain)])

    def get_rules(self, chain: str | None = None) -> Request:
        """Ask for the list of the rules of a chain, or of all of the table."""
        of_chain = [] if chain is None else [attribute.text(2, chain)]
        return self._request(_GET_RULE, 0, [attribute.text(1, self.name)] + of_chain)

    def add_set(self, made: Set, number: int) -> Request:
        """Make a set, with a number of its own in the transaction; nothing if it is there."""
        parts = [
            attribute.text(1, self.name),
            attribute.text(2, made.name),
            attribute.be32(3, made.flags),
            attribute.be32(4, made.data_type),
            attribute.be32(5, made.size()),
            attribute.be32(10, number),
        ]
        if made.flags & CONCATENATED:
            fields = [attribute.nested(1, [attribute.be32(1, size)]) for size in made.fields]
            parts.append(attribute.nested(9, [attribute.nested(2, fields)]))
        return self._request(_NEW_SET, message.CREATE, parts)

    def get_set(self, name: str) -> Request:
        """Ask whether a set is there."""
        return self._request(_GET_SET, 0, [attribute.text(1, self.name), attribute.text(2, name)])

    def delete_set(self, name: str) -> Request:
        """Remove a set that no rule names."""
        return self._request(_DELETE_SET, 0, [attribute.text(1, self.name), attribute.text(2, name)])

    def add_elements(self, of: Set, elements: list[Element]) -> Request:
        """Put keys into a set; nothing for those that are there, refused if ranges overlap."""
        return self._request(_NEW_ELEMENTS, message.CREATE, self._elements(of, elements))

    def delete_elements(self, of: Set, elements: list[Element]) -> Request:
        """Take keys out of a set; refused if one is not there."""
        return self._request(_DELETE_ELEMENTS, 0, self._elements(of, elements))

    def flush_set(self, name: str) -> Request:
        """Take all keys out of a set."""
        return self._request(_DELETE_ELEMENTS, 0, [attribute.text(1, self.name), attribute.text(2, name)])

    def get_element(self, of: Set, key: bytes) -> Request:
        """Ask for the element that holds a key; refused (ENOENT) if none does."""
        return self._request(_GET_ELEMENTS, 0, self._elements(of, [Element(key)]))

    def get_elements(self, name: str) -> Request:
        """Ask for the list of a set's keys."""
        return self._request(_GET_ELEMENTS, 0, [attribute.text(1, self.name), attribute.text(2, name)])

    def _elements(self, of: Set, elements: list[Element]) -> list[bytes]:
        encoded = []
        for element in elements:
            encoded += _encode_element(element, of.flags)
        return [
            attribute.text(1, self.name),
            attribute.text(2, of.name),
            attribute.nested(3, encoded),
        ]

    def _request(self, kind: int, flags: int, parts: list[bytes]) -> Request:
        return Request(_SUBSYSTEM | kind, flags, self.family.to_bytes(_HEADER, "little") + b"".join(parts))


def transaction(changes: list[Request]) -> list[Request]:
    """Give the changes with what begins and ends a transaction."""
    header = (_SUBSYSTEM >> 8).to_bytes(_HEADER, "big")
    return [Request(_BEGIN, 0, header)] + changes + [Request(_END, 0, header)]


def get_chains(family: int) -> Request:
    """Ask for the list of all chains of a family's tables."""
    return Request(_SUBSYSTEM | _GET_CHAIN, 0, family.to_bytes(_HEADER, "little"))


def decode_use(told: Message) -> int:
    """Read how many chains, sets and the like are in a table; Malformed."""
    return attribute.big_number(attribute.read(told.body, _HEADER).get(3)) or 0


def decode_chain(told: Message) -> tuple[Table, Chain]:
    """Read a chain, and in which table it is; Malformed."""
    given = attribute.read(told.body, _HEADER)
    table = Table(told.body[0], attribute.words(given.get(1)) or "")
    hook = attribute.read(given.get(4, b""))
    return table, Chain(
        attribute.words(given.get(3)) or "",
        attribute.big_number(hook.get(1)),
        kind=attribute.words(given.get(7)) or "",
        accepts=attribute.big_number(given.get(5)) != 0,
    )


def decode_rule(told: Message) -> Rule:
    """Read a rule; Malformed."""
    given = attribute.read(told.body, _HEADER)
    expressions = []
    for _, data in attribute.items(given.get(4, b"")):
        one = attribute.read(data)
        expressions.append((attribute.words(one.get(1)) or "", one.get(2, b"")))
    handle = attribute.big_number(given.get(3)) or 0
    return Rule(handle, attribute.words(given.get(2)) or "", expressions)


def decode_elements(told: Message) -> list[Element]:
    """Read keys of a set; Malformed.

    Of ranges that are not put together, where they begin and where they have ended are keys of their own.
    """
    found = []
    listed = attribute.read(told.body, _HEADER).get(3, b"")
    for _, data in attribute.items(listed):
        given = attribute.read(data)
        key = attribute.read(given.get(1, b"")).get(1, b"")
        last = given.get(10)
        comment = given.get(6, b"")[2:]  # behind its kind, which is 0, and its length
        found.append(
            Element(
                key, None if last is None else attribute.read(last).get(1), attribute.words(comment) or ""
            )
        )
    return found


def _encode_element(element: Element, flags: int) -> list[bytes]:
    key = attribute.nested(1, [attribute.raw(1, element.key)])
    if element.comment:
        said = element.comment.encode() + b"\0"
        key += attribute.raw(6, bytes([0, len(said)]) + said)
    if element.last is None or not flags & INTERVAL:
        return [attribute.nested(1, [key])]
    if flags & CONCATENATED:
        last = attribute.nested(10, [attribute.raw(1, element.last)])
        return [attribute.nested(1, [key, last])]
    # Such a set holds where ranges begin and where they have ended; one to the highest key does not end.
    after = int.from_bytes(element.last, "big") + 1
    if after >> 8 * len(element.last):
        return [attribute.nested(1, [key])]
    end = attribute.nested(1, [attribute.raw(1, after.to_bytes(len(element.last), "big"))])
    return [attribute.nested(1, [key]), attribute.nested(1, [end, attribute.be32(3, _INTERVAL_END)])]
