"""Nodes that drain, and nodes that are removed: over REST, with what their agents and plugins are told."""

import itertools
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import httpx
import pytest

from tests.api.lease_holder import LeaseHolder
from tests.api.plugin_call import BOOT, call
from tests.service import IpamdProcess, running_service

_nodes = itertools.count(1)


@pytest.fixture(scope="module")
def service() -> Iterator[IpamdProcess]:
    """A service with a pool in which blocks belong to nodes, and one in which they do not."""
    with running_service() as service:
        service.create_pool("pods", "10.0.0.0/16", affinity="node", block_size=28, borrow=True, cooldown=0)
        service.create_pool("any", "10.1.0.0/16", auto_assign=False)
        yield service


@pytest.fixture
def http(service: IpamdProcess) -> httpx.Client:
    return service.http


@pytest.fixture
def node() -> str:
    return f"node-{next(_nodes)}"


def add(http: httpx.Client, node: str, container_id: str, **changes: Any) -> httpx.Response:
    return http.post("/v1/cni/add", json=call(container_id, node=node, **changes))


def address(answer: httpx.Response) -> str:
    assert answer.status_code == httpx.codes.OK, answer.text
    found: str = answer.json()["ips"][0]["address"]
    return found.partition("/")[0]


def tell(http: httpx.Client, node: str, verb: str, **body: Any) -> dict[str, Any]:
    answer = http.post(f"/v1/nodes/default/{node}/{verb}", json=body)
    assert answer.is_success, answer.text
    told: dict[str, Any] = answer.json()
    return told


def remove(http: httpx.Client, node: str) -> dict[str, Any]:
    return tell(http, node, "remove", why="its disk burnt", even_if_alive=True)


def test_containers_of_a_node_that_drains_get_nothing_new_and_keep_what_they_have(
    http: httpx.Client, node: str
) -> None:
    result = add(http, node, "c1")
    first = address(result)

    assert tell(http, node, "drain")["draining"] is True
    new, again = add(http, node, "c2"), add(http, node, "c1")
    elsewhere = add(http, f"{node}-other", "c3")
    checked = http.post("/v1/cni/check", json=call("c1", node=node, config={"prevResult": result.json()}))
    explained = http.post("/v1/explain", json=call("c2", node=node)).json()

    assert (new.status_code, new.json()["code"]) == (503, 11)
    assert f"ipamctl node undrain {node}" in new.json()["msg"]
    assert address(again) == first
    assert address(elsewhere)
    assert checked.status_code == httpx.codes.NO_CONTENT
    assert explained["error"] == new.json()
    assert tell(http, node, "undrain")["draining"] is False
    assert address(add(http, node, "c2"))


def test_a_node_that_drains_gives_back_its_free_seats_and_keeps_the_others(http: httpx.Client) -> None:
    holder = LeaseHolder(http, "pods", free=3)
    holder.ask()
    taken, *free = holder.states
    holder.begin(taken, "c1", 100)
    holder.report()

    tell(http, holder.node, "drain")
    told = holder.ask()

    assert set(told["recall"]) == {taken, *free}
    for seat in free:
        holder.states[seat] = "returning"
    assert sorted(holder.ask()["returned"]) == free
    told = holder.ask()
    assert told["seats"] == []
    assert "draining" in str(told["refused"])
    assert http.get(f"/v1/nodes/default/{holder.node}").json()["holds"]["seats"] == 0
    assert [row["container_id"] for row in allocations(http, holder.node)] == ["c1"]


def allocations(http: httpx.Client, node: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = http.get("/v1/allocations", params={"node": node}).json()["items"]
    return rows


def test_a_node_that_ipamd_never_heard_of_does_not_drain(http: httpx.Client) -> None:
    for verb in ("drain", "undrain"):
        answer = http.post(f"/v1/nodes/default/never-heard-of/{verb}", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_a_node_that_is_removed_leaves_nothing(http: httpx.Client) -> None:
    holder = LeaseHolder(http, "pods", free=2)
    node = holder.node
    mine = address(add(http, node, "c1"))
    holder.ask()
    network = {"machine": "m", "address": "192.0.2.7", "prefixes": ["192.0.2.0/24"], "mtu": 1500}
    published = http.put(f"/v1/network/nodes/default/{node}", json={**network, "mac": "02:00:00:00:00:07"})
    assert published.is_success, published.text
    http.put(f"/v1/nodes/default/{node}", json={"labels": {"rack": "r1"}})

    removed = remove(http, node)

    assert removed == {"cluster": "default", "name": node, "released": 1, "seats": 2, "own": 1, "blocks": 1}
    assert http.get(f"/v1/nodes/default/{node}").status_code == 404
    assert node not in {each["name"] for each in http.get("/v1/nodes").json()["items"]}
    assert node not in str(http.get("/v1/network", params={"cluster": "default"}).json()["nodes"])
    [ended] = http.get("/v1/history", params={"address": mine, "limit": 1}).json()["items"]
    assert (ended["ending"], ended["reason"]) == ("admin", "its disk burnt")
    logged = http.get("/v1/log", params={"name": f"default/{node}"}).json()["items"]
    assert logged[0]["after"] is None
    over = holder.post()
    assert (over.status_code, over.json()["code"]) == (410, "lease-over")
    next_one = ip_address(address(add(http, f"{node}-next", "c2")))
    assert next_one in ip_network(f"{mine}/28", strict=False), "who comes next has the block"
    again = http.post(f"/v1/nodes/default/{node}/remove", json={"why": "twice", "even_if_alive": True})
    assert again.json().get("released", 0) == 0


def test_what_others_borrowed_from_a_node_that_is_removed_stays_theirs(
    service: IpamdProcess, http: httpx.Client
) -> None:
    service.create_pool("small", "10.2.0.0/28", affinity="node", block_size=28, auto_assign=False)
    ipam = {"pools": ["small"]}
    mine = address(add(http, "lender", "c1", ipam=ipam))
    theirs = address(add(http, "borrower", "c2", ipam=ipam))

    removed = remove(http, "lender")

    assert removed["blocks"] == 1
    assert [row["address"] for row in allocations(http, "borrower")] == [theirs]
    assert mine not in service.addresses(pool="small")
    assert address(add(http, "third", "c3", ipam=ipam))
    holds = http.get("/v1/nodes/default/third").json()["holds"]
    assert holds["blocks"] == {"small": 1}, "who comes next has the block"
    assert service.contradictions() == []


def test_a_node_that_lives_is_not_removed_unless_somebody_insists(http: httpx.Client, node: str) -> None:
    add(http, node, "c1")

    refused = http.post(f"/v1/nodes/default/{node}/remove", json={"why": "a slip of the pen"})

    assert (refused.status_code, refused.json()["code"]) == (409, "node-alive")
    shown = http.get(f"/v1/nodes/default/{node}").json()
    assert (shown["draining"], shown["holds"]["addresses"]) == (False, 1)


def test_a_census_of_a_node_that_was_removed_begins_anew(http: httpx.Client, node: str) -> None:
    add(http, node, "c1")
    body: dict[str, Any] = {"cluster": "default", "node": node, "machine": "m", "dead": []}
    assert http.post("/v1/census", json={**body, "issued": {"boot": BOOT, "uptime_ns": 9}}).is_success
    remove(http, node)

    other = {**body, "machine": "another", "issued": {"boot": "another", "uptime_ns": 1}}

    assert http.post("/v1/census", json=other).is_success
