"""Inventories over REST: who may send them, what they note, and whom they remove."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.access.conftest import token_file
from tests.api.plugin_call import call
from tests.service import IpamdProcess, running_service

DAY_US = 86_400 * 1_000_000
TOKENS = {"admin": f"ipamd_{'a' * 43}", "inventory": f"ipamd_{'i' * 43}"}
SENT = {"Authorization": f"Bearer {TOKENS['inventory']}"}
NODES = ("n1", "n2", "n3", "n4")


@pytest.fixture
def service(scratch: Path) -> Iterator[IpamdProcess]:
    """A service with an admin's token and one for inventories; four nodes have joined, each with a pod."""
    for role, text in TOKENS.items():
        token_file(scratch, text, role)
    options = [part for role in TOKENS for part in (f"--{role}-token-file", str(scratch / role))]
    with running_service(scratch, *options) as service:
        service.http.headers["Authorization"] = f"Bearer {TOKENS['admin']}"
        service.create_pool("pods", "10.0.0.0/24")
        for node in NODES:
            service.http.put(f"/v1/nodes/default/{node}", json={"labels": {"rack": "r1"}})
            assert service.http.post("/v1/cni/add", json=call(f"{node}-1", node=node)).is_success
        yield service


def say(service: IpamdProcess, *nodes: str, after: int | None = 86_400, **changes: Any) -> httpx.Response:
    body = {"cluster": "default", "nodes": list(nodes), "remove_after": after, **changes}
    return service.http.put("/v1/inventory", json=body, headers=SENT)


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == httpx.codes.OK, answer.text
    document: dict[str, Any] = answer.json()
    return document


def shown(service: IpamdProcess, node: str) -> dict[str, Any]:
    found: dict[str, Any] = service.http.get(f"/v1/nodes/default/{node}").json()
    return found


def pass_days(service: IpamdProcess, days: float, *, still_heard: tuple[str, ...] = ()) -> None:
    """Have a service find that nodes are gone, and were heard from, so many days earlier."""
    service.stop()
    with contextlib.closing(sqlite3.connect(service.database)) as database, database:
        database.execute("UPDATE node SET gone_since = gone_since - ?", (int(days * DAY_US),))
        for node in set(NODES) - set(still_heard):
            database.execute(
                "UPDATE contact SET heard = heard - ? WHERE node = ?", (int(days * DAY_US), node)
            )
    service.start()


def test_a_node_that_is_gone_for_long_enough_is_removed_with_what_it_held(service: IpamdProcess) -> None:
    assert told(say(service, *NODES))["gone"] == []
    gone = told(say(service, "n1", "n2", "N4"))
    assert [node["name"] for node in gone["gone"]] == ["n3"]
    assert (gone["removed"], gone["too_many"]) == ([], False)
    assert shown(service, "n3")["gone_since"] == gone["gone"][0]["gone_since"]
    assert told(say(service, "n1", "n2", "n4")) == gone, "since when it is gone does not change"

    pass_days(service, 1.1)
    done = told(say(service, "n1", "n2", "n4"))

    assert (done["gone"], done["removed"]) == ([], ["n3"])
    assert service.http.get("/v1/nodes/default/n3").status_code == httpx.codes.NOT_FOUND
    assert service.allocations(node="n3") == []
    assert {row["node"] for row in service.allocations()} == {"n1", "n2", "n4"}
    [ended] = service.http.get("/v1/history", params={"cluster": "default", "node": "n3"}).json()["items"]
    assert ended["reason"].startswith("the cluster has not had it since ")
    assert ended["ended_by"] == "the inventory token file"


def test_who_was_heard_from_or_is_back_stays(service: IpamdProcess) -> None:
    told(say(service, *NODES))
    told(say(service, "n1", "n2"))

    pass_days(service, 1.1, still_heard=("n3",))
    assert told(say(service, "n1", "n2", "n4"))["removed"] == []

    assert shown(service, "n3")["holds"]["addresses"] == 1
    assert shown(service, "n4")["gone_since"] is None


def test_an_inventory_without_a_time_removes_nobody(service: IpamdProcess) -> None:
    told(say(service, *NODES, after=None))
    told(say(service, "n1", "n2", "n3", after=None))
    pass_days(service, 30)

    assert told(say(service, "n1", "n2", "n3", after=None))["removed"] == []
    assert [row["container_id"] for row in service.allocations(node="n4")] == ["n4-1"]


def test_an_empty_inventory_empties_no_cluster(service: IpamdProcess) -> None:
    told(say(service, *NODES))
    told(say(service))
    pass_days(service, 3)

    answer = told(say(service))

    assert (answer["too_many"], answer["removed"]) == (True, [])
    assert len(service.allocations()) == len(NODES)
    service.logged("too many gone")
    metrics = service.http.get("/metrics").text
    assert "ipamd_gone_nodes 4.0" in metrics
    assert "ipamd_gone_nodes_waiting 4.0" in metrics
    assert told(say(service, *NODES))["gone"] == []


def test_nodes_that_the_orchestrator_never_had_are_left_alone(service: IpamdProcess) -> None:
    told(say(service, "n1", "n2", "n3"))
    pass_days(service, 30)

    assert told(say(service, "n1", "n2", "n3"))["gone"] == []
    assert shown(service, "n4")["gone_since"] is None


def test_its_token_is_for_inventories_of_its_cluster_alone(service: IpamdProcess) -> None:
    other = say(service, "n1", cluster="west")
    others = [
        service.http.get("/v1/nodes", headers=SENT),
        service.http.post("/v1/nodes/default/n1/remove", json={"why": "x"}, headers=SENT),
        service.http.post("/v1/cni/add", json=call("c9", node="n1"), headers=SENT),
        service.http.get("/metrics", headers=SENT),
    ]

    assert (other.status_code, other.json()["code"]) == (403, "not-allowed")
    assert [answer.status_code for answer in others] == [403] * len(others)
    reader = service.http.post("/v1/tokens", json={"role": "reader"}).json()["token"]
    refused = service.http.put(
        "/v1/inventory",
        json={"cluster": "default", "nodes": []},
        headers={"Authorization": f"Bearer {reader}"},
    )
    assert refused.status_code == httpx.codes.FORBIDDEN


def test_an_inventory_that_cannot_be_meant_is_refused(service: IpamdProcess) -> None:
    nonsense: list[dict[str, Any]] = [
        {"remove_after": 899},
        {"remove_after": 0},
        {"nodes": [""]},
        {"nodes": ["n1 ", "n2", "n3", "n4"]},
        {"nodes": "n1"},
        {"all": True},
    ]

    for changes in nonsense:
        answer = say(service, **changes)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), changes
    assert shown(service, "n1")["gone_since"] is None
