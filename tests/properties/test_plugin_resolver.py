"""The small resolver takes addresses from answers to its question and from nothing else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6

from hypothesis import given
from hypothesis import strategies as st

from cni_plugin import resolver

QUERY = resolver.question(0x1234, "ipamd.example", 1)


def answer(records: list[tuple[int, bytes]], flags: bytes = b"\x81\x80") -> bytes:
    written = [
        b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
        for kind, data in records
    ]
    counts = b"\0\1" + len(records).to_bytes(2, "big") + b"\0\0\0\0"
    return QUERY[:2] + flags + counts + QUERY[12:] + b"".join(written)


@given(st.lists(st.tuples(st.sampled_from([1, 5, 28]), st.binary(max_size=16)), max_size=6))
def test_the_addresses_of_the_kind_that_was_asked_for_are_taken(records: list[tuple[int, bytes]]) -> None:
    expected = [data for kind, data in records if kind == 1 and len(data) in (4, 16)]

    assert resolver.answers(answer(records), QUERY) == expected


@given(st.binary(max_size=60), st.integers(0, 60))
def test_no_message_breaks_the_reading(noise: bytes, kept: int) -> None:
    message = answer([(1, b"\x0a\0\0\1")])[:kept] + noise

    found = resolver.answers(message, QUERY)

    assert found is None or all(len(data) in (4, 16) for data in found)


@given(st.integers(0, 0xFFFF).filter(lambda number: number != 0x1234))
def test_an_answer_to_another_question_is_none(number: int) -> None:
    message = answer([(1, b"\x0a\0\0\1")])

    assert resolver.answers(number.to_bytes(2, "big") + message[2:], QUERY) is None
    assert resolver.answers(message.replace(b"ipamd", b"other"), QUERY) is None
    assert resolver.answers(answer([], b"\x81\x82"), QUERY) is None
    assert resolver.answers(QUERY, QUERY) is None


@given(st.lists(st.ip_addresses(), max_size=4), st.text(st.sampled_from("ab."), min_size=1, max_size=6))
def test_a_hosts_file_names_addresses(addresses: list[IPv4Address | IPv6Address], comment: str) -> None:
    lines = [f"{address} x host\ty # {comment} host" for address in addresses]
    lines += [f"192.0.2.1 other # {comment} host", "", "#", "nonsense host", "192.0.2.2"]

    found = resolver.in_hosts(lines, "host")

    expected = [(AF_INET if one.version == 4 else AF_INET6, str(one)) for one in addresses]
    assert sorted(found) == sorted(expected)


def test_the_search_list_comes_first_for_short_names() -> None:
    servers, search, dots = resolver.settings(
        ["search a.test b.test", "nameserver ::1", "options x ndots:2 y"]
    )

    assert (servers, search, dots) == ([(AF_INET6, "::1")], ["a.test", "b.test"], 2)
    assert resolver.candidates("ipamd.ns", search, dots) == ["ipamd.ns.a.test", "ipamd.ns.b.test", "ipamd.ns"]
    assert resolver.candidates("a.b.c", search, dots) == ["a.b.c", "a.b.c.a.test", "a.b.c.b.test"]
    assert resolver.candidates("rooted.", search, dots) == ["rooted"]
    assert resolver.settings([]) == ([(AF_INET, "127.0.0.1")], [], 1)
