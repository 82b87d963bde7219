"""A file is applied at one replica while clients take from its pools at two others."""

import time
from typing import Any

from tests.faults.churn import Churn
from tests.faults.replicas.cluster import Cluster

TURN = 100  # answered ADDs
POOLS = {"pods": "10.0.0.0/26", "more": "10.0.1.0/26"}


def desired(**fields: Any) -> dict[str, Any]:
    """The file's two pools, both with these fields."""
    common = {"block_size": 28, "cooldown": 0, **fields}
    return {"pools": [{"name": name, "subnet": subnet, **common} for name, subnet in POOLS.items()]}


def apply(cluster: Cluster, file: dict[str, Any]) -> bool:
    """Apply it at the first replica; whether it was, or was refused since that would strand somebody."""
    answer = cluster.replicas[0].http.post("/v1/apply", json=file)
    if answer.is_success:
        return True
    assert answer.json()["code"] == "not-applied", answer.text
    assert {each["code"] for each in answer.json()["refusals"]} == {"would-strand"}
    return False


def exclusions(cluster: Cluster) -> list[list[str]]:
    pools = cluster.replicas[3].http.get("/v1/pools").json()["items"]
    return [pool["exclusions"] for pool in pools]


def test_a_file_is_applied_whole_or_not_at_all_while_calls_go_on(cluster: Cluster) -> None:
    assert apply(cluster, desired())
    kept_back = {"pods": "10.0.0.8/29", "more": "10.0.1.8/29"}
    excluding = desired()
    for pool in excluding["pools"]:
        pool["exclusions"] = [kept_back[pool["name"]]]
    excluded = {f"10.0.{net}.{each}" for net in (0, 1) for each in range(8, 16)}

    with Churn(cluster.ports[1], list(POOLS), cluster.ports[2]) as clients:
        clients.await_more(TURN)
        while not apply(cluster, excluding):
            assert exclusions(cluster) == [[], []]
            clients.await_more(1)
        begin = time.monotonic()
        clients.await_more(2 * TURN)
        during = [one for one in clients.added if one.falls_into(begin, time.monotonic())]

    assert exclusions(cluster) == [[kept_back["more"]], [kept_back["pods"]]]
    assert len(during) > TURN
    assert not {address for one in during for address in one.answer.addresses} & excluded
    assert [one for one in clients.added if one.answer.code != 0] == []
    assert cluster.tables.overlapping() == []
    assert cluster.complaints() == []


def test_what_one_replica_applied_all_others_export(cluster: Cluster) -> None:
    assert apply(cluster, desired(cooldown=7))

    answers = [replica.http.post("/v1/apply", json={**desired(cooldown=7)}) for replica in cluster.replicas]

    assert [answer.json()["unchanged"] for answer in answers] == [2] * len(answers)
