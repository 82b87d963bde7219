"""Change requests: a reader asks, an admin decides, and what is asked for is made once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.access.conftest import Caller, NewCaller, held


def ask(who: Caller, **body: Any) -> dict[str, Any]:
    """Ask for something; the request as it is shown."""
    answer = who.post("/v1/requests", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/requests/{made['id']}"
    return made


def approve(who: Caller, request: dict[str, Any], **body: Any) -> Any:
    return who.post(f"/v1/requests/{request['id']}/approve", body)


@pytest.mark.usefixtures("pool")
def test_an_address_that_a_reader_asked_for_is_given_when_an_admin_approves(
    admin: Caller, reader: Caller
) -> None:
    asked = ask(reader, allocation={"owner": "vm-1", "pool": "pods"}, note="for the shop")
    assert held(admin) == []

    approved = approve(admin, asked, reason="fine").json()

    [row] = admin.get("/v1/allocations").json()["items"]
    assert (row["owner"], row["pool"]) == ("vm-1", "pods")
    assert row["begun_by"].startswith("ann ")
    assert approved["outcome"] == {"allocation": row["id"], "address": row["address"], "pool": "pods"}
    assert (asked["state"], asked["wanted"]["owner"], asked["note"]) == ("open", "vm-1", "for the shop")
    assert (approved["state"], approved["reason"]) == ("approved", "fine")
    assert approved["decided_by"].startswith("ann ")
    assert approved["created_by"] == asked["created_by"] != approved["decided_by"]
    assert reader.get(f"/v1/requests/{asked['id']}").json() == approved


def test_a_reservation_is_made_with_the_approval_and_is_in_the_log(admin: Caller, reader: Caller) -> None:
    asked = ask(reader, reservation={"address": "203.0.113.9", "owner": "lb"})

    approved = approve(admin, asked).json()

    made = admin.get(f"/v1/reservations/{approved['outcome']['reservation']}").json()
    assert (made["address"], made["owner"]) == ("203.0.113.9", "lb")
    [entry] = admin.get("/v1/log?kind=reservation&name=203.0.113.9").json()["items"]
    assert entry["by"].startswith("ann ")
    admin.ask("DELETE", f"/v1/reservations/{made['id']}")


def test_a_request_is_decided_once(admin: Caller, reader: Caller) -> None:
    refused = ask(reader, reservation={"address": "203.0.113.20"})
    answer = admin.post(f"/v1/requests/{refused['id']}/refuse", {"reason": "take another"})
    assert (answer.json()["state"], answer.json()["reason"]) == ("refused", "take another")

    again = [approve(admin, refused), admin.post(f"/v1/requests/{refused['id']}/refuse", {"reason": "x"})]

    assert [(each.status_code, each.json()["code"]) for each in again] == [(409, "request-decided")] * 2
    assert admin.get("/v1/reservations?address=203.0.113.20").json()["items"] == []


@pytest.mark.usefixtures("pool")
def test_many_approvals_at_once_take_one_address(admin: Caller, reader: Caller) -> None:
    asked = ask(reader, allocation={"owner": "vm-1", "pool": "pods"})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: approve(admin, asked), range(8)))

    assert {each.status_code for each in answers} <= {200, 409}
    assert len(held(admin)) == 1
    assert admin.get(f"/v1/requests/{asked['id']}").json()["outcome"]["address"] == held(admin)[0]


@pytest.mark.usefixtures("pool")
def test_a_request_that_cannot_be_met_stays_open_with_the_refusal_of_rest(
    admin: Caller, reader: Caller
) -> None:
    lost = ask(reader, allocation={"owner": "vm-1", "pool": "pods", "address": "10.0.0.1"})
    nowhere = ask(reader, allocation={"owner": "vm-1", "pool": "none"})
    clash = ask(reader, reservation={"address": "203.0.113.32/30"})
    admin.post("/v1/reservations", {"address": "203.0.113.33"})

    answers = [approve(admin, each) for each in (lost, nowhere, clash)]

    assert [each.json()["code"] for each in answers] == [
        *("address-unavailable", "pool-unknown", "reservation-conflicts")
    ]
    states = {each["id"]: each["state"] for each in reader.get("/v1/requests?state=open").json()["items"]}
    assert {each["id"] for each in (lost, nowhere, clash)} <= states.keys()
    admin.ask("DELETE", f"/v1/reservations/{admin.get('/v1/reservations').json()['items'][-1]['id']}")


@pytest.mark.usefixtures("pool")
def test_who_may_ask_and_who_may_decide(
    admin: Caller, reader: Caller, node: Caller, joiner: Caller, nobody: Caller
) -> None:
    body = {"allocation": {"owner": "vm-1", "pool": "pods"}}
    asked = ask(reader, **body)
    path = f"/v1/requests/{asked['id']}"

    assert [who.post("/v1/requests", body).status_code for who in (node, joiner, nobody)] == [403, 403, 401]
    for who in (reader, node, joiner):
        assert approve(who, asked).status_code == 403
        assert who.post(f"{path}/refuse", {"reason": "x"}).status_code == 403
    assert [who.get(path).status_code for who in (admin, reader, node)] == [200, 200, 403]
    assert held(admin) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"allocation": None},
        {"allocation": {"owner": "a"}, "reservation": {"address": "10.0.0.1"}},
        {"allocation": {"pool": "pods"}},
        {"reservation": {"address": "10.0.0.300"}},
        {"reservation": {"address": "10.0.0.3", "name": "without-namespace"}},
        {"allocation": {"owner": "a"}, "note": ""},
        {"allocation": {"owner": "a"}, "state": "approved"},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(reader: Caller, body: Any) -> None:
    answer = reader.post("/v1/requests", body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_one_reader_cannot_fill_the_list(new_caller: NewCaller, reader: Caller) -> None:
    flood = new_caller("reader", name="flood")
    for number in range(50):
        ask(flood, reservation={"address": f"198.51.100.{number}"})

    answer = flood.post("/v1/requests", {"reservation": {"address": "198.51.100.99"}})

    assert (answer.status_code, answer.json()["code"]) == (429, "too-many-requests")
    ask(reader, reservation={"address": "198.51.100.99"})
    name = flood.get("/v1/requests?limit=1&state=open").json()
    assert name["next"] is not None
