"""Prefixes and addresses that many take at once, from two replicas on one PostgreSQL: none overlaps."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Any

import pytest

from tests.postgres import Postgres
from tests.service import running_replicas

CLIENTS = 12
CALLS = 16
SHORTER = (0, 0, 1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("given", [32, 24], ids=["addresses", "prefixes"])
def test_no_two_of_many_clients_have_an_address_in_common(postgres: Postgres, given: int) -> None:
    """Out of 512 addresses, or 512 prefixes."""
    rules: dict[str, Any] = {} if given == 32 else {"prefix_length": given}
    with postgres.migrated() as database, running_replicas(postgres.url(database)) as replicas:
        replicas[0].create_pool("pods", f"10.0.0.0/{given - 9}", cooldown=0, **rules)

        def client(number: int) -> None:
            """Take and release at random, now and then by a certain address."""
            chance, http = random.Random(number), replicas[number % 2].http
            mine: list[int] = []
            for _ in range(CALLS):
                if mine and chance.random() < 0.4:
                    gone = mine.pop(chance.randrange(len(mine)))
                    assert http.delete(f"/v1/allocations/{gone}").status_code == 204
                    continue
                shorter = chance.choice(SHORTER)
                length = given - shorter if shorter or rules else None
                body: dict[str, Any] = {"owner": f"vm-{number}", "pool": "pods"}
                if length is not None:
                    body["prefix_length"] = length
                if chance.random() < 0.3:
                    first = chance.randrange(512) >> shorter << shorter
                    body["address"] = str(ip_address("10.0.0.0") + (first << (32 - given)))
                answer = http.post("/v1/allocations", json=body)
                assert answer.status_code in (201, 409), answer.text
                if answer.status_code == 201:
                    mine.append(answer.json()["id"])

        with ThreadPoolExecutor(CLIENTS) as clients:
            for done in [clients.submit(client, number) for number in range(CLIENTS)]:
                done.result()

        rows = replicas[1].allocations()
        had = [ip_network((row["address"], row["prefix_length"] or 32)) for row in rows]
        usage = replicas[0].http.get("/v1/pools/pods/usage").json()
        found = replicas[0].contradictions()

    ordered = sorted(had, key=lambda each: (int(each[0]), each.prefixlen))
    assert len(had) > CLIENTS
    assert not any(one.overlaps(other) for one, other in pairwise(ordered))
    assert usage["allocated"] == sum(each.num_addresses for each in had) >> (32 - given)
    assert found == []
