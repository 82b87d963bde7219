"""Results of IPAM plugins, read and written by the main plugin in every version of the specification."""

import json
from typing import Any

import pytest

from cni_plugin.versions import VERSIONS
from veth_plugin import address
from veth_plugin.decoding import Malformed, decode
from veth_plugin.encoding import Inexpressible, encode
from veth_plugin.result import Address, Dns, Interface, Result, Route

Document = dict[str, Any]

BY_FAMILY = VERSIONS[:2]
WITH_FAMILY = VERSIONS[2:5]
DNS = {"nameservers": ["10.0.0.53"], "domain": "pods.example", "search": ["example"], "options": ["ndots:2"]}
NUMBERS = {"mtu": 1400, "advmss": 1360, "priority": 7, "table": 100, "scope": 253}
HOST: Document = {"name": "vethhost", "mac": "02:00:00:00:00:01"}
INSIDE: Document = {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/web"}


def dual_stack(version: str) -> Document:
    """The same result, as each version says it."""
    if version in BY_FAMILY:
        return {
            "cniVersion": version,
            "ip4": {
                "ip": "10.0.0.5/16",
                "gateway": "10.0.0.1",
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.0.0.9"}],
            },
            "ip6": {"ip": "fd00::5/64", "routes": [{"dst": "::/0", "gw": "fe80::1"}]},
            "dns": DNS,
        }
    numbers = NUMBERS if version == "1.1.0" else {}
    mtu = {"mtu": 1450} if version == "1.1.0" else {}
    families: list[Document] = [{"version": "4"}, {"version": "6"}] if version in WITH_FAMILY else [{}, {}]
    return {
        "cniVersion": version,
        "interfaces": [{**HOST, **mtu}, {**INSIDE, **mtu}],
        "ips": [
            {**families[0], "interface": 1, "address": "10.0.0.5/16", "gateway": "10.0.0.1"},
            {**families[1], "interface": 1, "address": "fd00::5/64"},
        ],
        "routes": [
            {"dst": "0.0.0.0/0"},
            {"dst": "10.9.0.0/16", "gw": "10.0.0.9", **numbers},
            {"dst": "::/0", "gw": "fe80::1"},
        ],
        "dns": DNS,
    }


def values(version: str) -> Result:
    """The same as plain values; what a version cannot say is not in it."""
    numbers = NUMBERS if version == "1.1.0" else {}
    mtu = 1450 if version == "1.1.0" else 0
    position = None if version in BY_FAMILY else 1
    interfaces = [
        Interface("vethhost", "02:00:00:00:00:01", "", mtu),
        Interface("eth0", "02:00:00:00:00:02", "/run/netns/web", mtu),
    ]
    return Result(
        [] if version in BY_FAMILY else interfaces,
        [
            Address(address.parse("10.0.0.5"), 16, address.parse("10.0.0.1"), position),
            Address(address.parse("fd00::5"), 64, None, position),
        ],
        [
            Route(bytes(4), 0),
            Route(address.parse("10.9.0.0"), 16, address.parse("10.0.0.9"), numbers),
            Route(bytes(16), 0, address.parse("fe80::1")),
        ],
        Dns(["10.0.0.53"], "pods.example", ["example"], ["ndots:2"]),
    )


def plain(value: object) -> object:
    """A value and all that is in it, for comparing."""
    if isinstance(value, (Address, Dns, Interface, Result, Route)):
        return {key: plain(member) for key, member in vars(value).items()}
    return [plain(member) for member in value] if isinstance(value, list) else value


@pytest.mark.parametrize("version", VERSIONS)
def test_a_result_of_every_version_becomes_the_same_plain_values(version: str) -> None:
    assert plain(decode(dual_stack(version))) == plain(values(version))


@pytest.mark.parametrize("version", VERSIONS)
def test_plain_values_are_written_in_the_version_that_was_asked_for(version: str) -> None:
    everything = values("1.1.0")

    assert json.loads(encode(everything, version)) == dual_stack(version)


def test_without_a_version_a_result_is_of_0_1_0() -> None:
    for unversioned in ({}, {"cniVersion": ""}):
        result = decode({**unversioned, "ip4": {"ip": "10.0.0.5/16"}})

        assert [(address.text(each.address), each.length) for each in result.addresses] == [("10.0.0.5", 16)]


def test_a_delegate_may_answer_in_an_older_version_than_it_was_asked_in() -> None:
    result = decode(dual_stack("0.2.0"))
    written = json.loads(encode(result, "1.0.0"))

    assert [entry["address"] for entry in written["ips"]] == ["10.0.0.5/16", "fd00::5/64"]
    assert [route["dst"] for route in written["routes"]] == ["0.0.0.0/0", "10.9.0.0/16", "::/0"]


def test_before_0_3_0_nothing_can_say_two_addresses_of_a_family() -> None:
    two = Result([], [Address(bytes([10, 0, 0, last]), 16) for last in (5, 6)], [], Dns())

    with pytest.raises(Inexpressible, match="one IPv4 address at most, not 2"):
        encode(two, "0.2.0")
    assert len(json.loads(encode(two, "0.3.0"))["ips"]) == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    {
        "version": ({"cniVersion": "2.0.0"}, 'cniVersion is not supported: "2.0.0"'),
        "ips": ({"ips": {}}, "ips is not a list: an object"),
        "entry": ({"ips": ["10.0.0.5/16"]}, 'ips[0] is not an object: "10.0.0.5/16"'),
        "no address": ({"ips": [{}]}, "ips[0].address is not ADDRESS/LENGTH: null"),
        "text": ({"ips": [{"address": "ten/8"}]}, 'ips[0].address is not an address: "ten/8"'),
        "length": ({"ips": [{"address": "10.0.0.5"}]}, 'ips[0].address has no prefix length: "10.0.0.5"'),
        "sign": ({"ips": [{"address": "10.0.0.5/+8"}]}, 'ips[0].address has no prefix length: "10.0.0.5/+8"'),
        "too long": (
            {"ips": [{"address": "10.0.0.5/33"}]},
            'ips[0].address has a prefix length beyond its family\'s: "10.0.0.5/33"',
        ),
        "families": (
            {"ips": [{"address": "10.0.0.5/16", "gateway": "fd00::1"}]},
            'ips[0].gateway is of the other family: "fd00::1"',
        ),
        "position": (
            {"ips": [{"address": "10.0.0.5/16", "interface": "1"}]},
            'ips[0].interface is not the position of an interface: "1"',
        ),
        "host-local's route without dst": (
            {"routes": [{"dst": "<nil>"}]},
            'routes[0].dst is not an address: "<nil>"',
        ),
        "route's gateway": (
            {"routes": [{"dst": "::/0", "gw": "fd00::/64"}]},
            'routes[0].gw is not an address: "fd00::/64"',
        ),
        "route's number": (
            {"routes": [{"dst": "::/0", "mtu": -1}]},
            "routes[0].mtu is not a number up to 4294967295: -1",
        ),
        "true is no number": (
            {"routes": [{"dst": "::/0", "table": True}]},
            "routes[0].table is not a number up to 4294967295: true",
        ),
        "dns": ({"dns": {"nameservers": "10.0.0.53"}}, 'dns.nameservers is not a list of texts: "10.0.0.53"'),
        "domain": ({"dns": {"domain": 5}}, "dns.domain is not a text: 5"),
        "interface": ({"interfaces": [{"name": 5}]}, "interfaces[0].name is not a text: 5"),
    }.values(),
)
def test_what_is_no_result_is_refused_with_its_place_and_value(wrong: Document, said: str) -> None:
    with pytest.raises(Malformed) as refusal:
        decode({"cniVersion": "1.1.0", **wrong})

    assert str(refusal.value) == said
