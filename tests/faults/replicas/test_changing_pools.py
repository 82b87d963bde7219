"""A pool is changed at one replica while 16 clients take from it at two others."""

import threading
import time
from collections.abc import Iterable
from functools import partial
from ipaddress import ip_address
from typing import Any

import httpx

from tests.faults.churn import Added, Churn
from tests.faults.clients import NOTHING_FREE, Caller, Node, at_once
from tests.faults.replicas.cluster import Cluster

ROUNDS = 3
TURN = 100  # answered ADDs
FIRST = ip_address("10.0.0.0")


def churn(cluster: Cluster, **more: int) -> Churn:
    return Churn(cluster.ports[1], ["pods"], cluster.ports[2], **more)


def change(cluster: Cluster, **fields: Any) -> bool:
    """Change the pool at the first replica; whether it did, or refused since that would strand somebody."""
    answer = cluster.replicas[0].http.patch("/v1/pools/pods", json=fields)
    assert answer.is_success or answer.json()["code"] == "would-strand", answer.text
    return answer.is_success


def addresses(added: Iterable[Added]) -> set[str]:
    return {one.answer.address for one in added if one.answer.code == 0}


def refusals(added: Iterable[Added]) -> list[Added]:
    return [one for one in added if one.answer.code != 0]


def test_no_excluded_address_is_given_after_the_change_was_answered(cluster: Cluster) -> None:
    cluster.create_pool("pods", "10.0.0.0/26", block_size=28, cooldown=0)

    with churn(cluster) as clients:
        clients.await_more(TURN)
        for number in range(ROUNDS):
            excluded = {str(FIRST + 8 + 8 * number + each) for each in range(8)}
            while not change(cluster, exclusions=sorted(excluded)):
                clients.await_more(1)
            begin = time.monotonic()
            clients.await_more(2 * TURN)
            end = time.monotonic()
            assert change(cluster, exclusions=[])
            back = time.monotonic()

            during = [one for one in clients.added if one.falls_into(begin, end)]
            assert len(addresses(during)) > TURN // 10
            assert not addresses(during) & excluded
            clients.await_that(
                lambda excluded=excluded, back=back: (  # type: ignore[misc]  # mypy infers no lambda with defaults
                    excluded <= addresses(one for one in clients.added if one.sent >= back)
                )
            )

    assert refusals(clients.added) == []
    assert cluster.tables.overlapping() == []
    assert cluster.complaints() == []


def test_a_reserved_address_is_given_to_its_pod_alone(cluster: Cluster) -> None:
    cluster.create_pool("pods", "10.0.0.0/26", block_size=28, cooldown=0)
    pod = Caller(cluster.ports[3], Node("node-0"), ["pods"])

    with churn(cluster) as clients:
        clients.await_more(TURN)
        for number in range(ROUNDS):
            reservation, reserved = reserve_one(cluster, at=9 + 9 * number)
            begin = time.monotonic()
            clients.await_more(TURN)
            own = pod.add(f"db-{number}", args="K8S_POD_NAMESPACE=prod;K8S_POD_NAME=db-0")
            clients.await_more(TURN)
            assert pod.delete(f"db-{number}").code == 0
            end = time.monotonic()
            assert cluster.replicas[0].http.delete(f"/v1/reservations/{reservation}").is_success

            during = [one for one in clients.added if one.falls_into(begin, end)]
            assert len(addresses(during)) > TURN // 10
            assert reserved not in addresses(during)
            assert own.address == reserved

    pod.close()
    assert refusals(clients.added) == []
    assert cluster.tables.overlapping() == []
    assert cluster.complaints() == []


def reserve_one(cluster: Cluster, at: int) -> tuple[int, str]:
    """Reserve an address that nobody holds at the moment; the reservation's number and the address."""
    for offset in range(at, at + 1000):
        address = str(FIRST + 2 + offset % 60)
        answer = cluster.replicas[0].http.post(
            "/v1/reservations", json={"address": address, "namespace": "prod", "name": "db-0"}
        )
        if answer.status_code == httpx.codes.CREATED:
            return answer.json()["id"], address
        assert answer.json()["code"] == "reservation-conflicts", answer.text
    raise AssertionError("every address was held whenever it was asked for")


def test_a_draining_pool_gives_nothing_and_gives_again_when_it_is_back(cluster: Cluster) -> None:
    cluster.create_pool("pods", "10.0.0.0/26", block_size=28, cooldown=0)
    changes = [0.0]

    with churn(cluster) as clients:
        for state in ["draining", "active"] * ROUNDS:
            clients.await_more(TURN)
            changes.append(time.monotonic())
            assert change(cluster, state=state)
            changes.append(time.monotonic())
        clients.await_more(TURN)
    changes.append(time.monotonic())

    times = list(zip(changes[::2], changes[1::2], strict=True))
    for number, (begin, end) in enumerate(times):
        between = [one for one in clients.added if one.falls_into(begin, end)]
        assert len(between) > TURN // 2
        if number % 2:
            assert {one.answer.code for one in between} == {NOTHING_FREE}
        else:
            assert refusals(between) == []


def test_a_grown_pool_gives_all_that_it_has_won(cluster: Cluster) -> None:
    cluster.create_pool("pods", "10.0.0.0/28", block_size=28, cooldown=0)
    all_of_it = {str(FIRST + offset) for offset in range(2, 31)}

    with churn(cluster, most=1_000_000) as clients:
        clients.await_that(lambda: len(refusals(clients.added)) > TURN)
        full = addresses(clients.added)
        assert change(cluster, subnet="10.0.0.0/27")
        grown = time.monotonic()
        clients.await_that(lambda: len(addresses(clients.added)) >= len(all_of_it))
        clients.await_more(TURN)

    assert full == {str(FIRST + offset) for offset in range(2, 15)}
    assert addresses(clients.added) == all_of_it
    begun = sorted(one.sent for one in clients.added if one.answer.code == 0)
    assert len(begun) == len(all_of_it)
    for refused in refusals(clients.added):
        assert refused.sent < grown or begun[-1] < refused.answered, "a false exhaustion"


def test_of_two_overlapping_pools_made_at_once_one_is_refused(cluster: Cluster) -> None:
    for number in range(10):
        wanted = [
            {"name": f"a{number}", "subnet": f"10.{number}.0.0/16"},
            {"name": f"b{number}", "subnet": f"10.{number}.128.0/17"},
        ]
        answers = at_once(
            [
                partial(replica.http.post, "/v1/pools", json=pool)
                for replica, pool in zip(cluster.replicas, wanted, strict=False)
            ]
        )

        assert sorted(answer.status_code for answer in answers) == [201, 409]
        [refused] = [answer for answer in answers if not answer.is_success]
        assert refused.json()["code"] == "pool-overlaps"
    assert len(cluster.tables.rows("SELECT name FROM pool")) == 10


def test_a_pool_made_anew_with_other_blocks_is_served_by_all(cluster: Cluster) -> None:
    for number, block_size in enumerate((26, 30, 27, 28)):
        cluster.create_pool("pods", "10.0.0.0/24", block_size=block_size, cooldown=0)
        callers = cluster.callers(16, "pods")

        answers = at_once([partial(caller.add, f"c{number}-{each}") for each, caller in enumerate(callers)])

        assert len({answer.address for answer in answers}) == 16
        for each, caller in enumerate(callers):
            assert caller.delete(f"c{number}-{each}").code == 0
        assert cluster.replicas[number].http.delete("/v1/pools/pods").is_success


def test_nothing_is_said_to_be_exhausted_while_others_hold_the_only_blocks_with_room(
    cluster: Cluster,
) -> None:
    cluster.create_pool("pods", "10.0.0.0/27", block_size=28, cooldown=0)
    callers = cluster.callers(8, "pods")
    for number in range(2):  # carved, and with room
        assert callers[0].add(f"first-{number}").code == 0

    with somebody_holding_all_blocks(cluster):
        answers = at_once([partial(caller.add, f"c{number}") for number, caller in enumerate(callers)])

    assert len({answer.address for answer in answers}) == 8


class somebody_holding_all_blocks:  # noqa: N801 - reads as what it is where it is used
    """A transaction of somebody else that locks every block for a second, and is in the middle of it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        statement = "BEGIN; SELECT pool FROM block FOR UPDATE; SELECT pg_sleep(1); COMMIT"
        self._thread = threading.Thread(target=cluster.server.sql, args=(statement, cluster.database))

    def __enter__(self) -> None:
        self._thread.start()
        asleep = "SELECT 1 FROM pg_stat_activity WHERE datname = ? AND wait_event = 'PgSleep'"
        deadline = time.monotonic() + 10
        while not self._cluster.tables.rows(asleep, self._cluster.database):
            assert time.monotonic() < deadline

    def __exit__(self, *_: object) -> None:
        self._thread.join()
