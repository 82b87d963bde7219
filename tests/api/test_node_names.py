"""A node's name: compared without case, and what is told where a release comes under another one."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.plugin_call import call
from tests.service import IpamdProcess

METRIC = "ipamd_releases_held_elsewhere_total"


@pytest.fixture
def add(new_pool: NewPool, http: httpx.Client) -> Iterator[dict[str, Any]]:
    """An ADD that has succeeded on node host-001."""
    body = call("named", ipam={"pools": [new_pool()["name"]]}, node="host-001")
    http.post("/v1/cni/add", json=body).raise_for_status()
    yield body
    http.post("/v1/cni/del", json=body).raise_for_status()


def held(http: httpx.Client, **query: str) -> int:
    return len(http.get("/v1/allocations", params={"cluster": "default", **query}).json()["items"])


def told(http: httpx.Client) -> float:
    [line] = [line for line in http.get("/metrics").text.splitlines() if line.startswith(f"{METRIC} ")]
    return float(line.split()[1])


def comes_to(http: httpx.Client, wanted: float) -> bool:
    deadline = time.monotonic() + 20
    while told(http) < wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return told(http) == wanted


@pytest.mark.parametrize("name", ["HOST-001", "Host-001", "host-001"])
def test_names_of_nodes_are_compared_without_case(http: httpx.Client, add: dict[str, Any], name: str) -> None:
    again = http.post("/v1/cni/add", json={**add, "node": name}).json()

    assert again == http.post("/v1/cni/add", json=add).json()
    assert held(http, node=name) == 1
    assert http.post("/v1/cni/del", json={**add, "node": name}).status_code == 204
    assert held(http, node="host-001") == 0


@pytest.mark.parametrize("name", [" ", "host 002", "host-002 ", "é" * 127])
def test_a_name_that_no_plugin_calls_itself_is_no_name_of_a_new_node_and_one_that_is_there_keeps_it(
    new_pool: NewPool, http: httpx.Client, name: str
) -> None:
    path, labels = f"/v1/nodes/default/{quote(name)}", {"labels": {"rack": "r1"}}

    refused = http.put(path, json=labels)
    body = call("odd", ipam={"pools": [new_pool()["name"]]}, node=name)
    http.post("/v1/cni/add", json=body).raise_for_status()

    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "name")
    assert http.put(path, json=labels).json()["labels"] == {"rack": "r1"}
    inventory = {"cluster": "default", "nodes": [name]}
    assert http.put("/v1/inventory", json=inventory).is_success
    assert http.post("/v1/cni/del", json=body).status_code == 204
    assert http.delete(path).is_success


def test_labels_selectors_and_the_list_of_nodes_have_no_case_either(
    new_pool: NewPool, http: httpx.Client
) -> None:
    http.put("/v1/nodes/default/RACKED-7", json={"labels": {"rack": "r1"}}).raise_for_status()
    labelled = new_pool(selectors={"node_labels": {"rack": "r1"}})["name"]
    named = new_pool(selectors={"nodes": ["Racked-7", "other"]})["name"]
    add = call("cased", ipam={"pools": [labelled, named]}, node="racked-7")

    assert http.post("/v1/cni/add", json=add).status_code == 200
    http.post("/v1/cni/del", json=add)

    assert http.get("/v1/nodes/default/Racked-7").json()["name"] == "racked-7"
    assert http.put("/v1/nodes/default/racked-7", json={"labels": {}}).status_code == 200
    for pool in (labelled, named):
        http.delete(f"/v1/pools/{pool}")


@pytest.mark.parametrize(
    ("changes", "config"),
    [
        ({"node": "host-001.example.com"}, {}),
        ({"ifname": "net1"}, {}),
        ({}, {"name": "other"}),
    ],
)
def test_a_release_that_frees_nothing_of_a_container_that_lives_under_another_name_is_told(
    http: httpx.Client, lasting_ipamd: IpamdProcess, add: dict[str, Any], changes: dict[str, Any], config: Any
) -> None:
    before = told(http)

    answer = http.post("/v1/cni/del", json={**add, **changes, "config": {**add["config"], **config}})

    assert answer.status_code == 204
    assert comes_to(http, before + 1)
    assert held(http, node="host-001") == 1
    line = [line for line in lasting_ipamd.log.read_text().splitlines() if "held elsewhere" in line][-1]
    assert "as eth0 of network pods on node host-001" in line


def test_a_release_of_what_nobody_holds_or_that_is_repeated_is_not_told(
    http: httpx.Client, add: dict[str, Any]
) -> None:
    second = {**add, "ifname": "net1"}
    http.post("/v1/cni/add", json=second).raise_for_status()
    before = told(http)

    http.post("/v1/cni/del", json={**add, "container_id": "nobody"})
    http.post("/v1/cni/del", json={**add, "cluster": "elsewhere"})
    for _ in range(3):
        http.post("/v1/cni/del", json=second)  # the same container's eth0 lives on
    http.post("/v1/cni/del", json={**add, "node": "told"})

    assert comes_to(http, before + 1)
    time.sleep(0.2)
    assert told(http) == before + 1
