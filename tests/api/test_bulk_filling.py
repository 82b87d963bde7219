"""A database that the benchmarks filled serves as if its allocations had been asked for one by one."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

import pytest

from benchmarks.fill import at_random, full_blocks
from benchmarks.filled import held, running_filled
from tests.api.plugin_call import call
from tests.service import IpamdProcess

FEW = IPv4Network("10.0.0.0/24")
LONG = IPv6Network("fd00:1::/64")
FREE = 3


@pytest.fixture(scope="module")
def filled() -> Iterator[IpamdProcess]:
    """A pool with three addresses left, and one with two full blocks."""
    fillings = [at_random("few", FEW, FREE), full_blocks("long", int(LONG[0]) + 64, 100, family=6)]
    with running_filled({"few": str(FEW), "long": str(LONG)}, fillings, pinned=False) as service:
        yield service


def test_just_what_is_left_of_a_filled_pool_is_given(filled: IpamdProcess) -> None:
    taken = filled.addresses(pool="few")

    answers = [
        filled.http.post("/v1/cni/add", json=call(f"new-{number}", ipam={"pools": ["few"]}))
        for number in range(FREE + 1)
    ]

    given = {answer.json()["ips"][0]["address"].split("/")[0] for answer in answers[:FREE]}
    assert len(taken) == 253 - FREE
    assert given | taken == {str(address) for address in list(FEW)[2:-1]}
    assert answers[FREE].json()["code"] == 100


def test_a_filled_ipv6_pool_goes_on_beside_what_is_taken(filled: IpamdProcess) -> None:
    answer = filled.http.post("/v1/cni/add", json=call("six", ipam={"pools": ["long"]}))

    assert answer.status_code == 200
    assert held(filled, "long") == 129
