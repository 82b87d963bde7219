"""Fewer addresses than clients, in subnets of every size: each address once, and a clear no for the rest."""

from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import uuid4

import pytest

from tests.faults.clients import NOTHING_FREE, Answer, Caller, Node, at_once
from tests.faults.ledger import Tables
from tests.service import IpamdProcess

CLIENTS = 32

SCARCE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a /30 has one beside its gateway": ({"subnet": "10.0.0.0/30"}, ["10.0.0.2"]),
    "a /30 without gateway has two": (
        {"subnet": "10.0.0.0/30", "gateway": None},
        ["10.0.0.1", "10.0.0.2"],
    ),
    "a /31 has two": ({"subnet": "10.0.0.0/31"}, ["10.0.0.0", "10.0.0.1"]),
    "a /32 has one": ({"subnet": "10.0.0.0/32"}, ["10.0.0.0"]),
    "a /126 has two beside its gateway": ({"subnet": "fd00::/126"}, ["fd00::2", "fd00::3"]),
    "a /127 has two": ({"subnet": "fd00::/127"}, ["fd00::", "fd00::1"]),
    "a /128 has one": ({"subnet": "fd00::/128"}, ["fd00::"]),
    "ranges that cut blocks": (
        {
            "subnet": "10.0.0.0/24",
            "block_size": 28,
            "ranges": ["10.0.0.14-10.0.0.17", "10.0.0.63", "10.0.0.127-10.0.0.128", "10.0.0.255"],
            "exclusions": ["10.0.0.16"],
        },
        ["10.0.0.14", "10.0.0.15", "10.0.0.17", "10.0.0.63", "10.0.0.127", "10.0.0.128"],
    ),
    "a range across two blocks of a /8": (
        {"subnet": "10.0.0.0/8", "ranges": ["10.63.255.252-10.64.0.5"]},
        [f"10.63.255.{last}" for last in range(252, 256)] + [f"10.64.0.{last}" for last in range(6)],
    ),
    "the last addresses of a /8": (
        {"subnet": "10.0.0.0/8", "ranges": ["10.255.255.250-10.255.255.255"]},
        [f"10.255.255.{last}" for last in range(250, 255)],
    ),
    "a range across two blocks of an IPv6 /32": (
        {"subnet": "2001:db8::/32", "ranges": ["2001:db8:7fff:ffff:ffff:ffff:ffff:fffe-2001:db8:8000::2"]},
        [
            "2001:db8:7fff:ffff:ffff:ffff:ffff:fffe",
            "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff",
            "2001:db8:8000::",
            "2001:db8:8000::1",
            "2001:db8:8000::2",
        ],
    ),
    "the last addresses of an IPv6 /32": (
        {"subnet": "2001:db8::/32", "ranges": ["2001:db8:ffff:ffff:ffff:ffff:ffff:fff0/124"]},
        [f"2001:db8:ffff:ffff:ffff:ffff:ffff:fff{last:x}" for last in range(16)],
    ),
}


@pytest.fixture
def callers(lasting_ipamd: IpamdProcess, pool: str) -> Iterator[list[Caller]]:
    """32 clients on eight nodes, all of one pool."""
    nodes = [Node(f"{pool}-{number}") for number in range(8)]
    callers = [Caller(lasting_ipamd.port, nodes[number % 8], [pool]) for number in range(CLIENTS)]
    yield callers
    for caller in callers:
        caller.close()


@pytest.fixture
def pool() -> str:
    """The name of this case's pool, and of its space."""
    return f"pool-{uuid4()}"


def add_all(callers: list[Caller]) -> list[Answer]:
    """Every client adds its one container, all at the same moment."""
    return at_once([partial(caller.add, f"c{number}") for number, caller in enumerate(callers)])


def held(service: IpamdProcess, pool: str) -> int:
    """How many addresses of a pool are held: its rows and its blocks must agree."""
    tables = Tables(service.database)
    [(live,)] = tables.rows("SELECT count(*) FROM allocation WHERE pool = ? AND until IS NULL", pool)
    [(counted,)] = tables.rows("SELECT sum(allocated) FROM block WHERE pool = ?", pool)
    assert live == counted
    assert isinstance(live, int)
    return live


@pytest.mark.parametrize(("fields", "expected"), SCARCE.values(), ids=SCARCE)
@pytest.mark.parametrize("affinity", ["any", "node"])
def test_as_many_clients_succeed_as_there_are_addresses(
    lasting_ipamd: IpamdProcess,
    callers: list[Caller],
    pool: str,
    fields: dict[str, Any],
    expected: list[str],
    affinity: str,
) -> None:
    lasting_ipamd.create_pool(pool, space=pool, affinity=affinity, cooldown=0, **fields)

    answers = add_all(callers)

    given = {number: answer.address for number, answer in enumerate(answers) if answer.code == 0}
    assert sorted(map(ip_address, given.values())) == sorted(map(ip_address, expected))
    for answer in answers:
        assert answer.code in (0, NOTHING_FREE)
        if answer.code == NOTHING_FREE:
            assert f"pool {pool} has {len(expected)} of " in answer.msg
            assert "0 cooling down" in answer.msg

    repeated = add_all(callers)
    assert {number: one.address for number, one in enumerate(repeated) if one.code == 0} == given

    leaving = next(iter(given))
    assert callers[leaving].delete(f"c{leaving}").code == 0
    assert callers[leaving].add("another").address == given[leaving]
    assert held(lasting_ipamd, pool) == len(expected)
    assert Tables(lasting_ipamd.database).overlapping() == []


@pytest.mark.parametrize("subnet", ["10.0.0.0/8", "2001:db8::/32"])
@pytest.mark.parametrize("affinity", ["any", "node"])
def test_a_huge_pool_gives_every_client_an_address_of_its_own(
    lasting_ipamd: IpamdProcess, callers: list[Caller], pool: str, subnet: str, affinity: str
) -> None:
    lasting_ipamd.create_pool(pool, subnet, space=pool, affinity=affinity)

    addresses = [answer.address for answer in add_all(callers)]

    assert len(set(addresses)) == CLIENTS
    assert all(ip_address(address) in ip_network(subnet) for address in addresses)
    usage = lasting_ipamd.http.get(f"/v1/pools/{pool}/usage").json()
    assert usage["allocated"] == CLIENTS
    assert usage["size"] == ip_network(subnet).num_addresses
    assert held(lasting_ipamd, pool) == CLIENTS
