"""What no pool may say, each field by itself: addresses that no host may have, and contradictions."""

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipamd.addressing.block import effective_block_length
from ipamd.addressing.gateway import default_gateway
from ipamd.engine.administration.statements import objections, validate_edit, validate_reservation
from ipamd.models.address import AddressRange
from ipamd.models.errors import InvalidValue
from ipamd.models.host_address import why_no_host
from ipamd.models.pool import Dns, Pool, Route
from ipamd.models.reservation import Reservation

NOBODYS = [
    *("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.254", "255.255.255.255"),
    *("::", "::1", "::7", "::10.0.0.1", "ff02::1", "ff05::2", "ffff::1"),
]
SOMEBODYS = [
    *("1.0.0.1", "126.255.255.255", "128.0.0.1", "223.255.255.254", "169.254.1.1", "192.0.2.1", "100.64.0.1"),
    *("::1:0:0:1", "64:ff9b::1", "fe80::1", "fd00::", "2001:db8::1", "fec0::1"),
]


def pool(
    subnet: str, *, gateway: str | None = "", on_link: bool = False, routes: tuple[Route, ...] = ()
) -> Pool:
    network = ip_network(subnet)
    return Pool(
        name="p",
        subnet=network,
        gateway=default_gateway(network) if gateway == "" else (gateway and ip_address(gateway)) or None,
        gateway_on_link=on_link,
        routes=routes,
        block_length=effective_block_length(network),
    )


def said(stated: Pool) -> list[str]:
    return [f"{field}: {why}" for field, why in objections(stated)]


@pytest.mark.parametrize("text", NOBODYS)
def test_an_address_that_no_host_may_have_is_refused_wherever_it_is_stated(text: str) -> None:
    address = ip_address(text)
    alone = AddressRange(address, address)
    within = "10.0.0.0/24" if address.version == 4 else "fd00::/64"

    as_gateway = pool(within, gateway=text, on_link=True)
    as_hop = pool(
        within, routes=(Route(ip_network("10.1.0.0/16" if address.version == 4 else "fd01::/64"), address),)
    )
    as_resolver = replace(pool(within), dns=Dns((text,)))
    as_subnet = pool(str(ip_network(text)))

    for stated, field in (
        (as_gateway, "gateway"),
        (as_hop, "routes"),
        (as_resolver, "dns.nameservers"),
        (as_subnet, "subnet"),
    ):
        found = said(stated)
        assert found and found[0].startswith(f"{field}: ")
        assert "no host may have" in found[0]
    with pytest.raises(InvalidValue, match="no host may have"):
        validate_reservation(Reservation(id=0, addresses=alone, owner="vm"))


@pytest.mark.parametrize("text", SOMEBODYS)
def test_every_other_address_may_be_stated(text: str) -> None:
    address = ip_address(text)

    assert why_no_host(AddressRange(address, address)) is None
    assert said(replace(pool(str(ip_network(text))), dns=Dns((text,)))) == []


@pytest.mark.parametrize(
    ("subnet", "why"),
    [
        ("0.0.0.0/0", "0.0.0.0/0 holds 224.0.0.0/4, multicast"),
        ("0.0.0.0/8", "lies in 0.0.0.0/8, this network"),
        ("126.0.0.0/7", "holds 127.0.0.0/8, loopback"),
        ("127.8.0.0/24", "lies in 127.0.0.0/8, loopback"),
        ("192.0.0.0/2", "holds 224.0.0.0/4, multicast"),
        ("224.5.0.0/24", "lies in 224.0.0.0/4, multicast"),
        ("240.0.0.0/24", "lies in 240.0.0.0/4, reserved"),
        ("::/0", "holds ff00::/8, multicast"),
        ("::/64", "holds ::/96"),
        ("::1/128", "::1 is loopback"),
        ("ff05::/64", "lies in ff00::/8, multicast"),
        ("8000::/1", "holds ff00::/8, multicast"),
    ],
)
def test_a_subnet_that_meets_such_addresses_is_refused(subnet: str, why: str) -> None:
    [first, *_] = said(pool(subnet))

    assert first.startswith("subnet: ")
    assert why in first


@st.composite
def prefixes(draw: st.DrawFn) -> IPv4Network | IPv6Network:
    width = draw(st.sampled_from([32, 128]))
    value, length = draw(st.integers(0, (1 << width) - 1)), draw(st.integers(0, width))
    made = IPv4Network if width == 32 else IPv6Network
    return made((value, length), strict=False)


@given(prefixes())
def test_a_prefix_is_refused_where_the_standard_library_knows_an_end_of_it_as_nobodys(
    network: IPv4Network | IPv6Network,
) -> None:
    ends = network[0], network[-1]

    if any(each.is_multicast or each.is_loopback or each.is_unspecified for each in ends):
        assert why_no_host(AddressRange(*ends)) is not None


@pytest.mark.parametrize(
    ("subnet", "gateway", "why"),
    [
        ("10.40.1.0/24", "10.40.1.255", "10.40.1.255 is the broadcast address of 10.40.1.0/24"),
        ("10.40.1.0/24", "10.40.1.0", "10.40.1.0 is the network address of 10.40.1.0/24"),
        ("10.40.1.0/30", "10.40.1.3", "is the broadcast address of 10.40.1.0/30"),
        ("10.40.0.0/16", "10.40.1.255", None),
        ("10.40.1.0/31", "10.40.1.0", None),
        ("10.40.1.0/31", "10.40.1.1", None),
        ("10.40.1.7/32", "10.40.1.7", None),
        ("fd00::/64", "fd00::", None),  # routers answer to it (RFC 4291, 2.6.1)
        ("fd00::/64", "fd00::ffff:ffff:ffff:ffff", None),
        ("10.40.1.0/24", "10.40.2.1", "is outside the subnet 10.40.1.0/24: say gateway_on_link"),
        ("192.0.2.77/32", "192.0.2.1", "is outside"),
        ("2001:db8:5:333::/64", "2001:db8:5::1", "is outside"),
        ("10.40.1.0/24", "169.254.1.1", None),
        ("fd00::/64", "fe80::1", None),
        ("fd00::/64", "10.0.0.1", "is not IPv6 as the subnet is"),
    ],
)
def test_a_gateway_is_judged_by_its_subnet(subnet: str, gateway: str, why: str | None) -> None:
    found = said(pool(subnet, gateway=gateway))

    assert found == [] if why is None else why in found[0]


@pytest.mark.parametrize(
    ("subnet", "gateway"),
    [("192.0.2.77/32", "192.0.2.1"), ("2001:db8:5:333::/64", "2001:db8:5::1"), ("10.40.1.0/24", "10.40.1.1")],
)
def test_a_gateway_on_the_link_may_be_anywhere(subnet: str, gateway: str) -> None:
    assert said(pool(subnet, gateway=gateway, on_link=True)) == []


def test_a_gateway_on_the_link_must_be_named() -> None:
    assert said(pool("192.0.2.77/32", on_link=True)) == [
        "gateway_on_link: there is no gateway: name it, or leave this out"
    ]


@pytest.mark.parametrize("gw", ["10.40.1.0", "10.40.1.255"])
def test_no_route_goes_through_the_network_or_broadcast_address(gw: str) -> None:
    [why] = said(pool("10.40.1.0/24", routes=(Route(ip_network("10.9.0.0/16"), ip_address(gw)),)))

    assert why.startswith("routes: gw of 10.9.0.0/16: ")


def test_of_a_table_and_priority_a_pool_has_one_route_to_a_destination() -> None:
    everything = ip_network("0.0.0.0/0")
    by = [Route(everything, ip_address(f"10.0.0.{at}")) for at in (1, 2)]

    assert (
        said(pool("10.0.0.0/24", routes=(by[0], replace(by[1], table=100), replace(by[1], priority=7)))) == []
    )
    for twice in (by[1], replace(by[1], table=254), replace(by[1], priority=0)):
        assert ["comes twice" in why for why in said(pool("10.0.0.0/24", routes=(by[0], twice)))] == [True]


def test_what_an_older_ipamd_took_may_stay_while_other_fields_change_and_may_not_be_stated_anew() -> None:
    old = replace(pool("224.5.0.0/24", gateway="224.5.0.255"), dns=Dns(("0.0.0.0",)))

    validate_edit(old, replace(old, cooldown=5))
    validate_edit(old, replace(old, gateway=None))
    with pytest.raises(InvalidValue, match=r"gateway: .* is the network address"):
        validate_edit(old, replace(old, gateway=ip_address("224.5.0.0")))
    with pytest.raises(InvalidValue, match=r"dns\.nameservers"):
        validate_edit(old, replace(old, dns=Dns(("0.0.0.0", "127.0.0.1"))))
    with pytest.raises(InvalidValue, match="subnet"):
        validate_edit(old, replace(old, subnet=ip_network("224.5.0.0/23")))
