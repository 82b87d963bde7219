"""Results of an ADD in every version of the specification."""

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from ipamd.cni.additions import Additions
from ipamd.cni.error import CniError
from ipamd.cni.result import MOST_FORMS, Results
from ipamd.cni.version import VERSIONS
from ipamd.models.outcome import Grant, Granted
from ipamd.models.pool import Dns, Pool, Route

DEFAULT_ROUTE = Route(ip_network("0.0.0.0/0"))
TUNED_ROUTE = Route(
    ip_network("fd01::/64"), ip_address("fd00::9"), mtu=1400, advmss=1360, priority=7, table=100, scope=0
)
V4 = Pool(
    name="v4",
    subnet=ip_network("10.0.0.0/16"),
    gateway=ip_address("10.0.0.1"),
    routes=(DEFAULT_ROUTE,),
    dns=Dns(nameservers=("10.0.0.53",), domain="pool.example"),
    block_length=26,
)
V6 = Pool(name="v6", subnet=ip_network("fd00::/64"), routes=(TUNED_ROUTE,), block_length=122)
BOTH = Granted((Grant(ip_address("10.0.0.5"), V4), Grant(ip_address("fd00::5"), V6)), repeated=False)


def decoded(granted: Granted, version: str, results: Results | None = None) -> Any:
    return json.loads((results or Results(Additions())).encode(granted, version))


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_before_0_3_0_a_result_has_an_object_for_each_family(version: str) -> None:
    assert decoded(BOTH, version) == {
        "cniVersion": version,
        "ip4": {"ip": "10.0.0.5/16", "gateway": "10.0.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
        "ip6": {"ip": "fd00::5/64", "routes": [{"dst": "fd01::/64", "gw": "fd00::9"}]},
        "dns": {"nameservers": ["10.0.0.53"], "domain": "pool.example"},
    }


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0"])
def test_up_to_0_4_0_each_address_names_its_family(version: str) -> None:
    assert decoded(BOTH, version) == {
        "cniVersion": version,
        "ips": [
            {"version": "4", "address": "10.0.0.5/16", "gateway": "10.0.0.1"},
            {"version": "6", "address": "fd00::5/64"},
        ],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "fd01::/64", "gw": "fd00::9"}],
        "dns": {"nameservers": ["10.0.0.53"], "domain": "pool.example"},
    }


def test_1_0_0_leaves_out_the_family_and_the_numbers_of_routes() -> None:
    result = decoded(BOTH, "1.0.0")

    assert result["ips"] == [
        {"address": "10.0.0.5/16", "gateway": "10.0.0.1"},
        {"address": "fd00::5/64"},
    ]
    assert result["routes"] == [{"dst": "0.0.0.0/0"}, {"dst": "fd01::/64", "gw": "fd00::9"}]


def test_1_1_0_has_the_numbers_of_routes() -> None:
    tuned = {"mtu": 1400, "advmss": 1360, "priority": 7, "table": 100, "scope": 0}

    assert decoded(BOTH, "1.1.0")["routes"][1] == {"dst": "fd01::/64", "gw": "fd00::9", **tuned}


@pytest.mark.parametrize("version", VERSIONS)
def test_no_result_has_interfaces(version: str) -> None:
    assert b"interface" not in Results(Additions()).encode(BOTH, version)


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_before_0_3_0_two_addresses_of_a_family_are_an_error(version: str) -> None:
    twice = Granted((Grant(ip_address("10.0.0.5"), V4), Grant(ip_address("10.0.0.6"), V4)), repeated=False)

    with pytest.raises(CniError) as caught:
        Results(Additions()).encode(twice, version)

    assert (caught.value.code, caught.value.version) == (7, version)
    assert "at most one IPv4 address" in caught.value.message


def test_the_routes_of_a_configuration_come_after_those_of_the_pools_and_none_comes_twice() -> None:
    own = Route(ip_network("192.0.2.0/24"), ip_address("10.0.0.7"))
    twice = Granted((*BOTH.grants, Grant(ip_address("10.0.0.6"), V4)), repeated=False)

    routes = decoded(twice, "1.0.0", Results(Additions(routes=(own, DEFAULT_ROUTE))))["routes"]

    assert [route["dst"] for route in routes] == ["0.0.0.0/0", "fd01::/64", "192.0.2.0/24"]


def test_the_dns_of_a_configuration_is_added_and_its_domain_wins() -> None:
    own = Dns(nameservers=("10.0.0.53", "10.0.0.54"), domain="own.example", options=("ndots:5",))

    assert decoded(BOTH, "1.1.0", Results(Additions(dns=own)))["dns"] == {
        "nameservers": ["10.0.0.53", "10.0.0.54"],
        "domain": "own.example",
        "options": ["ndots:5"],
    }


def test_what_a_pool_does_not_say_is_left_out() -> None:
    bare = Pool(name="bare", subnet=ip_network("192.0.2.0/31"), block_length=31)
    granted = Granted((Grant(ip_address("192.0.2.1"), bare),), repeated=False)

    assert decoded(granted, "1.1.0") == {"cniVersion": "1.1.0", "ips": [{"address": "192.0.2.1/31"}]}


def test_what_one_result_says_of_its_pool_is_not_said_of_another() -> None:
    results = Results(Additions())
    moved = replace(V4, gateway=ip_address("10.0.0.2"), dns=Dns(options=("a%sb", "100%")))
    prefix = Grant(ip_address("10.0.0.64"), V4, 28)

    first = decoded(Granted((Grant(ip_address("10.0.0.5"), V4),), repeated=False), "1.0.0", results)
    other = decoded(Granted((Grant(ip_address("10.0.0.6"), moved),), repeated=False), "1.0.0", results)
    again = decoded(Granted((Grant(ip_address("10.0.0.7"), V4),), repeated=False), "0.4.0", results)
    whole = decoded(Granted((prefix, Grant(ip_address("10.0.0.8"), V4)), repeated=False), "1.0.0", results)

    assert first["ips"] == [{"address": "10.0.0.5/16", "gateway": "10.0.0.1"}]
    assert other["ips"] == [{"address": "10.0.0.6/16", "gateway": "10.0.0.2"}]
    assert other["dns"] == {"options": ["a%sb", "100%"]}
    assert again["ips"] == [{"version": "4", "address": "10.0.0.7/16", "gateway": "10.0.0.1"}]
    assert (whole["ips"][0]["address"], whole["ipamd.io/prefixes"]) == ("10.0.0.8/16", ["10.0.0.64/28"])


def test_a_result_follows_pools_that_change_again_and_again() -> None:
    results = Results(Additions())

    for number in range(2, 200):
        pool = replace(V4, gateway=ip_address(f"10.0.0.{number}"))
        result = decoded(Granted((Grant(ip_address("10.0.1.1"), pool),), repeated=False), "1.0.0", results)
        assert result["ips"] == [{"address": "10.0.1.1/16", "gateway": f"10.0.0.{number}"}]

    assert len(results.forms) <= MOST_FORMS
