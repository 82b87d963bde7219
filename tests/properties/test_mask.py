"""What a pool may hand out, against a plain reading of its rules, address by address."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipamd.addressing.block import effective_block_length
from ipamd.addressing.gateway import default_gateway
from ipamd.addressing.mask import Mask
from ipamd.models.address import AddressRange, IPAddress, IPNetwork
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation

SUBNETS = ["10.1.2.0/26", "10.1.2.64/29", "10.1.2.8/30", "10.1.2.2/31", "10.1.2.9/32", "fd00:1::/121",
           "fd00:1::10/125", "fd00:1::8/126", "fd00:1::2/127", "fd00:1::9/128"]  # fmt: skip


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    subnet = ip_network(draw(st.sampled_from(SUBNETS)))
    gateway = draw(st.sampled_from([default_gateway(subnet), None, subnet[-1]]))
    return Pool(
        name="p",
        subnet=subnet,
        ranges=tuple(draw(st.lists(parts(subnet), max_size=3))),
        exclusions=tuple(draw(st.lists(parts(subnet), max_size=3))),
        gateway=gateway,
        block_length=effective_block_length(subnet, draw(st.sampled_from([None, subnet.max_prefixlen - 3]))),
    )


def parts(subnet: IPNetwork) -> st.SearchStrategy[AddressRange]:
    offsets = st.integers(0, subnet.num_addresses - 1)
    return st.tuples(offsets, offsets).map(lambda pair: AddressRange(subnet[min(pair)], subnet[max(pair)]))


def may_be_held(address: IPAddress, pool: Pool) -> bool:
    """The rules of design, read one by one."""
    subnet = pool.subnet
    in_ranges = not pool.ranges or any(each.contains(address) for each in pool.ranges)
    excluded = any(each.contains(address) for each in pool.exclusions)
    host_bits = subnet.max_prefixlen - subnet.prefixlen
    ends = {subnet[0]} | ({subnet[-1]} if subnet.version == 4 else set())
    return in_ranges and not excluded and address != pool.gateway and not (host_bits >= 2 and address in ends)


@given(pools(), st.data())
def test_the_mask_is_what_its_rules_say(pool: Pool, data: st.DataObject) -> None:
    kept = data.draw(st.lists(parts(pool.subnet), max_size=2))
    reservations = [Reservation(id=at, addresses=each, owner="vm") for at, each in enumerate(kept)]

    mask = Mask(pool, reservations)

    for address in pool.subnet:
        usable = may_be_held(address, pool)
        reserved = any(each.contains(address) for each in kept)
        assert (int(address) in mask.usable) == usable
        assert (int(address) in mask.assignable) == (usable and not reserved)
        assert (mask.why_not(address) is None) == usable
        assert (mask.reservation_of(address) is not None) == reserved


@given(pools())
def test_carving_visits_exactly_the_blocks_with_something_to_give(pool: Pool) -> None:
    mask = Mask(pool)

    visited = list(mask.blocks_from(0))

    assert visited == sorted({pool.block_of(int(a)) for a in pool.subnet if may_be_held(a, pool)})
    assert all(mask.assignable_in(block) for block in visited)


@pytest.mark.parametrize("subnet", ["10.0.0.0/8", "2001:db8::/32"])
def test_a_huge_pool_is_carved_from_anywhere_without_a_list(subnet: str) -> None:
    network = ip_network(subnet)
    pool = Pool(
        name="huge",
        subnet=network,
        gateway=default_gateway(network),
        block_length=effective_block_length(network),
    )

    first = next(Mask(pool).blocks_from(0))
    half = int(network[0]) + network.num_addresses // 2
    middle = next(Mask(pool).blocks_from(half))

    assert first == int(network[0])
    assert middle == half
