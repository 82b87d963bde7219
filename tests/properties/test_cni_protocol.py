"""Whatever the bytes are, the answer is a request or an error object; whatever is granted, a result."""

import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from ipamd.cni.additions import Additions
from ipamd.cni.error import CniError
from ipamd.cni.request import read_add, read_check, read_del, read_gc, read_status
from ipamd.cni.result import Results
from ipamd.cni.version import VERSIONS
from ipamd.models.outcome import Grant, Granted
from ipamd.models.pool import Dns, Pool, Route

READERS = (read_add, read_check, read_del, read_gc, read_status)

texts = some.one_of(
    some.text(max_size=20),
    some.sampled_from(["10.0.0.5", "fd00::1", "10.0.0.5/24", "a,b", '["a"]', "eth0", "pods", "IP=10.0.0.9"]),
    some.sampled_from(VERSIONS),
)
KNOWN_KEYS = (
    "ips cni pools routes dns dst gw nameservers boot uptime_ns address ip containerID ifname "
    "io.kubernetes.cri.pod-annotations ipamd.io/pools ipamd.io/addresses"
)
OPTIONAL_KEYS = "args netns_id cluster issued delivered undo spooled timeout x"

keys = texts | some.sampled_from(KNOWN_KEYS.split())
values = some.recursive(
    some.one_of(some.none(), some.booleans(), some.integers(), some.floats(), texts),
    lambda inner: some.one_of(some.lists(inner, max_size=4), some.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
configurations = some.fixed_dictionaries(
    {"name": some.just("pods") | values, "cniVersion": some.sampled_from(VERSIONS) | values},
    optional={
        "ipam": values
        | some.fixed_dictionaries({}, optional={"pools": values, "routes": values, "dns": values}),
        "runtimeConfig": values,
        "args": values,
        "prevResult": values,
        "cni.dev/valid-attachments": values,
    },
)
calls = some.fixed_dictionaries(
    {
        "container_id": some.just("c1") | values,
        "netns": some.just("/run/netns/c1") | values,
        "ifname": some.just("eth0") | values,
        "path": some.just("/opt/cni/bin") | values,
        "node": some.just("n1") | values,
        "config": configurations | values,
    },
    optional=dict.fromkeys(
        ("args", "netns_id", "cluster", "issued", "delivered", "undo", "spooled", "timeout", "x"), values
    ),
)


def answer(read: Any, raw: bytes) -> None:
    """Read a call; where it is refused, its error object must be one that every reader takes."""
    try:
        read(raw)
    except CniError as error:
        document = json.loads(error.encode())
        assert document["code"] == error.code
        assert document["cniVersion"] in VERSIONS
        assert isinstance(document["msg"], str)
        assert 400 <= error.status < 500


@pytest.mark.parametrize("read", READERS)
@given(raw=some.binary(max_size=200))
def test_any_bytes_are_refused_in_words(read: Any, raw: bytes) -> None:
    answer(read, raw)


@pytest.mark.parametrize("read", READERS)
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(call=calls)
def test_any_json_is_read_or_refused_in_words(read: Any, call: Any) -> None:
    answer(read, json.dumps(call).encode())


v4 = some.integers(0, 2**32 - 1).map(IPv4Address)
v6 = some.integers(0, 2**128 - 1).map(IPv6Address)
addresses = v4 | v6
numbers = some.none() | some.integers(0, 2**32 - 1)


@some.composite
def networks(draw: some.DrawFn) -> IPv4Network | IPv6Network:
    address = draw(addresses)
    length = draw(some.integers(0, address.max_prefixlen))
    if isinstance(address, IPv4Address):
        return IPv4Network((address, length), strict=False)
    return IPv6Network((address, length), strict=False)


routes = some.builds(
    Route, networks(), some.none() | addresses, numbers, numbers, numbers, numbers, some.integers(0, 255)
)
words = some.lists(some.text(min_size=1, max_size=9), max_size=3).map(tuple)
dns = some.builds(Dns, words, some.none() | some.text(min_size=1, max_size=9), words, words)


@some.composite
def grants(draw: some.DrawFn) -> Grant:
    subnet = draw(networks())
    pool = Pool(
        name="p",
        subnet=subnet,
        gateway=draw(some.none() | addresses),
        routes=tuple(draw(some.lists(routes, max_size=3))),
        dns=draw(dns),
        block_length=subnet.max_prefixlen,
    )
    return Grant(subnet[draw(some.integers(0, subnet.num_addresses - 1))], pool)


@given(
    granted=some.lists(grants(), min_size=1, max_size=4),
    own_routes=some.lists(routes, max_size=3),
    own_dns=dns,
    version=some.sampled_from(VERSIONS),
)
def test_a_result_has_the_version_that_was_asked_for_and_every_address(
    granted: list[Grant], own_routes: list[Route], own_dns: Dns, version: str
) -> None:
    outcome = Granted(tuple(granted), repeated=False)
    families = [grant.address.version for grant in granted]
    too_many = version in ("0.1.0", "0.2.0") and len(families) > len(set(families))

    try:
        result = json.loads(Results(Additions(tuple(own_routes), own_dns)).encode(outcome, version))
    except CniError as error:
        assert too_many
        assert error.code == 7
        return

    assert not too_many
    assert result["cniVersion"] == version
    told = [ip["address"] for ip in result.get("ips", [])]
    told += [result[family]["ip"] for family in ("ip4", "ip6") if family in result]
    assert sorted(told) == sorted(f"{each.address}/{each.pool.subnet.prefixlen}" for each in granted)
