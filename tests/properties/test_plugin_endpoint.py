"""Endpoints are read as URLs are, and secrets stay on this machine or encrypted."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from hypothesis import assume, given
from hypothesis import strategies as st

from cni_plugin import endpoint

ADDRESSES = st.ip_addresses()
PORTS = st.integers(1, 65535)
LABELS = st.from_regex(r"[a-z]([a-z0-9\-]{0,8}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
NEARLY = st.text(st.sampled_from("htps:/unix@?#[]%.0127abz -\n\u00fc"), max_size=24)


def bracketed(address: IPv4Address | IPv6Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)


@given(st.sampled_from(["http", "https"]), ADDRESSES.map(bracketed) | NAMES, PORTS | st.none(), st.booleans())
def test_host_port_and_prefix_are_the_urls(scheme: str, host: str, port: int | None, prefix: bool) -> None:
    text = f"{scheme}://{host}" + (f":{port}" if port else "") + ("/a/b/" if prefix else "")

    read = endpoint.parse(text)

    url = urlsplit(text)
    assert (read.scheme, read.host) == (url.scheme, url.hostname)
    assert read.port == (port or {"http": 80, "https": 443}[scheme])
    assert read.authority == url.netloc
    assert read.path == ("/a/b" if prefix else "")


@given(ADDRESSES.map(bracketed) | NAMES, st.sampled_from(["http", "https"]))
def test_secrets_are_kept_from_the_open_network(host: str, scheme: str) -> None:
    try:
        loopback = ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = host == "localhost"

    assert endpoint.parse(f"{scheme}://{host}").keeps_secrets() == (loopback or scheme == "https")


@given(NEARLY | st.text(max_size=20).map(lambda rest: "http://" + rest))
def test_whatever_is_accepted_can_be_asked(text: str) -> None:
    try:
        read = endpoint.parse(text)
    except ValueError:
        return
    if read.scheme == "unix":
        assert read.path.startswith("/")
        assert "\0" not in read.path
    else:
        assert read.host
        assert 0 < read.port < 65536
        assert (read.authority + read.path).isascii()
        assert not set(read.authority + read.path) & set(" \r\n\t?#@")


@given(st.tuples(*[st.integers(0, 300)] * 4), st.integers(0, 3), st.booleans())
def test_an_ipv4_address_has_one_form(parts: tuple[int, ...], place: int, padded: bool) -> None:
    words = [str(part) for part in parts]
    if padded:
        words[place] = "0" + words[place]
    text = ".".join(words)

    try:
        expected = str(IPv4Address(text)) == text
    except ValueError:
        expected = False

    assert endpoint.is_ipv4(text) == expected


@given(st.text(max_size=10))
def test_anything_else_has_no_scheme_of_ours(text: str) -> None:
    assume(not text.startswith(("http://", "https://", "unix://")))
    try:
        endpoint.parse(text)
    except ValueError as problem:
        assert "must begin with" in str(problem)
    else:
        raise AssertionError(text)
