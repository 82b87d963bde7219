"""Reservations, nodes and history over REST."""

import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.plugin_call import call
from tests.service import IpamdProcess


def test_a_reserved_address_goes_to_its_workload_unasked_and_to_nobody_else(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool(subnet="10.220.0.0/24")["name"]
    made = http.post(
        "/v1/reservations",
        json={"address": "10.220.0.2", "namespace": "web", "name": "db-0", "note": "<script>ask\x1b Ann"},
    )

    other = http.post("/v1/cni/add", json=call("r1", ipam={"pools": [pool]}))
    own = call("r2", ipam={"pools": [pool]}, args="K8S_POD_NAMESPACE=web;K8S_POD_NAME=db-0")

    assert made.status_code == 201
    assert made.json()["note"] == "<script>ask\x1b Ann"
    assert other.json()["ips"][0]["address"] == "10.220.0.3/24"
    assert http.post("/v1/cni/add", json=own).json()["ips"][0]["address"] == "10.220.0.2/24"


def test_who_needs_two_addresses_of_a_pool_gets_the_reserved_one_and_another(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool(subnet="10.219.0.0/24")["name"]
    http.post("/v1/reservations", json={"address": "10.219.0.9", "namespace": "web", "name": "twin"})

    body = call("r3", ipam={"pools": [[pool], [pool]]}, args="K8S_POD_NAMESPACE=web;K8S_POD_NAME=twin")
    addresses = [ip["address"] for ip in http.post("/v1/cni/add", json=body).json()["ips"]]

    assert addresses == ["10.219.0.9/24", "10.219.0.2/24"]


def test_a_block_that_is_carved_in_vain_for_its_reservation_contradicts_nothing(
    new_pool: NewPool, http: httpx.Client, lasting_ipamd: IpamdProcess
) -> None:
    full = new_pool(subnet="10.217.0.0/30")["name"]
    pool = new_pool(subnet="10.218.0.0/24", block_size=28)["name"]
    http.post("/v1/cni/add", json=call("r4", ipam={"pools": [full]}))
    http.post("/v1/reservations", json={"address": "10.218.0.16/28", "namespace": "web", "name": "all"})

    body = call("r5", ipam={"pools": [[full], [pool]]}, args="K8S_POD_NAMESPACE=web;K8S_POD_NAME=all")
    assert http.post("/v1/cni/add", json=body).json()["code"] == 100

    assert lasting_ipamd.contradictions() == []


def test_reservations_are_listed_read_and_deleted(http: httpx.Client, new_pool: NewPool) -> None:
    new_pool(subnet="10.221.0.0/24")
    bodies: list[dict[str, Any]] = [
        {"address": "10.221.0.16/30", "owner": "lb"},
        {"address": "10.221.0.8-10.221.0.10"},
        {"address": "10.221.0.5", "namespace": "web", "name": "front"},
    ]
    made = [http.post("/v1/reservations", json={**body, "space": "default"}).json() for body in bodies]

    assert [entry["address"] for entry in made] == [body["address"] for body in bodies]
    for query, expected in (
        ({"owner": "lb"}, made[:1]),
        ({"address": "10.221.0.9"}, made[1:2]),
        ({"namespace": "web", "name": "front"}, made[2:]),
        ({"space": "nowhere"}, []),
    ):
        assert http.get("/v1/reservations", params=query).json()["items"] == expected
    read = http.get(f"/v1/reservations/{made[0]['id']}")
    assert read.json() == made[0]
    stale = http.delete(f"/v1/reservations/{made[0]['id']}", headers={"If-Match": '"0"'})
    deleted = http.delete(f"/v1/reservations/{made[0]['id']}", headers={"If-Match": read.headers["etag"]})
    assert (stale.status_code, deleted.status_code) == (412, 204)
    assert http.get(f"/v1/reservations/{made[0]['id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"address": "10.222.0.5", "name": "x"}, 422, "invalid"),
        ({"address": "10.222.0.5", "namespace": "x"}, 422, "invalid"),
        ({"address": "10.222.0.5", "namespace": "x", "name": "y", "owner": "z"}, 422, "invalid"),
        ({"address": "10.222.0.5/24"}, 422, "invalid"),
        ({"address": "10.222.0.9-10.222.0.5"}, 422, "invalid"),
        ({"address": ""}, 422, "invalid"),
        ({"address": "10.222.0.5", "note": "a\0"}, 422, "invalid"),
        ({"address": "10.222.0.5", "for": "x"}, 422, "invalid"),
        ({}, 422, "invalid"),
        ({"address": "10.222.0.8/29"}, 409, "reservation-conflicts"),
        ({"address": "10.222.0.2"}, 409, "reservation-conflicts"),
    ],
)
def test_a_reservation_that_cannot_be_is_refused(
    http: httpx.Client, body: dict[str, Any], status: int, code: str
) -> None:
    http.post("/v1/pools", json={"name": "reserved", "subnet": "10.222.0.0/24", "auto_assign": False})
    http.post("/v1/reservations", json={"address": "10.222.0.9", "owner": "lb"})
    http.post("/v1/allocations", json={"owner": "vm", "address": "10.222.0.2"})
    before = http.get("/v1/reservations").json()

    answer = http.post("/v1/reservations", json=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert http.get("/v1/reservations").json() == before


def test_a_node_is_labelled_and_pools_select_it_by_its_labels(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool(selectors={"node_labels": {"zone": "a"}})["name"]
    before = http.post("/v1/cni/add", json=call("l1", ipam={"pools": [pool]}, node="labelled"))

    made = http.put("/v1/nodes/default/labelled", json={"labels": {"zone": "a"}})
    after = http.post("/v1/cni/add", json=call("l1", ipam={"pools": [pool]}, node="labelled"))

    assert (before.status_code, before.json()["code"]) == (403, 105)
    assert (made.status_code, made.json()["labels"]) == (201, {"zone": "a"})
    assert after.status_code == 200


def test_a_node_that_called_is_known_by_its_last_contact(new_pool: NewPool, http: httpx.Client) -> None:
    moment = datetime.now(UTC)
    http.post("/v1/cni/add", json=call("k1", ipam={"pools": [new_pool()["name"]]}, node="caller"))

    node = http.get("/v1/nodes/default/caller").json()

    assert (node["cluster"], node["name"], node["labels"]) == ("default", "caller", {})
    assert datetime.fromisoformat(node["last_contact"]) >= moment
    assert http.get("/v1/nodes/default/silent").status_code == 404


def test_nodes_are_changed_by_version_and_forgotten(http: httpx.Client) -> None:
    path = "/v1/nodes/default/n%2F%3Cb%3E"

    first = http.put(path, json={"labels": {"a": "1"}})
    second = http.put(path, json={"labels": {"a": "2"}}, headers={"If-Match": first.headers["etag"]})
    stale = http.put(path, json={"labels": {}}, headers={"If-Match": first.headers["etag"]})
    listed = http.get("/v1/nodes", params={"cluster": "default"}).json()["items"]

    assert (first.status_code, second.status_code, stale.status_code) == (201, 200, 412)
    shown = {
        "cluster": "default",
        "name": "n/<b>",
        "labels": {"a": "2"},
        "joined": False,
        "draining": False,
        "gone_since": None,
        "last_contact": None,
        "silent": None,
        "holds": {"addresses": 0, "more_addresses": False, "seats": 0, "blocks": {}},
        "network": None,
    }
    assert shown in listed
    assert http.delete(path).status_code == 204
    assert http.delete(path).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/nodes/default/n", {"labels": {"a": 5}}),
        ("/v1/nodes/default/n", {"labels": {"a\0": "x"}}),
        ("/v1/nodes/default/n", {"labels": {"a": "\x00"}}),
        ("/v1/nodes/default/n", {"labels": {str(n): "" for n in range(65)}}),
        ("/v1/nodes/default/n", {"labels": []}),
        ("/v1/nodes/default/n", {"label": {}}),
        ("/v1/nodes/default/n", {}),
        ("/v1/nodes/default/n%00", {"labels": {}}),
        ("/v1/nodes/default/" + "n" * 254, {"labels": {}}),
    ],
)
def test_labels_that_cannot_be_kept_are_refused(http: httpx.Client, path: str, body: dict[str, Any]) -> None:
    answer = http.put(path, json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_history_says_who_had_an_address_at_a_moment(new_pool: NewPool, http: httpx.Client) -> None:
    new_pool(subnet="10.223.0.0/24", cooldown=0)
    moments = []
    for owner in ("first", "second"):
        held = http.post("/v1/allocations", json={"owner": owner, "address": "10.223.0.5"}).json()
        time.sleep(0.02)
        moments.append(datetime.now(UTC).isoformat())
        http.delete(f"/v1/allocations/{held['id']}")
    asked = {"address": "10.223.0.5"}

    everybody = http.get("/v1/history", params=asked).json()["items"]
    at_first = http.get("/v1/history", params={**asked, "at": moments[0]}).json()["items"]
    since_second = http.get("/v1/history", params={**asked, "after": moments[1]}).json()["items"]
    until_first = http.get("/v1/history", params={**asked, "before": moments[0]}).json()["items"]
    elsewhere = http.get("/v1/history", params={**asked, "space": "lab"}).json()["items"]

    assert [item["owner"] for item in everybody] == ["second", "first"]
    assert all(item["ending"] == "admin" and item["until"] > item["since"] for item in everybody)
    assert [item["owner"] for item in at_first] == ["first"]
    assert [item["owner"] for item in since_second] == ["second"]
    assert [item["owner"] for item in until_first] == ["first"]
    assert elsewhere == []


def test_history_is_found_by_workload_and_by_node(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool()["name"]
    args = "K8S_POD_NAMESPACE=past;K8S_POD_NAME=gone-0"
    added = call("h1", ipam={"pools": [pool]}, args=args, node="past-node", cluster="past")
    http.post("/v1/cni/add", json=added)
    http.post("/v1/cni/del", json=added)

    for query in ({"namespace": "past", "name": "gone-0"}, {"cluster": "past", "node": "past-node"}):
        items = http.get("/v1/history", params=query).json()["items"]
        assert [(item["container_id"], item["ending"]) for item in items] == [("h1", "released")]


def test_history_comes_in_pages_latest_first(new_pool: NewPool, http: httpx.Client) -> None:
    new_pool(subnet="10.224.0.0/24", cooldown=0)
    numbers = []
    for _ in range(5):
        numbers.append(
            http.post("/v1/allocations", json={"owner": "vm", "address": "10.224.0.5"}).json()["id"]
        )
        http.delete(f"/v1/allocations/{numbers[-1]}")

    seen: list[int] = []
    params: dict[str, Any] = {"address": "10.224.0.5", "limit": 2}
    while True:
        page = http.get("/v1/history", params=params).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]

    assert seen == numbers[::-1]


@pytest.mark.parametrize(
    "moment",
    ["yesterday", "2026-01-31", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z", ""],
)
def test_a_moment_that_is_none_is_422(http: httpx.Client, moment: str) -> None:
    answer = http.get("/v1/history", params={"at": moment})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-31t12:00:00z",
        "2026-01-31T12:00:00.123456789Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_every_moment_of_the_standard_is_taken(http: httpx.Client, moment: str) -> None:
    assert http.get("/v1/history", params={"at": moment}).status_code == 200
