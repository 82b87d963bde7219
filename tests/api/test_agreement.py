"""What admins state, judged against each other when it is stated, in every order."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.plugin_call import call

WEB = {"namespace": "n", "name": "web"}
OF_WEB = "K8S_POD_NAMESPACE=n;K8S_POD_NAME=web"


def rs(**fields: Any) -> dict[str, Any]:
    return {"name": "rs", "subnet": "10.72.0.0/24", "auto_assign": False, **fields}


def reserved(address: str, **fields: Any) -> dict[str, Any]:
    return {"address": address, **WEB, **fields}


def add(http: httpx.Client, container_id: str, pool: str, args: str) -> httpx.Response:
    return http.post("/v1/cni/add", json=call(container_id, ipam={"pools": [pool]}, args=args))


@pytest.fixture(autouse=True)
def nothing(http: httpx.Client) -> None:
    http.post("/v1/apply", json={"pools": [], "reservations": [], "prune": True}).raise_for_status()


IN_VAIN = [
    ({}, "10.72.0.1", "it is the gateway of pool rs"),
    ({}, "10.72.0.0", "it is the network address of pool rs"),
    ({}, "10.72.0.255", "it is the broadcast address of pool rs"),
    ({"gateway": "10.72.0.9"}, "10.72.0.9", "it is the gateway of pool rs"),
    ({"exclusions": ["10.72.0.16/28"]}, "10.72.0.20", "it is excluded from pool rs (10.72.0.16/28)"),
    ({"exclusions": ["10.72.0.16/28"]}, "10.72.0.16/29", "it is excluded from pool rs (10.72.0.16/28)"),
    ({"ranges": ["10.72.0.64/26"]}, "10.72.0.9", "it is outside the ranges of pool rs (10.72.0.64/26)"),
    ({"subnet": "fd00:72::/64"}, "fd00:72::", "it is the subnet-router address of pool rs"),
    ({"subnet": "fd00:72::/64"}, "fd00:72::1", "it is the gateway of pool rs"),
    ({}, "10.72.0.0/31", "10.72.0.0, for one: it is the network address of pool rs"),
]
HAD = [
    ({}, "10.72.0.2"),
    ({}, "10.72.0.0/30"),
    ({"subnet": "10.72.0.0/31"}, "10.72.0.0"),
    ({"exclusions": ["10.72.0.16/28"]}, "10.72.0.0/24"),
    ({"ranges": ["10.72.0.64/26"]}, "10.72.0.64"),
    ({"gateway": None}, "10.72.0.1"),
    ({"gateway": "10.72.9.1", "gateway_on_link": True}, "10.72.0.1"),
]


@pytest.mark.parametrize(("fields", "address", "why"), IN_VAIN)
def test_no_address_is_reserved_that_its_pool_never_gives(
    http: httpx.Client, fields: dict[str, Any], address: str, why: str
) -> None:
    http.post("/v1/pools", json=rs(**fields)).raise_for_status()

    answer = http.post("/v1/reservations", json=reserved(address))

    assert (answer.status_code, answer.json()["code"]) == (409, "reservation-conflicts")
    assert why in answer.json()["detail"]
    assert http.get("/v1/reservations").json()["items"] == []


@pytest.mark.parametrize(("fields", "address", "why"), IN_VAIN)
def test_no_pool_is_made_that_never_gives_what_is_reserved_in_it(
    http: httpx.Client, fields: dict[str, Any], address: str, why: str
) -> None:
    made = http.post("/v1/reservations", json=reserved(address)).json()

    answer = http.post("/v1/pools", json=rs(**fields))

    assert (answer.status_code, answer.json()["code"]) == (409, "reservation-conflicts")
    assert why in answer.json()["detail"]
    assert f"reserved for n/web (reservation {made['id']})" in answer.json()["detail"]
    assert http.get("/v1/pools/rs").status_code == 404


@pytest.mark.parametrize(("fields", "address"), HAD)
@pytest.mark.parametrize("pool_first", [True, False])
def test_what_can_be_had_may_be_reserved_in_either_order(
    http: httpx.Client, fields: dict[str, Any], address: str, pool_first: bool
) -> None:
    steps = [("/v1/pools", rs(**fields)), ("/v1/reservations", reserved(address))]

    for path, body in steps if pool_first else reversed(steps):
        assert http.post(path, json=body).status_code == 201
    answer = add(http, "web", "rs", OF_WEB)

    assert answer.status_code == 200, answer.text
    for held in http.get("/v1/allocations", params={"pool": "rs"}).json()["items"]:
        http.delete(f"/v1/allocations/{held['id']}")


@pytest.mark.parametrize(
    ("pool", "address", "patch"),
    [
        ({}, "10.72.0.20", {"gateway": "10.72.0.20"}),
        ({}, "10.72.0.20", {"exclusions": ["10.72.0.16/28"]}),
        ({}, "10.72.0.20/31", {"exclusions": ["10.72.0.20", "10.72.0.21"]}),
        ({}, "10.72.0.20", {"ranges": ["10.72.0.64/26"]}),
        ({"gateway": None}, "10.72.0.1", {"gateway": "10.72.0.1"}),
        # What began another subnet may be the broadcast address, or the gateway, of a larger one.
        ({"subnet": "10.72.0.8/31", "gateway": None}, "10.72.0.8", {"subnet": "10.72.0.8/29"}),
    ],
)
def test_no_change_of_a_pool_takes_away_what_is_reserved_in_it(
    http: httpx.Client, pool: dict[str, Any], address: str, patch: dict[str, Any]
) -> None:
    http.post("/v1/pools", json=rs(**pool)).raise_for_status()
    http.post("/v1/reservations", json=reserved(address)).raise_for_status()
    before = http.get("/v1/pools/rs").json()

    refused = http.patch("/v1/pools/rs", json=patch)

    assert (refused.status_code, refused.json()["code"]) == (409, "reservation-conflicts")
    assert "delete the reservation first" in refused.json()["detail"]
    assert http.get("/v1/pools/rs").json() == before
    for item in http.get("/v1/reservations").json()["items"]:
        http.delete(f"/v1/reservations/{item['id']}").raise_for_status()
    assert http.patch("/v1/pools/rs", json=patch).status_code == 200


def test_a_file_is_judged_by_what_it_says_in_the_end_and_not_by_a_step_on_the_way(http: httpx.Client) -> None:
    http.post("/v1/pools", json=rs()).raise_for_status()
    moved = {"pools": [rs(gateway="10.72.0.254")], "reservations": [reserved("10.72.0.1")]}

    assert http.post("/v1/apply", json=moved).status_code == 200
    back = {"pools": [rs(gateway="10.72.0.1")], "reservations": [reserved("10.72.0.254")], "prune": True}
    assert http.post("/v1/apply", json=back).status_code == 200


def test_a_file_whose_entries_contradict_each_other_names_every_pair(http: httpx.Client) -> None:
    wanted = {
        "pools": [rs(exclusions=["10.72.0.16/28"])],
        "reservations": [reserved("10.72.0.1"), reserved("10.72.0.17", name="db"), reserved("10.72.0.30")],
    }

    answer = http.post("/v1/apply", json=wanted)

    assert answer.status_code == 409
    assert {refusal["what"] for refusal in answer.json()["refusals"]} == {
        "reservation 10.72.0.1",
        "reservation 10.72.0.17",
        "reservation 10.72.0.30",
    }
    assert {refusal["code"] for refusal in answer.json()["refusals"]} == {"reservation-conflicts"}
    assert http.get("/v1/pools/rs").status_code == 404


def test_a_file_that_excludes_what_is_reserved_names_the_pool(http: httpx.Client) -> None:
    http.post("/v1/pools", json=rs()).raise_for_status()
    http.post("/v1/reservations", json=reserved("10.72.0.20")).raise_for_status()

    answer = http.post("/v1/apply", json={"pools": [rs(exclusions=["10.72.0.20"])]})

    [refusal] = answer.json()["refusals"]
    assert (refusal["what"], refusal["code"]) == ("pool rs", "reservation-conflicts")


def test_a_reservation_outside_every_pool_is_made_with_a_warning(http: httpx.Client) -> None:
    http.post("/v1/pools", json=rs()).raise_for_status()

    inside = http.post("/v1/reservations", json=reserved("10.72.0.9"))
    outside = http.post("/v1/reservations", json=reserved("10.99.0.9"))
    elsewhere = http.post("/v1/reservations", json=reserved("10.72.0.9", space="lab"))
    applied = http.post("/v1/apply", json={"reservations": [reserved("10.99.0.10")]})
    orphaned = http.post("/v1/apply", json={"pools": [], "prune": True})

    assert (inside.status_code, "warning" in inside.json()) == (201, False)
    assert "no pool of space default has 10.99.0.9" in outside.json()["warning"]
    assert "no pool of space lab has 10.72.0.9" in elsewhere.json()["warning"]
    assert ["10.99.0.10" in warning for warning in applied.json()["warnings"]] == [True]
    assert ["10.72.0.9" in warning for warning in orphaned.json()["warnings"]] == [True]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "224.0.0.9", "255.255.255.255", "0.0.0.0", "::1", "ff02::1"]
)
def test_no_address_that_no_host_may_have_is_reserved_or_given(http: httpx.Client, address: str) -> None:
    for path, body in (
        ("/v1/reservations", {"address": address}),
        ("/v1/allocations", {"owner": "vm", "address": address}),
        ("/v1/apply", {"reservations": [{"address": address}]}),
    ):
        answer = http.post(path, json=body)
        assert "no host may have" in answer.json()["detail"], path
        assert answer.status_code in (409, 422)


def test_an_error_of_an_add_names_the_reservation_behind_it(http: httpx.Client, new_pool: NewPool) -> None:
    name = new_pool(subnet="10.73.0.0/24")["name"]
    made = http.post("/v1/reservations", json=reserved("10.73.0.9")).json()
    number = made["id"]

    other = add(http, "other", name, "IP=10.73.0.9")
    first = add(http, "first", name, OF_WEB)
    second = add(http, "second", name, OF_WEB)

    why = f"10.73.0.9 is not available: it is reserved for n/web (reservation {number})"
    assert why in other.json()["msg"]
    assert first.status_code == 200
    assert second.json()["code"] == 101
    assert f"reservation {number} keeps 10.73.0.9 for n/web" in second.json()["msg"]
    for held in http.get("/v1/allocations", params={"pool": name}).json()["items"]:
        http.delete(f"/v1/allocations/{held['id']}")
