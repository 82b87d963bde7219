"""A pool is changed while 16 clients take from it: from the answer on, the change holds for every call."""

import time
from collections.abc import Iterable
from ipaddress import ip_network

import pytest

from tests.faults.churn import Added, Churn
from tests.faults.clients import NOTHING_FREE, Caller, Node
from tests.faults.ledger import Tables
from tests.service import IpamdProcess

ROUNDS = 3
TURN = 200  # ADDs in which each of the 29 addresses has its turn several times
ADDRESSES = [str(address) for address in ip_network("10.0.0.0/27")][2:-1]


def create_worn_pool(service: IpamdProcess) -> None:
    """A pool all of whose addresses were given out once: none of its blocks waits to be carved."""
    service.create_pool("pods", "10.0.0.0/27", block_size=28, cooldown=0)
    early = Caller(service.port, Node("node-0"), ["pods"])
    given = {f"early-{number}": early.add(f"early-{number}").address for number in range(len(ADDRESSES))}
    assert set(given.values()) == set(ADDRESSES)
    assert {early.delete(container).code for container in given} == {0}
    early.close()


def addresses(added: Iterable[Added]) -> set[str]:
    return {one.answer.address for one in added if one.answer.code == 0}


def refusals(added: Iterable[Added]) -> list[Added]:
    return [one for one in added if one.answer.code != 0]


def change_pool(service: IpamdProcess, **fields: object) -> bool:
    """Change the pool; False if that would take an address from somebody who holds it."""
    answer = service.http.patch("/v1/pools/pods", json=fields)
    assert answer.status_code in (200, 409), answer.text
    assert answer.is_success or answer.json()["code"] == "would-strand"
    return answer.is_success


def exclude_one(service: IpamdProcess, at: int) -> str:
    """Exclude a free address, the first from a place on."""
    for place in range(at, at + len(ADDRESSES)):
        address = ADDRESSES[place % len(ADDRESSES)]
        if change_pool(service, exclusions=[address]):
            return address
    raise AssertionError("no address was free at any moment")


def reserve_one(service: IpamdProcess, at: int) -> tuple[int, str]:
    """Reserve a free address for a pod, the first from a place on: the reservation's number, the address."""
    for place in range(at, at + len(ADDRESSES)):
        address = ADDRESSES[place % len(ADDRESSES)]
        wanted = {"address": address, "namespace": "prod", "name": "db-0"}
        answer = service.http.post("/v1/reservations", json=wanted)
        if answer.is_success:
            return answer.json()["id"], address
        assert answer.json()["code"] == "reservation-conflicts", answer.text
    raise AssertionError("no address was free at any moment")


def test_an_excluded_address_is_given_to_nobody_and_comes_back(ipamd_process: IpamdProcess) -> None:
    create_worn_pool(ipamd_process)

    with Churn(ipamd_process.port, ["pods"]) as churn:
        churn.await_more(TURN)
        for number in range(ROUNDS):
            excluded = exclude_one(ipamd_process, at=9 * number)
            begin = time.monotonic()
            churn.await_more(TURN)
            end = time.monotonic()
            assert change_pool(ipamd_process, exclusions=[])
            churn.await_more(TURN)

            during = addresses(one for one in churn.added if one.falls_into(begin, end))
            after = addresses(one for one in churn.added if one.sent >= end)
            assert len(during) > len(ADDRESSES) // 2
            assert excluded not in during
            assert excluded in after

    assert refusals(churn.added) == []
    assert Tables(ipamd_process.database).overlapping() == []


def test_a_reserved_address_is_given_to_its_pod_alone(ipamd_process: IpamdProcess) -> None:
    create_worn_pool(ipamd_process)
    pod = Caller(ipamd_process.port, Node("node-0"), ["pods"])

    with Churn(ipamd_process.port, ["pods"]) as churn:
        churn.await_more(TURN)
        for number in range(ROUNDS):
            reservation, reserved = reserve_one(ipamd_process, at=9 * number)
            begin = time.monotonic()
            churn.await_more(TURN)
            own = pod.add(f"db-{number}", args="K8S_POD_NAMESPACE=prod;K8S_POD_NAME=db-0")
            churn.await_more(TURN)
            assert pod.delete(f"db-{number}").code == 0
            end = time.monotonic()
            assert ipamd_process.http.delete(f"/v1/reservations/{reservation}").is_success

            during = [one for one in churn.added if one.falls_into(begin, end)]
            assert len(addresses(during)) > len(ADDRESSES) // 2
            assert reserved not in addresses(during)
            assert own.address == reserved

    pod.close()
    assert refusals(churn.added) == []
    assert Tables(ipamd_process.database).overlapping() == []


def test_a_draining_pool_gives_nothing_and_gives_again_when_it_is_back(ipamd_process: IpamdProcess) -> None:
    create_worn_pool(ipamd_process)
    changes = [0.0]

    with Churn(ipamd_process.port, ["pods"]) as churn:
        for state in ["draining", "active"] * ROUNDS:
            churn.await_more(TURN)
            changes.append(time.monotonic())
            assert change_pool(ipamd_process, state=state)
            changes.append(time.monotonic())
        churn.await_more(TURN)
    changes.append(time.monotonic())

    times = list(zip(changes[::2], changes[1::2], strict=True))
    for number, (begin, end) in enumerate(times):
        between = [one for one in churn.added if one.falls_into(begin, end)]
        assert len(between) > TURN // 2
        if number % 2:
            assert {one.answer.code for one in between} == {NOTHING_FREE}
            assert all("pool pods is draining" in one.answer.msg for one in between)
        else:
            assert refusals(between) == []


@pytest.mark.parametrize("small", ["10.0.0.0/28", "10.0.0.16/28"], ids=["upwards", "downwards"])
def test_a_grown_pool_gives_all_that_it_has_won(ipamd_process: IpamdProcess, small: str) -> None:
    ipamd_process.create_pool("pods", small, block_size=28, cooldown=0)
    hosts, more = ({str(host) for host in ip_network(net).hosts()} for net in (small, "10.0.0.0/27"))
    gateway = {str(ip_network(small)[1])}

    with Churn(ipamd_process.port, ["pods"], most=1_000_000) as churn:
        churn.await_that(lambda: len(refusals(churn.added)) > TURN)
        full = addresses(churn.added)
        assert change_pool(ipamd_process, subnet="10.0.0.0/27")
        grown = time.monotonic()
        churn.await_that(lambda: len(addresses(churn.added)) >= len(more - gateway))
        churn.await_more(TURN)

    assert full == hosts - gateway
    assert addresses(churn.added) == more - gateway
    begun = sorted(one.sent for one in churn.added if one.answer.code == 0)
    assert len(begun) == len(more - gateway)
    for refused in refusals(churn.added):
        if refused.sent >= grown:  # then all the addresses had been asked for before it was answered
            assert begun[-1] < refused.answered
            assert f"has {len(begun)} of 32 allocated" in refused.answer.msg
