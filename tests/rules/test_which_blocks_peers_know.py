"""Which peers an address of a new block waits for, and which addresses an answer of ipamd's gives."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from node_agent.pod_network.convergence import TRIES, Spreading, addresses_in
from tests.rules.values import table


@table(
    "heard, silent, waits_for",
    {
        "all that are reached": ((), {}, ["a", "b"]),
        "not one that sends to the block": (("a",), {}, ["b"]),
        "nor one that answers to nothing, so it is dead": ((), {"a": TRIES}, ["b"]),
        "but one that missed less": ((), {"a": TRIES - 1}, ["a", "b"]),
        "nobody once each is one of these": (("b",), {"a": TRIES}, []),
    },
)
def test_who_is_waited_for(heard: Sequence[str], silent: dict[str, int], waits_for: list[str]) -> None:
    block = Spreading(ip_network("10.64.0.64/26"), 0.0, set(heard), Counter(silent))

    assert block.waits_for({"a", "b"}) == waits_for


@pytest.mark.parametrize(
    ("prefix", "source"),
    [("10.64.0.64/26", "10.64.0.65"), ("fd00:64::40/122", "fd00:64::41"), ("10.64.0.7/32", "10.64.0.7")],
)
def test_peers_are_asked_from_an_address_of_the_block(prefix: str, source: str) -> None:
    assert Spreading(ip_network(prefix), 0.0).source == ip_address(source)


@table(
    "result, addresses",
    {
        "of a present version": (b'{"ips":[{"address":"10.64.0.7/32"},{"address":"fd00::7/128"}]}', 2),
        "of version 0.2.0": (b'{"ip4":{"ip":"10.64.0.7/26"},"ip6":{"ip":"fd00::7/122"}}', 2),
        "without any": (b'{"cniVersion":"1.1.0"}', 0),
    },
)
def test_which_addresses_a_result_gives(result: bytes, addresses: int) -> None:
    assert addresses_in(result) == [ip_address("10.64.0.7"), ip_address("fd00::7")][:addresses]


@pytest.mark.parametrize("result", [b"", b"[]", b'{"ips":[{"address":"here"}]}', b'{"ips":7}'])
def test_what_is_no_result_is_said_to_be_none(result: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        addresses_in(result)
