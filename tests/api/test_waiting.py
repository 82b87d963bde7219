"""Allocations that wait for room, over REST: who is served when, and who is not."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from ipamd.models.limits import MOST_WAITERS
from tests.api.conftest import NewPool
from tests.api.plugin_call import call
from tests.service import IpamdProcess, running_service
from tests.waiting import eventually

SOON = 10.0
"""Seconds that are plenty for who is served at once, and much less than anybody here waits."""


@pytest.fixture
def full(new_pool: NewPool, http: httpx.Client) -> Full:
    """A pool of two addresses, both held."""
    return Full(new_pool, http)


class Full:
    """A small pool of which everything is held, and who waits for it."""

    def __init__(self, new_pool: NewPool, http: httpx.Client, **fields: Any) -> None:
        self.http = http
        made = new_pool(**{"cooldown": 0, **fields})
        base = made["subnet"].rsplit(".", 1)[0]
        self.name: str = made["name"]
        self.pool_path = f"/v1/pools/{self.name}"
        ranges = [f"{base}.10-{base}.11"]
        assert http.patch(self.pool_path, json={"ranges": ranges}).is_success
        self.wider = [f"{base}.10-{base}.13"]
        self.held = [self.take(f"holder-{number}").json()["id"] for number in (1, 2)]

    def take(self, owner: str, wait: int | None = None, **more: Any) -> httpx.Response:
        headers = {} if wait is None else {"Prefer": f"wait={wait}"}
        body = {"owner": owner, "pool": self.name, **more}
        return self.http.post("/v1/allocations", json=body, headers=headers, timeout=60)

    def release(self, number: int) -> None:
        assert self.http.delete(f"/v1/allocations/{number}").is_success


class Waiters:
    """Clients that wait, each behind all that came before."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    def wait(self, pool: Full, /, owner: str, seconds: int = 50, **more: Any) -> Future[httpx.Response]:
        waiting = self._threads.submit(pool.take, owner, seconds, **more)
        eventually(lambda: owner in in_line(pool.http) or waiting.done())
        assert not waiting.done(), waiting.result().text
        return waiting


@pytest.fixture
def waiters() -> Iterator[Waiters]:
    with ThreadPoolExecutor() as threads:
        yield Waiters(threads)


def in_line(http: httpx.Client) -> list[str]:
    return [each["owner"] for each in http.get("/v1/waiters").json()["items"]]


def served(waiting: Future[httpx.Response]) -> str:
    answer = waiting.result(SOON)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["owner"])


def test_who_waits_is_served_when_somebody_releases(full: Full, waiters: Waiters) -> None:
    waiting = waiters.wait(full, "vm")
    [line] = full.http.get("/v1/waiters").json()["items"]
    assert (line["owner"], line["pools"], line["lacks"]) == ("vm", [full.name], [f"pool {full.name}"])
    pod = call("curious", ipam={"pools": [full.name]})
    explained = full.http.post("/v1/explain", json=pod).json()["remarks"]
    assert any("1 allocation waits for what this request would take" in each for each in explained)
    eventually(lambda: full.http.get(f"{full.pool_path}/usage").json()["waiting"] == 1)
    full.release(full.held[0])

    answer = waiting.result(SOON)
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=50"
    eventually(lambda: not in_line(full.http))


def test_who_came_first_is_served_first(full: Full, waiters: Waiters) -> None:
    waiting = [waiters.wait(full, f"vm-{number}") for number in range(4)]
    assert in_line(full.http) == [f"vm-{number}" for number in range(4)]
    full.release(full.held[0])
    assert served(waiting[0]) == "vm-0"
    assert not any(each.done() for each in waiting[1:])
    full.release(full.held[1])
    assert served(waiting[1]) == "vm-1"

    for number in (2, 3):
        full.release(waiting[number - 2].result().json()["id"])
        assert served(waiting[number]) == f"vm-{number}"


def test_nobody_waits_if_there_is_room(full: Full) -> None:
    full.release(full.held[0])

    answer = full.take("vm", 50)
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "wait=50")
    assert in_line(full.http) == []


def test_a_larger_pool_serves_all_that_wait(full: Full, waiters: Waiters) -> None:
    waiting = [waiters.wait(full, f"vm-{number}") for number in range(2)]
    full.http.patch(full.pool_path, json={"ranges": full.wider})

    assert [served(each) for each in waiting] == ["vm-0", "vm-1"]


def test_a_cooldown_that_ends_serves_who_waits(
    new_pool: NewPool, http: httpx.Client, waiters: Waiters
) -> None:
    cooling = Full(new_pool, http, cooldown=3)
    waiting = waiters.wait(cooling, "vm")
    cooling.release(cooling.held[0])
    released = time.monotonic()

    assert served(waiting) == "vm"
    assert time.monotonic() - released > 2.5


def test_a_quota_that_is_raised_serves_who_waits_for_it_and_no_other_stands_behind(
    new_pool: NewPool, http: httpx.Client, waiters: Waiters
) -> None:
    roomy = Full(new_pool, http)
    roomy.http.patch(roomy.pool_path, json={"ranges": []})
    quota = {"name": "waiting", "limit": 1, "namespaces": ["waiting-a"], "pool": roomy.name}
    assert http.post("/v1/quotas", json=quota).status_code == 201
    assert roomy.take("first", namespace="waiting-a").status_code == 201
    refused = roomy.take("second", namespace="waiting-a")
    assert (refused.status_code, refused.json()["code"]) == (409, "quota-exceeded")
    waiting = waiters.wait(roomy, "third", namespace="waiting-a")
    assert roomy.take("other", 50, namespace="waiting-b").status_code == 201
    assert http.patch("/v1/quotas/waiting", json={"limit": 2}).is_success

    assert served(waiting) == "third"
    assert http.delete("/v1/quotas/waiting").is_success


def test_who_may_be_served_by_a_pool_that_no_quota_closes_is_not_passed_there(
    new_pool: NewPool, http: httpx.Client, waiters: Waiters
) -> None:
    limited, other = (Full(new_pool, http) for _ in range(2))
    for each in (limited, other):
        selected = {"auto_assign": True, "selectors": {"namespaces": ["either", "any"]}}
        assert http.patch(each.pool_path, json=selected).is_success
    quota = {"name": "either", "limit": 0, "namespaces": ["either"], "pool": limited.name}
    assert http.post("/v1/quotas", json=quota).status_code == 201
    limited.release(limited.held[0])
    waiters.wait(limited, "limited", namespace="either")
    first = waiters.wait(other, "first", namespace="either", pool=None)
    second = waiters.wait(other, "second", namespace="either", pool=None)
    stranger = waiters.wait(other, "stranger", namespace="any")
    lacked = {each["owner"]: each["lacks"] for each in http.get("/v1/waiters").json()["items"]}
    assert lacked["second"] == [f"pool {other.name}", "quota either IPv4 of namespace either"]
    refused = other.take("third", namespace="either", pool=None).json()
    assert refused["code"] == "nothing-free"
    assert "2 of 2 allocated" in refused["detail"]
    assert "quota either allows 0 IPv4 addresses for namespace either" in refused["detail"]

    other.release(other.held[0])
    assert served(first) == "first"
    other.release(other.held[1])
    assert served(second) == "second"
    assert not stranger.done()
    assert http.delete("/v1/quotas/either").is_success
    http.patch(other.pool_path, json={"ranges": other.wider})
    assert served(stranger) == "stranger"


def test_an_address_that_is_released_serves_who_waits_for_that_one(full: Full, waiters: Waiters) -> None:
    wanted = full.http.get(f"/v1/allocations/{full.held[1]}").json()["address"].split("/")[0]
    waiting = waiters.wait(full, "vm", address=wanted)
    full.release(full.held[0])
    assert not waiting.done()
    full.release(full.held[1])

    assert waiting.result(SOON).json()["address"].split("/")[0] == wanted


def test_who_waits_for_one_address_stands_in_nobodys_way(full: Full, waiters: Waiters) -> None:
    taken = full.http.get(f"/v1/allocations/{full.held[1]}").json()["address"].split("/")[0]
    waiting = waiters.wait(full, "picky", address=taken)
    full.release(full.held[0])

    assert full.take("vm", 50).status_code == 201
    assert not waiting.done()
    full.release(full.held[1])
    assert served(waiting) == "picky"


def hold_for(pool: Full, namespace: str) -> str:
    """Two more addresses for the pool, both kept for a namespace."""
    assert pool.http.patch(pool.pool_path, json={"ranges": pool.wider}).is_success
    name = f"hold-{pool.name}"
    body = {"name": name, "size": 2, "pool": pool.name, "namespaces": [namespace], "seconds": 600}
    made = pool.http.post("/v1/holds", json=body)
    assert made.status_code == 201, made.text
    return name


def test_who_has_room_in_its_hold_does_not_stand_behind_those_who_wait_for_the_pool(
    full: Full, waiters: Waiters
) -> None:
    hold = hold_for(full, "crew")
    first = waiters.wait(full, "vm")
    taken = [full.take(f"crew-{number}", 50, namespace="crew") for number in range(2)]
    assert [each.status_code for each in taken] == [201, 201]
    last = waiters.wait(full, "crew-2", namespace="crew")
    [_, line] = full.http.get("/v1/waiters").json()["items"]
    assert line["lacks"] == [f"pool {full.name}", f"hold {hold} of pool {full.name}"]
    full.release(taken[0].json()["id"])

    assert served(last) == "crew-2"
    assert not first.done()
    full.release(full.held[0])
    assert served(first) == "vm"
    assert full.http.delete(f"/v1/holds/{hold}").is_success


def test_who_waits_is_served_out_of_a_hold_that_becomes_its_own(full: Full, waiters: Waiters) -> None:
    hold = hold_for(full, "nobody")
    first, second = waiters.wait(full, "vm"), waiters.wait(full, "crew", namespace="crew")
    assert full.http.patch(f"/v1/holds/{hold}", json={"namespaces": ["crew"]}).is_success

    assert served(second) == "crew"
    assert not first.done()
    assert full.http.delete(f"/v1/holds/{hold}").is_success
    assert served(first) == "vm"


def test_an_address_that_a_sticky_pool_keeps_is_waited_for(new_pool: NewPool, http: httpx.Client) -> None:
    sticky = Full(new_pool, http, cooldown=3, sticky=True)
    wanted = http.get(f"/v1/allocations/{sticky.held[1]}").json()["address"].split("/")[0]
    sticky.release(sticky.held[1])
    refused = sticky.take("vm", 1, address=wanted)
    assert (refused.status_code, refused.json()["code"]) == (409, "address-unavailable")
    assert "is sticky and keeps it until" in refused.json()["detail"]
    assert "it waited" not in refused.json()["detail"]

    answer = sticky.take("vm", 50, address=wanted)
    assert (answer.status_code, answer.json()["address"].split("/")[0]) == (201, wanted)


def test_a_certain_prefix_that_is_released_serves_who_waits_for_it(
    new_pool: NewPool, http: httpx.Client, waiters: Waiters
) -> None:
    roomy = Full(new_pool, http)
    http.patch(roomy.pool_path, json={"ranges": []})
    held = roomy.take("holder", prefix_length=28).json()
    first = held["address"].split("/")[0]
    waiting = waiters.wait(roomy, "vm", prefix_length=28, address=first)
    assert roomy.take("other", 50).status_code == 201
    assert roomy.take("another", 50, prefix_length=28).status_code == 201
    roomy.release(held["id"])

    assert served(waiting) == "vm"
    assert waiting.result().json()["address"] == held["address"]


def test_a_pod_passes_by_and_the_waiter_waits_on(
    new_pool: NewPool, http: httpx.Client, waiters: Waiters
) -> None:
    cooling = Full(new_pool, http, cooldown=3600)
    waiting = waiters.wait(cooling, "vm")
    row = http.get(f"/v1/allocations/{cooling.held[0]}").json()
    cooling.release(cooling.held[0])
    pod = call("passing", ipam={"pools": [cooling.name]}, args=f"IP={row['address'].split('/')[0]}")

    assert "code" not in http.post("/v1/cni/add", json=pod).json()
    assert in_line(http) == ["vm"]
    http.patch(cooling.pool_path, json={"cooldown": 0})
    http.post("/v1/cni/del", json=pod)
    assert served(waiting) == "vm"


def test_no_more_wait_than_may_and_those_of_a_dead_replica_leave(
    full: Full, lasting_ipamd: IpamdProcess, waiters: Waiters
) -> None:
    dead = ("dead", "vm", "[]", f'["pool {full.name}"]', 0, 0, 0)
    with closing(sqlite3.connect(lasting_ipamd.database)) as database, database:
        given = "(replica, owner, pools, lacks, since, until, beat)"
        database.executemany(
            f"INSERT INTO waiter {given} VALUES (?, ?, ?, ?, ?, ?, ?)", [dead] * MOST_WAITERS
        )
    refused = full.take("late", 50)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert f"{MOST_WAITERS} allocations wait already" in refused.json()["detail"]

    eventually(lambda: not in_line(full.http))
    waiting = waiters.wait(full, "vm")
    full.release(full.held[0])
    assert served(waiting) == "vm"


def test_whose_time_is_over_is_refused_as_ever_and_told_how_many_were_before(
    full: Full, waiters: Waiters
) -> None:
    first, second = waiters.wait(full, "vm-0", 1), waiters.wait(full, "vm-1", 2)
    answer = second.result(SOON)
    over = first.result(SOON)

    assert (over.status_code, over.json()["code"]) == (409, "nothing-free")
    assert (over.json()["waiting_before"], 1 <= over.json()["waited_seconds"] < 5) == (0, True)
    assert "it waited 1" in over.json()["detail"]
    assert "2 of 2 allocated" in over.json()["detail"]
    assert over.headers["preference-applied"] == "wait=1"
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing-free")
    eventually(lambda: not in_line(full.http))


def test_who_never_came_to_try_is_told_that_others_were_before(full: Full, waiters: Waiters) -> None:
    first = waiters.wait(full, "vm-0")
    answer = waiters.wait(full, "vm-1", 1).result(SOON)

    assert (answer.status_code, answer.json()["code"]) == (409, "nothing-free")
    assert answer.json()["waiting_before"] == 1
    assert "and 1 waits before it" in answer.json()["detail"]
    full.release(full.held[0])
    assert served(first) == "vm-0"


def test_what_cannot_be_had_is_refused_at_once(full: Full) -> None:
    began = time.monotonic()
    answers = [
        full.take("vm", 50, pool="no-such-pool"),
        full.take("vm", 50, address=full.http.get(full.pool_path).json()["gateway"]),
        full.take("vm", 50, address="203.0.113.7"),
    ]

    assert [answer.json()["code"] for answer in answers] == [
        "pool-unknown",
        "address-unavailable",
        "address-unavailable",
    ]
    assert not any("it waited" in answer.text or "waited_seconds" in answer.text for answer in answers)
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize(
    "value", ["601", "86400", "-1", "1.5", "", "soon", '"', "9" * 40, "\N{SUPERSCRIPT TWO}"]
)
def test_a_time_that_nobody_may_wait_is_refused_and_nothing_is_taken(full: Full, value: str) -> None:
    full.release(full.held[0])
    headers = [(b"Prefer", f"wait={value}".encode())]
    answer = full.http.post("/v1/allocations", json={"owner": "vm", "pool": full.name}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert "600 at most" in answer.json()["detail"]
    assert full.take("vm").status_code == 201


@pytest.mark.parametrize(
    ("headers", "applied"),
    [
        ([b"wait=0"], "wait=0"),
        ([b'respond-async, Wait="50"; why=x, handling=strict'], "wait=50"),
        ([b"return=minimal", b"wait=50, wait=601"], "wait=50"),
        ([b"respond-async", b"waiting=601", b'a="b, wait=5"'], None),
        ([b""], None),
    ],
)
def test_the_first_wait_counts_and_other_preferences_are_ignored(
    full: Full, headers: list[bytes], applied: str | None
) -> None:
    full.release(full.held[0])
    given = [(b"Prefer", value) for value in headers]
    answer = full.http.post("/v1/allocations", json={"owner": "vm", "pool": full.name}, headers=given)

    assert answer.status_code == 201
    assert answer.headers.get("preference-applied") == applied


def leave(service: IpamdProcess, pool: str, owner: str, *more: str) -> None:
    """Ask, stand in the line, and close the connection."""
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(str(service.socket))
        body = f'{{"owner": "{owner}", "pool": "{pool}"}}'
        lines = ["POST /v1/allocations HTTP/1.1", "Host: localhost", "Prefer: wait=50", *more]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", body]
        one.sendall("\r\n".join(lines).encode())
        eventually(lambda: owner in in_line(service.http))


def test_who_goes_gives_up_its_place(full: Full, waiters: Waiters, lasting_ipamd: IpamdProcess) -> None:
    leave(lasting_ipamd, full.name, "gone")
    eventually(lambda: not in_line(full.http))
    waiting = waiters.wait(full, "vm")
    full.release(full.held[0])

    assert served(waiting) == "vm"
    assert not full.http.get("/v1/allocations", params={"owner": "gone"}).json()["items"]


def test_an_owner_that_pods_name_may_wait_too(full: Full, waiters: Waiters) -> None:
    body = {"namespace": "shop", "name": "db", "pool": full.name}
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(
            full.http.post, "/v1/owners", json=body, headers={"Prefer": "wait=50"}, timeout=60
        )
        eventually(lambda: in_line(full.http) == ["shop/db"])
        full.release(full.held[0])
        answer = waiting.result(SOON)

    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=50"
    full.http.post("/v1/owners/shop/db/release", json={})


def test_the_same_key_gets_the_same_address_after_waiting(full: Full) -> None:
    body, headers = {"owner": "vm", "pool": full.name}, {"Prefer": "wait=50", "Idempotency-Key": "again"}
    with ThreadPoolExecutor() as threads:
        both = [
            threads.submit(full.http.post, "/v1/allocations", json=body, headers=headers, timeout=60)
            for _ in range(2)
        ]
        eventually(lambda: in_line(full.http) == ["vm", "vm"])
        full.release(full.held[0])
        answers = [each.result(SOON) for each in both]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_a_service_that_stops_lets_who_waits_go(scratch: Path) -> None:
    with running_service(scratch) as service, ThreadPoolExecutor() as threads:
        service.create_pool("tiny", "10.9.0.0/30")
        service.http.post("/v1/allocations", json={"owner": "holder", "pool": "tiny"})
        body = {"owner": "vm", "pool": "tiny"}
        waiting = threads.submit(
            service.http.post, "/v1/allocations", json=body, headers={"Prefer": "wait=50"}, timeout=60
        )
        eventually(lambda: in_line(service.http) == ["vm"])
        service.stop()
        answer = waiting.result(SOON)
        service.start()

        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "ipamd is stopping" in answer.json()["detail"]
        assert in_line(service.http) == []
