"""Leases over REST: what a node is granted, what its reports do, and what brings a seat back."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.lease_holder import KEY, LeaseHolder
from tests.api.plugin_call import BOOT, call, issued
from tests.waiting import eventually

HOUR_NS = 3_600_000_000_000
OTHER_BOOT = BOOT.replace("a", "b")


@pytest.fixture
def pool(new_pool: NewPool) -> str:
    """A pool whose addresses need not cool down."""
    name: str = new_pool(cooldown=0)["name"]
    return name


@pytest.fixture
def holder(http: httpx.Client, pool: str) -> LeaseHolder:
    """A node with two free seats of the pool."""
    holder = LeaseHolder(http, pool)
    holder.ask()
    return holder


def held_on(http: httpx.Client, holder: LeaseHolder) -> dict[str, str]:
    """The addresses of a node's containers."""
    items = http.get("/v1/allocations", params={"cluster": "default", "node": holder.node}).json()["items"]
    return {item["address"]: item["container_id"] for item in items}


def usage(http: httpx.Client, pool: str) -> dict[str, int]:
    """How full a pool is."""
    counted: dict[str, int] = http.get(f"/v1/pools/{pool}/usage").json()
    return counted


def as_before(http: httpx.Client) -> None:
    """Nothing contradicts anything."""
    cursor: str | None = ""
    while cursor is not None:
        portion = http.post("/v1/check", json={"cursor": cursor} if cursor else {}).json()
        assert portion["items"] == []
        cursor = portion["next"]


def test_a_node_gets_seats_with_the_answers_that_adds_would_get(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    shown = http.post("/v1/cni/add", json=call("shown", node=holder.node, config=holder.config)).json()

    assert len(holder.states) == 2
    for seat in holder.results:
        result = holder.results[seat]
        assert {**result, "ips": [{**result["ips"][0], "address": ""}]} == {
            **shown,
            "ips": [{**shown["ips"][0], "address": ""}],
        }
    assert len({holder.address(seat) for seat in holder.results}) == 2
    counted = usage(http, pool)
    assert (counted["leased"], counted["allocated"]) == (2, 1)
    as_before(http)


def test_nobody_else_gets_what_is_leased(http: httpx.Client, pool: str, holder: LeaseHolder) -> None:
    others = [http.post("/v1/cni/add", json=call(f"o{n}", ipam={"pools": [pool]})).json() for n in range(4)]

    given = {each["ips"][0]["address"].partition("/")[0] for each in others}
    assert given.isdisjoint({holder.address(seat) for seat in holder.results})


def test_a_lost_answer_is_given_again_under_the_same_number(holder: LeaseHolder) -> None:
    holder.free = 4
    lost = holder.post().json()

    again = holder.ask()

    assert again["grant"] == lost["grant"]
    assert [seat["seat"] for seat in again["seats"]] == [seat["seat"] for seat in lost["seats"]]
    assert holder.ask()["seats"] == []


def test_a_reported_container_has_its_address_since_it_began(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    seat = min(holder.states)
    holder.begin(seat, "a1", 10, args="K8S_POD_NAMESPACE=web;K8S_POD_NAME=front-0")

    holder.report()

    assert held_on(http, holder) == {holder.address(seat): "a1"}
    [item] = http.get("/v1/allocations", params={"namespace": "web", "name": "front-0"}).json()["items"]
    assert item["address"] == holder.address(seat)
    counted = usage(http, pool)
    assert (counted["leased"], counted["allocated"]) == (1, 1)
    as_before(http)


def test_a_container_that_ended_is_history_and_its_seat_is_free_again(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    seat = min(holder.states)
    holder.begin(seat, "b1", 10)
    holder.end(seat, "b1", 20)
    holder.begin(seat, "b2", 30)
    holder.end(seat, "b2", 40, ending="undone")

    assert holder.report() == {"acknowledged": 4, "obeyed": True}

    past = http.get("/v1/history", params={"address": holder.address(seat)}).json()["items"]
    ended = [(item["container_id"], item["ending"]) for item in past if item["until"]]
    assert ended == [("b2", "undone"), ("b1", "released")]
    assert held_on(http, holder) == {}
    assert usage(http, pool)["leased"] == 2
    as_before(http)


def test_moments_are_held_between_what_the_address_did_before_and_now(
    http: httpx.Client, holder: LeaseHolder
) -> None:
    seat = min(holder.states)
    holder.begin(seat, "c1", 10, age_ns=HOUR_NS)
    holder.end(seat, "c1", 20, age_ns=HOUR_NS)
    holder.report()

    past = http.get("/v1/history", params={"address": holder.address(seat)}).json()["items"]
    [row] = [item for item in past if item["until"]]
    assert row["since"] == row["until"]
    as_before(http)


def test_a_report_that_comes_again_changes_nothing_and_a_gap_is_refused(
    http: httpx.Client, holder: LeaseHolder
) -> None:
    seat = min(holder.states)
    holder.begin(seat, "d1", 10)
    body = holder.report_body()
    holder.report()
    holder.end(seat, "d1", 20)
    holder.report()

    again = http.post("/v1/leases/report", json=body)
    gap = http.post("/v1/leases/report", json={**body, "first": 9})

    assert again.json() == {"acknowledged": 2, "obeyed": True}
    assert held_on(http, holder) == {}
    assert (gap.status_code, gap.json()["code"], gap.json()["wanted"]) == (409, "report-gap", 3)


def test_what_ipamd_ends_goes_back_to_the_lease_and_the_node_is_told(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    seat = min(holder.states)
    holder.begin(seat, "e1", 10)
    holder.report()

    http.post("/v1/cni/del", json=call("e1", node=holder.node, issued=issued(50)))
    holder.free = 1
    told = holder.ask()

    assert told["ended"] == [
        {
            "seat": seat,
            "network": "pods",
            "container_id": "e1",
            "ifname": "eth0",
            "issued": {"boot": BOOT, "uptime_ns": 10},
        }
    ]
    assert usage(http, pool)["leased"] == 2
    holder.end(seat, "e1", 60)
    assert holder.report()["obeyed"]
    assert holder.ask()["ended"] == []
    as_before(http)


def test_an_admin_who_releases_a_leased_container_gives_the_address_to_no_other(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    seat = min(holder.states)
    holder.begin(seat, "f1", 10)
    holder.report()
    [item] = http.get("/v1/allocations", params={"node": holder.node, "cluster": "default"}).json()["items"]

    assert http.delete(f"/v1/allocations/{item['id']}").status_code == 204

    wanted = call("f2", ipam={"pools": [pool]}, args=f"IP={holder.address(seat)}", timeout=1)
    assert http.post("/v1/cni/add", json=wanted).json()["code"] == 11
    assert holder.ask()["ended"][0]["container_id"] == "f1"


def test_a_free_seat_is_not_released_by_its_row(http: httpx.Client, pool: str, holder: LeaseHolder) -> None:
    [item, _] = http.get("/v1/allocations", params={"pool": pool}).json()["items"]

    refused = http.delete(f"/v1/allocations/{item['id']}")

    assert (refused.status_code, refused.json()["code"]) == (409, "seat-leased")
    assert usage(http, pool)["leased"] == 2


def test_a_del_that_came_before_the_begin_ends_it(http: httpx.Client, holder: LeaseHolder) -> None:
    seat = min(holder.states)
    holder.begin(seat, "g1", 10)
    http.post("/v1/cni/del", json=call("g1", node=holder.node, issued=issued(50)))

    holder.report()

    assert held_on(http, holder) == {}
    assert holder.ask()["ended"][0]["container_id"] == "g1"
    past = http.get("/v1/history", params={"address": holder.address(seat)}).json()["items"]
    assert [item["container_id"] for item in past if item["until"]] == ["g1"]


def test_a_begin_stands_beside_what_its_container_has_already(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    first = http.post("/v1/cni/add", json=call("h1", node=holder.node, config=holder.config)).json()
    seat = min(holder.states)
    holder.begin(seat, "h1", 10)

    holder.report()

    central = first["ips"][0]["address"].partition("/")[0]
    assert held_on(http, holder) == {central: "h1", holder.address(seat): "h1"}
    http.post("/v1/cni/del", json=call("h1", node=holder.node, issued=issued(50)))
    assert held_on(http, holder) == {}
    assert usage(http, pool)["leased"] == 2
    as_before(http)


def test_an_add_of_a_container_with_a_seat_is_not_answered_from_the_seat(
    http: httpx.Client, holder: LeaseHolder
) -> None:
    seat = min(holder.states)
    holder.begin(seat, "i1", 10)
    holder.report()
    again = call("i1", node=holder.node, config=holder.config, issued=issued(30))

    early = http.post("/v1/cni/add", json=again)
    told = http.post("/v1/cni/add", json={**again, "ended": issued(20)})

    assert early.json()["code"] == 11
    assert told.status_code == 200
    assert told.json()["ips"][0]["address"].partition("/")[0] != holder.address(seat)


def test_a_seat_that_is_given_back_is_free_as_before(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    first, second = sorted(holder.states)
    holder.begin(second, "j1", 10)
    holder.end(second, "j1", 20)
    holder.report()
    holder.free = 0
    holder.states = dict.fromkeys(holder.states, "returning")

    told = holder.ask()

    assert told["returned"] == [first, second]
    assert holder.post(seats=[{"seat": first, "state": "returning"}]).json()["returned"] == [first]
    counted = usage(http, pool)
    assert (counted["leased"], counted["allocated"]) == (0, 0)
    assert http.delete(f"/v1/pools/{pool}").status_code == 204
    as_before(http)


def test_a_seat_with_a_container_is_not_taken_back(http: httpx.Client, holder: LeaseHolder) -> None:
    seat = min(holder.states)
    holder.begin(seat, "k1", 10)
    holder.report()
    holder.states[seat] = "returning"

    assert holder.ask()["returned"] == []

    holder.end(seat, "k1", 20)
    holder.report()
    holder.states[seat] = "returning"
    assert holder.ask()["returned"] == [seat]


def test_a_seat_that_ipamd_does_not_know_is_void_and_its_events_change_nothing(holder: LeaseHolder) -> None:
    holder.states[999] = "free"

    assert holder.ask()["void"] == [999]
    holder.begin(999, "l1", 10)
    assert holder.report() == {"acknowledged": 1, "obeyed": True}
    assert "l1" not in held_on(holder.http, holder).values()


def test_answers_follow_a_change_of_their_pool_and_nothing_else(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    assert holder.ask()["seats"] == []
    http.patch(f"/v1/pools/{pool}", json={"dns": {"nameservers": ["10.9.9.9"]}})

    told = holder.ask()

    assert {seat["seat"] for seat in told["seats"]} == set(holder.states)
    assert all(result["dns"] == {"nameservers": ["10.9.9.9"]} for result in holder.results.values())
    assert holder.ask()["seats"] == []


@pytest.mark.parametrize("change", [{"state": "draining"}, {"lease": 0}])
def test_a_pool_that_leases_no_more_gets_its_seats_back(
    http: httpx.Client, pool: str, holder: LeaseHolder, change: dict[str, Any]
) -> None:
    assert http.patch(f"/v1/pools/{pool}", json=change).status_code == 200

    told = holder.ask()

    assert told["recall"] == sorted(holder.states)
    assert KEY in told["refused"]
    holder.states = dict.fromkeys(holder.states, "returning")
    assert len(holder.ask()["returned"]) == 2
    assert usage(http, pool)["leased"] == 0


def test_a_node_that_waits_is_told_at_once_when_a_pool_drains(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    holder.ask()
    assert http.patch(f"/v1/pools/{pool}", json={"state": "draining"}).status_code == 200

    told = holder.post(wait=50).json()

    assert told["recall"] == sorted(holder.states)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"selectors": {"namespaces": ["web"]}}, "asks for the namespace of each pod"),
        ({"lease": 0}, "its lease is 0"),
        ({"state": "draining"}, "is draining"),
    ],
)
def test_no_seat_is_granted_where_the_pod_decides_and_it_is_said_why(
    http: httpx.Client, new_pool: NewPool, fields: dict[str, Any], why: str
) -> None:
    holder = LeaseHolder(http, new_pool(**fields)["name"])

    told = holder.ask()

    assert told["seats"] == []
    assert why in told["refused"][KEY]


def test_no_seat_is_granted_of_a_pool_with_a_reservation_for_a_pod(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pool = new_pool(subnet="10.230.0.0/24")["name"]
    body = {"address": "10.230.0.9", "namespace": "web", "name": "db-0"}
    made = http.post("/v1/reservations", json=body).json()
    holder = LeaseHolder(http, pool)

    assert f"reservation {made['id']}" in holder.ask()["refused"][KEY]


def test_a_scarce_pool_leases_nothing_and_wants_back_what_it_lacks(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pool = new_pool(subnet="10.231.0.0/28", cooldown=0)["name"]
    holder = LeaseHolder(http, pool, free=64)

    told = holder.ask()

    assert "less than a tenth" in told["refused"][KEY]
    assert 0 < usage(http, pool)["free"] <= 2
    for number in range(2):
        http.post("/v1/cni/add", json=call(f"m{number}", ipam={"pools": [pool]}))
    recalled: list[int] = []
    while not recalled:
        recalled = holder.post().json()["recall"]
    assert set(recalled) <= set(holder.states)
    assert len(recalled) <= 2


def test_another_machine_does_not_get_the_lease_of_a_name(holder: LeaseHolder) -> None:
    other = holder.post(machine="another", boot=OTHER_BOOT, store="s", epoch=None, seats=[], grant=0)

    assert (other.status_code, other.json()["code"]) == (409, "lease-superseded")
    assert holder.ask()["void"] == []


def test_a_new_boot_waits_and_the_present_one_strikes_it_out(holder: LeaseHolder) -> None:
    new: dict[str, Any] = {"boot": OTHER_BOOT, "store": "s2", "epoch": None, "seats": [], "grant": 0}

    first = holder.post(**new)
    assert (first.status_code, first.json()["code"]) == (409, "lease-settling")
    assert 1 <= int(first.headers["retry-after"]) <= 10
    holder.ask()

    again = holder.post(**new)
    assert int(again.headers["retry-after"]) == 10


def test_an_admin_recalls_what_a_node_has(http: httpx.Client, holder: LeaseHolder) -> None:
    answer = http.post("/v1/leases/recall", json={"node": holder.node})

    assert answer.json() == {"cluster": "default", "node": holder.node, "recalled": 2}
    holder.free = 0
    assert holder.ask()["recall"] == sorted(holder.states)
    assert http.post("/v1/leases/recall", json={"node": "nobody"}).status_code == 404


def test_leases_are_listed_with_their_seats(http: httpx.Client, pool: str, holder: LeaseHolder) -> None:
    holder.begin(min(holder.states), "n1", 10)
    holder.report()

    [shown] = http.get("/v1/leases", params={"node": holder.node}).json()["items"]

    assert (shown["seats"], shown["taken"], shown["pools"]) == (2, 1, {pool: 2})
    assert (shown["reported"], shown["machine"], shown["epoch"]) == (1, holder.machine, 1)
    by_pool = http.get("/v1/leases", params={"pool": pool}).json()["items"]
    assert [each["node"] for each in by_pool] == [holder.node]


def test_a_node_is_told_which_containers_it_has(http: httpx.Client, holder: LeaseHolder) -> None:
    seat = min(holder.states)
    holder.begin(seat, "o1", 10)
    holder.report()
    http.post("/v1/cni/add", json=call("o2", node=holder.node, config=holder.config, issued=issued(20)))

    told = holder.ask(confirm=True)

    assert told["identities"] == [
        {
            "network": "pods",
            "container_id": "o2",
            "ifname": "eth0",
            "issued": {"boot": BOOT, "uptime_ns": 20},
        }
    ]


def test_a_node_is_released_when_it_can_give_no_more_or_by_force(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    seat = min(holder.states)
    holder.begin(seat, "p1", 10)
    holder.report()
    path = f"/v1/nodes/default/{holder.node}/release"

    alive = http.post(path, json={"why": "off", "even_if_alive": False})
    forced = http.post(path, json={"why": "off", "even_if_alive": True})

    assert alive.status_code == 409
    assert forced.json()["released"] == 1
    counted = usage(http, pool)
    assert (counted["leased"], counted["allocated"]) == (0, 0)
    late = holder.post()
    assert (late.status_code, late.json()["code"]) == (410, "lease-over")
    holder.end(seat, "p1", 20)
    assert holder.report() == {"acknowledged": 2, "obeyed": False}
    holder.epoch, holder.store, holder.grant = None, "store-2", 0
    assert holder.ask()["void"] == sorted(holder.states)[:2]
    as_before(http)


@pytest.mark.parametrize(
    "changes",
    [
        {"grant": -1},
        {"seats": [{"seat": 1, "state": "lost"}]},
        {"unknown": 1},
        {"machine": ""},
        {"configurations": [{"key": "xyz", "config": {}, "free": 1}]},
        {"configurations": [{"key": KEY, "config": {"name": "pods"}, "free": 1}]},
    ],
)
def test_what_is_no_asking_is_refused_with_its_field(holder: LeaseHolder, changes: dict[str, Any]) -> None:
    refused = holder.post(**changes)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")


def test_the_last_address_is_given_out_though_a_node_holds_it_in_advance(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pool = new_pool(subnet="10.232.0.0/29", cooldown=0)["name"]
    holder = LeaseHolder(http, pool, free=2)
    holder.ask()
    holder.free = 0
    left = usage(http, pool)["free"]
    for number in range(left):
        assert "ips" in http.post("/v1/cni/add", json=call(f"q{number}", ipam={"pools": [pool]})).json()

    with ThreadPoolExecutor(1) as threads:
        last = threads.submit(
            http.post, "/v1/cni/add", json=call("q9", ipam={"pools": [pool]}, timeout=50), timeout=60
        )
        told = holder.ask(wait=40)
        holder.states = dict.fromkeys(told["recall"], "returning")
        holder.ask()

    assert "ips" in last.result().json()


def test_if_only_silent_nodes_have_addresses_left_they_are_named(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pool = new_pool(subnet="10.233.0.0/29", cooldown=0)["name"]
    holder = LeaseHolder(http, pool, free=2)
    holder.ask()
    for number in range(usage(http, pool)["free"]):
        http.post("/v1/cni/add", json=call(f"r{number}", ipam={"pools": [pool]}))

    refused = http.post("/v1/cni/add", json=call("r9", ipam={"pools": [pool]}, timeout=1.2)).json()

    assert refused["code"] == 11
    assert re.search(rf"node {holder.node} \(last heard at [^)]+\) 2; try again", refused["msg"])
    http.patch(f"/v1/pools/{pool}", json={"state": "draining"})
    assert http.post("/v1/cni/add", json=call("r9", ipam={"pools": [pool]})).json()["code"] == 100


def test_a_recall_that_a_container_delays_does_not_make_its_node_ask_without_rest(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    first, second = sorted(holder.states)
    holder.free = 0
    holder.begin(first, "s1", 10)
    holder.report()
    holder.states[second] = "returning"
    http.post("/v1/leases/recall", json={"node": holder.node})
    holder.ask()

    began = time.monotonic()
    told = holder.post(wait=1).json()

    assert told["recall"] == [first]
    assert time.monotonic() - began >= 1


def test_who_ends_one_address_of_a_seat_ends_all_of_it(http: httpx.Client, new_pool: NewPool) -> None:
    pools = [new_pool(subnet=subnet)["name"] for subnet in ("10.234.0.0/24", "fd00:234::/64")]
    holder = LeaseHolder(http, pools[0], free=1)
    holder.config["ipam"]["pools"] = pools
    holder.ask()
    [seat] = holder.states
    holder.begin(seat, "t1", 10)
    holder.report()
    [item] = http.get("/v1/allocations", params={"pool": pools[1]}).json()["items"]

    assert http.delete(f"/v1/allocations/{item['id']}").status_code == 204

    assert held_on(http, holder) == {}
    assert [usage(http, pool)["leased"] for pool in pools] == [1, 1]
    assert [each["container_id"] for each in holder.ask()["ended"]] == ["t1"]
    as_before(http)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"cluster"', 400, "invalid-json"),
        (b'{"cluster": "default"}', 422, "invalid"),
        (b" " * 4_194_305, 413, "too-large"),
    ],
)
def test_what_is_no_report_is_refused(http: httpx.Client, body: bytes, status: int, code: str) -> None:
    answer = http.post("/v1/leases/report", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_report_whose_target_is_a_whole_url_is_carried_out(holder: LeaseHolder) -> None:
    holder.begin(min(holder.states), "u1", 10)
    target = {"target": b"http://localhost/v1/leases/report"}

    answer = holder.http.post("/v1/leases/report", json=holder.report_body(), extensions=target)

    assert answer.json() == {"acknowledged": 1, "obeyed": True}


def gives_back(holder: LeaseHolder) -> None:
    """A node that waits for news, and gives back the free seats that it is asked for."""
    holder.free = 0
    told = holder.ask(wait=20)
    assert told["recall"]
    holder.states |= dict.fromkeys(told["recall"], "returning")
    holder.ask()


def test_a_pod_gets_the_address_that_it_asks_for_though_a_node_holds_it_in_advance(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    wanted, other = sorted(holder.states)
    asked = call("v1", ipam={"pools": [pool]}, args=f"IP={holder.address(wanted)}", timeout=50)

    with ThreadPoolExecutor(1) as threads:
        adding = threads.submit(http.post, "/v1/cni/add", json=asked, timeout=60)
        gives_back(holder)

    given = adding.result().json()["ips"][0]["address"].partition("/")[0]
    assert given == http.get("/v1/allocations", params={"container_id": "v1"}).json()["items"][0]["address"]
    assert list(holder.states) == [other]
    as_before(http)


def test_an_owner_gets_an_address_that_a_node_holds_in_advance(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    address = holder.address(min(holder.states))
    body = {"owner": "vm-1", "pool": pool, "address": address}

    with ThreadPoolExecutor(1) as threads:
        made = threads.submit(http.post, "/v1/allocations", json=body)
        gives_back(holder)

    assert (made.result().status_code, made.result().json()["address"]) == (201, address)


def test_if_the_node_does_not_give_an_address_back_it_is_named(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    seat = min(holder.states)
    address = holder.address(seat)
    holder.begin(seat, "w1", 10)  # and it has not reported this yet
    asked = call("w2", ipam={"pools": [pool]}, args=f"IP={address}", timeout=1.2)

    refused = http.post("/v1/cni/add", json=asked).json()

    assert refused["code"] == 11
    assert f"{address} is held in advance by node {holder.node} (last heard at" in refused["msg"]
    holder.report()
    taken = http.post("/v1/cni/add", json=asked).json()
    assert taken["code"] == 101
    assert holder.ask()["recall"] == [seat]


def test_a_free_seat_may_be_reserved_and_is_recalled(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    seat = min(holder.states)
    body = {"address": holder.address(seat), "owner": "vm-2"}

    made = http.post("/v1/reservations", json=body)
    assert made.status_code == 201, made.text

    assert seat in holder.ask(wait=20)["recall"]


def test_a_plugin_of_the_present_boot_strikes_out_a_clone(http: httpx.Client, holder: LeaseHolder) -> None:
    clone: dict[str, Any] = {"boot": OTHER_BOOT, "store": "s2", "epoch": None, "seats": [], "grant": 0}
    assert holder.post(**clone).json()["code"] == "lease-settling"
    spooled = call("x1", node=holder.node, issued=issued(5), delivered=issued(9, OTHER_BOOT))
    http.post("/v1/cni/del", json=spooled)

    def is_struck_out() -> bool:
        """Its ten seconds begin anew when it asks again; those that were under way had become fewer."""
        http.post("/v1/cni/add", json=call("x2", node=holder.node, issued=issued(50)))
        time.sleep(1.1)
        return int(holder.post(**clone).headers["retry-after"]) == 10

    time.sleep(1.1)
    assert int(holder.post(**clone).headers["retry-after"]) < 10
    eventually(is_struck_out)


def test_a_node_that_holds_seats_is_forgotten_only_if_it_comes_back(
    http: httpx.Client, holder: LeaseHolder
) -> None:
    path = f"/v1/nodes/default/{holder.node}"
    http.put(path, json={"labels": {"rack": "1"}})

    refused = http.delete(path)

    assert (refused.status_code, refused.json()["code"]) == (409, "node-holds-seats")
    assert f"ipamctl node release {holder.node}" in refused.json()["detail"]
    assert http.delete(path, params={"keep_lease": True}).status_code == 204
    assert holder.ask()["void"] == []


def test_a_returned_seat_of_an_epoch_that_is_over_is_not_taken(
    http: httpx.Client, pool: str, holder: LeaseHolder
) -> None:
    former = holder.body(seats=[{"seat": seat, "state": "returning"} for seat in holder.states])
    http.post(f"/v1/nodes/default/{holder.node}/release", json={"why": "off", "even_if_alive": True})
    holder.epoch, holder.store, holder.grant, holder.states = None, "store-2", 0, {}
    holder.ask()

    late = http.post("/v1/leases", json=former)

    assert (late.status_code, late.json()["code"]) == (410, "lease-over")
    assert usage(http, pool)["leased"] == 2


def test_a_page_of_leases_reads_no_more(http: httpx.Client, pool: str) -> None:
    for _ in range(3):
        LeaseHolder(http, pool, free=1).ask()

    first = http.get("/v1/leases", params={"pool": pool, "limit": 2}).json()
    second = http.get("/v1/leases", params={"pool": pool, "limit": 2, "cursor": first["next"]}).json()

    assert [len(page["items"]) for page in (first, second)] == [2, 1]
    assert second["next"] is None
    assert {item["token_revoked"] for item in first["items"]} == {False}
