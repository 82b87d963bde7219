"""Allocations over REST: for what is no container, listed, released by hand."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.plugin_call import call
from tests.service import IpamdProcess


def test_an_owner_gets_an_address_of_the_pool_it_names(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool()

    answer = http.post(
        "/v1/allocations",
        json={"owner": "vm <b>1</b>", "pool": pool["name"], "namespace": "lab", "name": "vm-1"},
    )

    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/allocations/{made['id']}"
    assert (made["owner"], made["pool"], made["namespace"], made["name"]) == (
        "vm <b>1</b>",
        pool["name"],
        "lab",
        "vm-1",
    )
    assert made["address"] == pool["gateway"].removesuffix("1") + "2"
    assert (made["until"], made["ending"], made["generation"]) == (None, None, 1)
    assert http.get(f"/v1/allocations/{made['id']}").json() == made


def test_an_owner_gets_the_address_it_names_without_naming_the_pool(
    http: httpx.Client, new_pool: NewPool
) -> None:
    new_pool(subnet="10.210.0.0/24")

    answer = http.post("/v1/allocations", json={"owner": "vm", "address": "10.210.0.77"})

    assert (answer.status_code, answer.json()["address"]) == (201, "10.210.0.77")


def test_an_owner_that_names_nothing_gets_one_address_as_selectors_choose(http: httpx.Client) -> None:
    for pool in (
        {"name": "zz-first", "subnet": "10.1.0.0/24", "priority": 5},
        {"name": "aa-second", "subnet": "10.2.0.0/24"},
        {"name": "elsewhere", "subnet": "10.3.0.0/24", "priority": 9, "selectors": {"nodes": ["n9"]}},
    ):
        assert http.post("/v1/pools", json={**pool, "space": "chosen"}).status_code == 201

    anywhere = http.post("/v1/allocations", json={"owner": "vm", "space": "chosen"})
    there = http.post("/v1/allocations", json={"owner": "vm", "space": "chosen", "node": "n9"})

    assert (anywhere.json()["pool"], there.json()["pool"]) == ("zz-first", "elsewhere")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"pool": "nowhere"}, 422, "pool-unknown"),
        ({"address": "192.0.2.1"}, 409, "address-unavailable"),
        ({"address": "10.211.0.1"}, 409, "address-unavailable"),
        ({"address": "10.211.0.0"}, 409, "address-unavailable"),
        ({"address": "10.211.0.255"}, 409, "address-unavailable"),
        ({"address": "10.211.0.9"}, 409, "address-unavailable"),
        ({"address": "10.211.0.5"}, 409, "address-taken"),
        ({"pool": "tiny"}, 409, "nothing-free"),
        ({"space": "empty"}, 422, "invalid"),
        ({"address": "10.211.0.05"}, 422, "invalid"),
        ({"owner": ""}, 422, "invalid"),
        ({"owner": "a\x1b[1m"}, 422, "invalid"),
        ({"owner": 5}, 422, "invalid"),
        ({"count": 2}, 422, "invalid"),
    ],
)
def test_what_cannot_be_had_is_refused_with_its_reason(
    http: httpx.Client, body: dict[str, Any], status: int, code: str
) -> None:
    http.post(
        "/v1/pools",
        json={"name": "here", "subnet": "10.211.0.0/24", "auto_assign": False, "exclusions": ["10.211.0.9"]},
    )
    http.post("/v1/pools", json={"name": "tiny", "subnet": "10.212.0.0/32", "auto_assign": False})
    for address in ("10.211.0.5", "10.212.0.0"):
        http.post("/v1/allocations", json={"owner": "first", "address": address})
    before = http.get("/v1/allocations").json()

    answer = http.post("/v1/allocations", json={"owner": "second", **body})

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert http.get("/v1/allocations").json() == before


def test_a_taken_address_is_refused_with_its_holder_and_how_to_release_it(
    http: httpx.Client, new_pool: NewPool
) -> None:
    new_pool(subnet="10.213.0.0/24")
    held = http.post("/v1/allocations", json={"owner": "first", "address": "10.213.0.5"}).json()

    problem = http.post("/v1/allocations", json={"owner": "second", "address": "10.213.0.5"}).json()

    assert problem["allocation"] == held["id"]
    assert "first" in problem["detail"]
    assert f"ipamctl allocation release {held['id']}" in problem["detail"]


def test_the_same_idempotency_key_again_answers_as_the_first_time(
    new_pool: NewPool, http: httpx.Client
) -> None:
    body = {"owner": "vm", "pool": new_pool()["name"]}
    headers = {"Idempotency-Key": str(uuid4())}

    first = http.post("/v1/allocations", json=body, headers=headers)
    again = http.post("/v1/allocations", json=body, headers=headers)

    assert (again.status_code, again.json()) == (201, first.json())


@pytest.mark.parametrize(
    "asked",
    [{}, {"address": True}, {"namespace": "shop", "name": "web"}, {"node": "n1", "cluster": "default"}],
)
@pytest.mark.parametrize("passed_on", [True, False])
def test_an_idempotency_key_says_yes_only_while_it_is_true(
    new_pool: NewPool, http: httpx.Client, asked: dict[str, Any], passed_on: bool
) -> None:
    pool = new_pool(cooldown=0)
    address = pool["gateway"].removesuffix("1") + "9"
    body = {"owner": "vm-7", "pool": pool["name"], **asked}
    body |= {"address": address} if "address" in asked else {}
    headers = {"Idempotency-Key": str(uuid4())}
    first = http.post("/v1/allocations", json=body, headers=headers).json()

    http.delete(f"/v1/allocations/{first['id']}")
    if passed_on:
        other = {"owner": "vm-8", "pool": pool["name"], "address": first["address"]}
        assert http.post("/v1/allocations", json=other).status_code == 201
    answers = [http.post("/v1/allocations", json=body, headers=headers) for _ in range(2)]
    anew = http.post(
        "/v1/allocations", json={**body, "address": None}, headers={"Idempotency-Key": str(uuid4())}
    )

    ended = http.get(f"/v1/allocations/{first['id']}").json()["until"]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-ended")
        assert f"gave {first['address']}, which ended at {ended}: use a new key" in answer.json()["detail"]
    held = http.get("/v1/allocations", params={"pool": pool["name"]}).json()["items"]
    assert anew.status_code == 201
    assert len(held) == (2 if passed_on else 1)


def test_an_idempotency_key_raced_by_its_release_never_names_what_somebody_else_holds(
    lasting_ipamd: IpamdProcess, new_pool: NewPool, http: httpx.Client
) -> None:
    """Each yes tells of an allocation that was live at some moment after the request was sent."""
    pool = new_pool(cooldown=0, subnet="10.249.0.0/29")["name"]
    url = f"{lasting_ipamd.tcp_endpoint}/v1/allocations"

    def live_and_told(number: int) -> None:
        headers, body = {"Idempotency-Key": f"race-{number}"}, {"owner": f"vm-{number}", "pool": pool}
        first = httpx.post(url, json=body, headers=headers)
        if first.status_code == 409:
            return  # the pool is small
        httpx.delete(f"{url}/{first.json()['id']}")
        again = httpx.post(url, json=body, headers=headers)
        assert (again.status_code, again.json()["code"]) == (409, "idempotency-ended")

    with ThreadPoolExecutor(12) as clients:
        list(clients.map(live_and_told, range(60)))
    assert http.get("/v1/allocations", params={"pool": pool}).json()["items"] == []


def test_an_idempotency_key_with_another_body_is_422(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool()["name"]
    headers = {"Idempotency-Key": str(uuid4())}
    http.post("/v1/allocations", json={"owner": "vm", "pool": pool}, headers=headers)

    answer = http.post("/v1/allocations", json={"owner": "other", "pool": pool}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-mismatch")
    assert len(http.get("/v1/allocations", params={"pool": pool}).json()["items"]) == 1


def test_one_idempotency_key_many_times_at_once_gives_one_address(
    lasting_ipamd: IpamdProcess, new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool()["name"]
    headers = {"Idempotency-Key": str(uuid4())}

    def ask(number: int) -> httpx.Response:
        body = {"owner": ("one", "another")[number % 2], "pool": pool}
        return httpx.post(f"{lasting_ipamd.tcp_endpoint}/v1/allocations", json=body, headers=headers)

    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(ask, range(12)))

    given = [answer for answer in answers if answer.status_code == 201]
    others = [answer for answer in answers if answer.status_code != 201]
    assert {answer.json()["id"] for answer in given} == {given[0].json()["id"]}
    assert len(given) == 6
    assert [answer.json()["code"] for answer in others] == ["idempotency-mismatch"] * 6
    assert len(http.get("/v1/allocations", params={"pool": pool}).json()["items"]) == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "caf\xe9"])
def test_an_idempotency_key_that_cannot_be_kept_is_422(http: httpx.Client, key: str) -> None:
    answer = http.post(
        "/v1/allocations", json={"owner": "vm"}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_without_a_key_every_request_is_a_new_one(new_pool: NewPool, http: httpx.Client) -> None:
    body = {"owner": "vm", "pool": new_pool()["name"]}

    addresses = {http.post("/v1/allocations", json=body).json()["address"] for _ in range(3)}

    assert len(addresses) == 3


def test_a_release_by_hand_ends_it_and_says_so(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool()["name"]
    http.post("/v1/cni/add", json=call("released", ipam={"pools": [pool]}))
    held = http.get("/v1/allocations", params={"pool": pool}).json()["items"][0]

    answers = [http.delete(f"/v1/allocations/{held['id']}").status_code for _ in range(2)]

    assert answers == [204, 204]
    assert http.get("/v1/allocations", params={"pool": pool}).json()["items"] == []
    assert http.get(f"/v1/allocations/{held['id']}").json()["ending"] == "admin"


@pytest.mark.parametrize("number", ["999999", "0", "x", str(2**63), "-1", "1.0"])
def test_an_allocation_that_is_not_there_is_404_or_422(http: httpx.Client, number: str) -> None:
    for answer in (http.get(f"/v1/allocations/{number}"), http.delete(f"/v1/allocations/{number}")):
        assert answer.status_code == (404 if number == "999999" else 422)


def test_allocations_are_listed_by_everything_that_is_known_of_them(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool()["name"]
    args = "K8S_POD_NAMESPACE=web;K8S_POD_NAME=front-0;K8S_POD_UID=u1"
    added = call("listed", ipam={"pools": [pool]}, args=args, node="n7", cluster="west")
    address = http.post("/v1/cni/add", json=added).json()["ips"][0]["address"].partition("/")[0]
    http.post("/v1/allocations", json={"owner": "listed-vm", "pool": pool})
    known = {
        "cluster": "west",
        "node": "n7",
        "network": "pods",
        "namespace": "web",
        "name": "front-0",
        "container_id": "listed",
        "address": address,
    }

    for field, value in known.items():
        items = http.get("/v1/allocations", params={"pool": pool, field: value}).json()["items"]
        assert [item["container_id"] for item in items] == ["listed"], field
        assert {key: items[0][key] for key in known} == known
    owned = http.get("/v1/allocations", params={"pool": pool, "owner": "listed-vm"}).json()["items"]
    assert [item["owner"] for item in owned] == ["listed-vm"]
    assert http.get("/v1/allocations", params={"pool": pool, "node": "n8"}).json()["items"] == []


def test_pages_of_allocations_hold_each_of_them_once(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool()["name"]
    made = [
        http.post("/v1/allocations", json={"owner": f"vm-{n}", "pool": pool}).json()["id"] for n in range(7)
    ]

    seen: list[int] = []
    params: dict[str, Any] = {"pool": pool, "limit": 3}
    while True:
        page = http.get("/v1/allocations", params=params).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]

    assert seen == made


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=",
        "cursor=x",
        "cursor=%00",
        "cursor=WyJhIl0=",
        "cursor=LTE=",
        "cursor=" + "W" * 2048,
        "address=x",
        "address=010.0.0.1",
        "colour=red",
        "name=",
        "name=a%00",
    ],
)
def test_a_wrong_question_is_422(http: httpx.Client, query: str) -> None:
    answer = http.get(f"/v1/allocations?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
