"""Whatever is encoded is decoded to the same; and no bytes break the reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from netlink import address, attribute, family, link, message, neighbour, nftables, route
from netlink.attribute import Malformed
from netlink.message import Message, Request
from tests.netlink_values import said_by

indexes = st.integers(1, 2**31 - 1)
numbers = st.integers(0, 2**32 - 1)
macs = st.binary(min_size=6, max_size=6)
names = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=15)
addresses = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def told(request: Request) -> Message:
    """The request as if the kernel had said it, by way of the bytes that are sent."""
    [one] = message.decode(message.encode(request, 1))
    return one


@given(
    st.builds(
        link.Link,
        names,
        indexes,
        maybe(macs),
        maybe(numbers),
        maybe(numbers),
        maybe(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50)),
        maybe(indexes),
        st.booleans(),
        maybe(indexes),
        generation=maybe(st.integers(0, 3)),
    )
)
def test_links(made: link.Link) -> None:
    assert said_by(link.decode(told(link.create(made)))) == said_by(made)


@given(
    st.builds(address.Address, indexes, addresses, st.integers(0, 32), numbers, st.integers(0, 255)),
)
def test_addresses(made: address.Address) -> None:
    assert said_by(address.decode(told(address.add(made)))) == said_by(made)


@given(st.builds(neighbour.Neighbour, indexes, addresses, maybe(macs), st.integers(0, 0xFFFF)))
def test_neighbours(made: neighbour.Neighbour) -> None:
    assert said_by(neighbour.decode(told(neighbour.put(made)))) == said_by(made)


@given(
    st.builds(
        route.Route,
        addresses,
        st.integers(1, 32),
        maybe(indexes),
        maybe(addresses),
        st.sampled_from([0, 253, 254]),
        maybe(addresses),
        numbers,
        maybe(numbers),
        maybe(numbers),
        maybe(numbers),
        numbers,
        st.integers(0, 255),
        st.integers(1, 11),
    )
)
def test_routes(made: route.Route) -> None:
    assert said_by(route.decode(told(route.add(made)))) == said_by(made)


@given(st.lists(st.tuples(st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8)), max_size=9))
def test_elements_of_pairs(keys: list[tuple[bytes, bytes]]) -> None:
    pairs = nftables.Set("s", [4, 4], nftables.INTERVAL | nftables.CONCATENATED)
    table = nftables.Table(nftables.INET, "t")
    elements = [nftables.Element(key, last) for key, last in keys]

    read = nftables.decode_elements(told(table.add_elements(pairs, elements)))

    assert [(one.key, one.last) for one in read] == keys


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=20)), max_size=9))
def test_attributes_come_back_in_their_order(pairs: list[tuple[int, bytes]]) -> None:
    data = b"".join(attribute.raw(kind, value) for kind, value in pairs)

    assert len(data) % 4 == 0
    assert attribute.items(data) == pairs


@given(st.lists(st.tuples(numbers, st.binary(max_size=30)), min_size=1, max_size=9))
def test_messages_come_back_in_their_order(given: list[tuple[int, bytes]]) -> None:
    data = b"".join(message.encode(Request(16, 0, body), sequence) for sequence, body in given)

    assert [(one.sequence, one.body) for one in message.decode(data)] == given


READERS: list[Callable[[Message], object]] = [
    link.decode,
    address.decode,
    neighbour.decode,
    route.decode,
    nftables.decode_elements,
]


@given(st.binary(max_size=200), st.sampled_from(READERS))
def test_noise_is_malformed_or_a_value(noise: bytes, read: Callable[[Message], object]) -> None:
    try:
        read(Message(16, 0, 1, noise))
    except (Malformed, UnicodeDecodeError):
        return


@given(st.binary(max_size=200))
def test_noise_in_place_of_messages_is_malformed_or_messages(noise: bytes) -> None:
    try:
        for one in message.decode(noise):
            message.refusal(one)
    except (Malformed, UnicodeDecodeError):
        return


def test_the_family_is_told_by_the_length() -> None:
    assert (family.of(bytes(4)), family.of(bytes(16))) == (family.IPV4, family.IPV6)
