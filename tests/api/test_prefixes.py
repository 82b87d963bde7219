"""Prefixes over REST: given, refused, found by their addresses, counted and released."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.plugin_call import call
from tests.service import IpamdProcess, running_service
from tests.waiting import eventually


def create(http: httpx.Client, owner: str, **body: Any) -> httpx.Response:
    return http.post("/v1/allocations", json={"owner": owner, **body})


def test_an_owner_gets_a_prefix_that_every_address_in_it_finds(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool(subnet="10.220.0.0/24")

    made = create(http, "vm-1", pool=pool["name"], prefix_length=28)
    document = made.json()

    assert made.status_code == 201
    assert (document["address"], document["prefix_length"]) == ("10.220.0.48", 28)
    for address in ("10.220.0.48", "10.220.0.55", "10.220.0.63"):
        assert http.get("/v1/allocations", params={"address": address}).json()["items"] == [document]
        assert http.get("/v1/history", params={"address": address}).json()["items"] == [document]
    assert http.get("/v1/allocations", params={"address": "10.220.0.64"}).json()["items"] == []


def test_addresses_and_prefixes_come_from_one_pool_and_none_overlaps(
    http: httpx.Client, new_pool: NewPool, lasting_ipamd: IpamdProcess
) -> None:
    pool = new_pool(subnet="10.221.0.0/25", cooldown=0)
    had: list[Any] = []
    lengths = [None, 28, 29, None, 31, 30, 28, None, 27, 26, None, 29] * 3

    with ThreadPoolExecutor(8) as callers:
        asked = [{"pool": pool["name"], **({"prefix_length": each} if each else {})} for each in lengths]
        answers = list(callers.map(lambda each: create(http, "vm", **each[1]), enumerate(asked)))

    for answer in answers:
        assert answer.status_code in (201, 409), answer.text
        if answer.status_code == 201:
            document = answer.json()
            had.append(ip_network(f"{document['address']}/{document['prefix_length'] or 32}"))
    assert not any(one.overlaps(other) for at, one in enumerate(had) for other in had[:at])
    usage = http.get(f"/v1/pools/{pool['name']}/usage").json()
    prefixes = [each.prefixlen for each in had if each.prefixlen < 32]
    assert usage["allocated"] == sum(each.num_addresses for each in had)
    assert usage["prefixes"] == {str(length): prefixes.count(length) for length in sorted({*prefixes})}
    assert usage["free"] == 125 - usage["allocated"]
    assert lasting_ipamd.contradictions() == []


@pytest.mark.parametrize(
    ("body", "status", "code", "said"),
    [
        ({"prefix_length": 33}, 422, "invalid", "1 to 32"),
        ({"prefix_length": 128}, 422, "invalid", "127"),
        ({"prefix_length": 0}, 422, "invalid", "1"),
        ({"prefix_length": -1}, 422, "invalid", "1"),
        ({"prefix_length": "28"}, 422, "invalid", "integer"),
        ({"prefix_length": 28.5}, 422, "invalid", "integer"),
        ({"prefix_length": True}, 422, "invalid", "integer"),
        ({"prefix_length": 24}, 422, "invalid", "has no /24 in it"),
        ({"prefix_length": 8}, 422, "invalid", "has no /8 in it"),
        ({"prefix_length": 25}, 422, "invalid", "its blocks are /26"),
        ({"prefix_length": 32}, 422, "invalid", "ask for an address"),
        ({"prefix_length": 28, "address": "10.222.0.17"}, 422, "invalid", "write 10.222.0.16"),
        ({"prefix_length": 28, "address": "10.222.0.0"}, 409, "address-unavailable", "10.222.0.0 is in it"),
        ({"prefix_length": 28, "address": "10.222.0.240"}, 409, "address-unavailable", "the broadcast"),
        ({"prefix_length": 28, "address": "10.222.0.32"}, 409, "address-unavailable", "is excluded"),
        ({"prefix_length": 28, "address": "10.222.0.64"}, 409, "address-unavailable", "is reserved for"),
        ({"prefix_length": 28, "address": "10.222.0.96"}, 409, "address-taken", "10.222.0.100 is held by"),
        ({"prefix_length": 26}, 409, "nothing-free", "no /26 is free as a whole"),
    ],
)
def test_what_cannot_be_had_is_refused_and_nothing_is_taken(
    http: httpx.Client, body: dict[str, Any], status: int, code: str, said: str
) -> None:
    exclusions = ["10.222.0.40", "10.222.0.130", "10.222.0.200"]
    rules = {"name": "strict", "subnet": "10.222.0.0/24", "auto_assign": False, "exclusions": exclusions}
    if http.post("/v1/pools", json=rules).status_code == 201:
        reserved = {"address": "10.222.0.70", "owner": "somebody"}
        assert http.post("/v1/reservations", json=reserved).status_code == 201
        assert create(http, "first", address="10.222.0.100").status_code == 201
    before = http.get("/v1/allocations").json()

    answer = create(http, "second", pool="strict", **body)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert said in answer.text
    assert http.get("/v1/allocations").json() == before


def test_a_prefix_that_is_held_is_refused_with_its_holder(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool(subnet="10.223.0.0/24")
    held = create(http, "first", pool=pool["name"], prefix_length=28, address="10.223.0.96").json()

    problems = [
        create(http, "second", address="10.223.0.101").json(),
        create(http, "second", pool=pool["name"], prefix_length=29, address="10.223.0.96").json(),
        create(http, "second", pool=pool["name"], prefix_length=27, address="10.223.0.96").json(),
    ]

    for problem in problems:
        assert problem["code"] == "address-taken"
        assert problem["allocation"] == held["id"]
        assert "first" in problem["detail"]


def test_a_reservation_over_a_held_prefix_is_refused_with_its_holder(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pool = new_pool(subnet="10.224.0.0/24")
    create(http, "first", pool=pool["name"], prefix_length=28, address="10.224.0.96")

    reserved = http.post("/v1/reservations", json={"address": "10.224.0.100", "owner": "second"})
    excluded = http.patch(f"/v1/pools/{pool['name']}", json={"exclusions": ["10.224.0.111"]})

    assert (reserved.status_code, reserved.json()["code"]) == (409, "reservation-conflicts")
    assert (excluded.status_code, excluded.json()["code"]) == (409, "would-strand")
    assert "held by first" in reserved.text
    assert "held by first" in excluded.text


def test_all_addresses_of_a_released_prefix_cool_down_and_may_be_had_after_it(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pool = new_pool(subnet="10.225.0.0/24", cooldown=300)
    made = create(http, "first", pool=pool["name"], prefix_length=28, address="10.225.0.96").json()

    assert http.delete(f"/v1/allocations/{made['id']}").status_code == 204

    usage = http.get(f"/v1/pools/{pool['name']}/usage").json()
    assert (usage["allocated"], usage["cooling"], usage["prefixes"]) == (0, 16, {})
    assert create(http, "second", address="10.225.0.101").status_code == 201
    refused = create(http, "third", pool=pool["name"], prefix_length=28, address="10.225.0.96")
    assert refused.json()["code"] == "address-taken"


def test_the_same_key_gets_the_same_prefix(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool(subnet="10.226.0.0/24")
    body = {"owner": "vm", "pool": pool["name"], "prefix_length": 28}
    key = {"Idempotency-Key": "prefix-1"}

    first, again = (http.post("/v1/allocations", json=body, headers=key).json() for _ in range(2))
    other = http.post("/v1/allocations", json={**body, "prefix_length": 29}, headers=key)

    assert first == again
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")


def test_a_quota_counts_the_addresses_of_an_ipv4_prefix_and_an_ipv6_prefix_as_one(
    http: httpx.Client, new_pool: NewPool, lasting_ipamd: IpamdProcess
) -> None:
    pool, six = new_pool(subnet="10.227.0.0/24"), new_pool(subnet="fd00:227::/64")
    quota = {"name": "prefixes", "limit": 17, "namespaces": ["prefixes"]}
    assert http.post("/v1/quotas", json=quota).status_code == 201
    of_team = {"namespace": "prefixes"}

    made = create(http, "a", pool=pool["name"], prefix_length=28, **of_team).json()
    codes = [
        create(http, "b", pool=pool["name"], prefix_length=31, **of_team).status_code,
        create(http, "c", pool=pool["name"], **of_team).status_code,
        create(http, "d", pool=pool["name"], **of_team).status_code,
        *(create(http, "e", pool=six["name"], prefix_length=124, **of_team).status_code for _ in range(17)),
        create(http, "f", pool=six["name"], prefix_length=124, **of_team).status_code,
    ]

    assert codes == [409, 201, 409, *[201] * 17, 409]
    http.delete(f"/v1/allocations/{made['id']}")
    uses = http.get("/v1/quotas/prefixes").json()["uses"]
    assert {each["family"]: each["used"] for each in uses} == {4: 1, 6: 17}
    assert lasting_ipamd.contradictions() == []
    http.delete("/v1/quotas/prefixes")


def test_an_owner_whom_workloads_name_may_have_a_prefix(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool(subnet="10.228.0.0/24")
    body = {"namespace": "lab", "name": "router", "pool": pool["name"], "prefix_length": 28}

    made = http.post("/v1/owners", json=body)
    again = http.post("/v1/owners", json=body)

    assert made.status_code == 201, made.text
    assert again.json()["items"] == made.json()["items"]
    [owned] = made.json()["items"]
    assert (owned["address"], owned["prefix_length"]) == ("10.228.0.48", 28)
    released = http.post("/v1/owners/lab/router/release", json={})
    assert released.json()["released"] == ["10.228.0.48"]
    usage = http.get(f"/v1/pools/{pool['name']}/usage").json()
    assert (usage["allocated"], usage["cooling"]) == (0, 16)


def test_who_waits_for_a_prefix_is_served_when_one_is_free_as_a_whole(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pool = new_pool(subnet="10.230.0.0/27", cooldown=0)
    body = {"owner": "second", "pool": pool["name"], "prefix_length": 29}
    held = [create(http, "first", address=f"10.230.0.{last}").json() for last in (9, 17)]

    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(http.post, "/v1/allocations", json=body, headers={"Prefer": "wait=20"})
        eventually(lambda: http.get(f"/v1/pools/{pool['name']}/usage").json()["waiting"])
        assert http.delete(f"/v1/allocations/{held[0]['id']}").status_code == 204
        answer = asked.result()

    assert answer.status_code == 201, answer.text
    assert (answer.json()["address"], answer.json()["prefix_length"]) == ("10.230.0.8", 29)


ANNOTATIONS = "io.kubernetes.cri.pod-annotations"


def add(http: httpx.Client, name: str, pools: list[str], prefix: object, **more: Any) -> httpx.Response:
    """An ADD of a pod whose annotation asks for a prefix."""
    config = {"runtimeConfig": {ANNOTATIONS: {"ipamd.io/prefix": prefix}}, **more.pop("config", {})}
    return http.post("/v1/cni/add", json=call(name, ipam={"pools": pools}, config=config, **more))


def test_a_pod_gets_a_prefix_beside_its_address_and_del_frees_both(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pool, nested = new_pool(subnet="10.231.0.0/24"), new_pool(subnet="10.232.0.0/24", cooldown=0)

    beside = add(http, "p1", [pool["name"]], "28")
    again = add(http, "p1", [pool["name"]], "/28")
    other = add(http, "p2", [pool["name"]], f"{nested['name']}/27")
    by_args = add(http, "p3", [pool["name"]], "", config={"args": {"cni": {"prefix": 29}}})
    slash = add(http, "p3", [pool["name"]], "", config={"args": {"cni": {"prefix": "/29"}}})

    assert [each["address"] for each in beside.json()["ips"]] == ["10.231.0.2/24"]
    assert beside.json()["ipamd.io/prefixes"] == ["10.231.0.112/28"]
    assert again.json() == beside.json()
    assert other.json()["ipamd.io/prefixes"] == ["10.232.0.32/27"]
    assert by_args.json()["ipamd.io/prefixes"] == ["10.231.0.104/29"]
    assert slash.json() == by_args.json()
    previous = {"config": {"prevResult": beside.json()}}
    checked = http.post("/v1/cni/check", json=call("p1", ipam={"pools": [pool["name"]]}, **previous))
    assert checked.status_code == 204, checked.text
    assert http.post("/v1/cni/del", json=call("p2")).status_code == 204
    assert http.get(f"/v1/pools/{nested['name']}/usage").json()["allocated"] == 0
    for name in ("p1", "p3"):
        http.post("/v1/cni/del", json=call(name))
    assert http.get("/v1/allocations", params={"pool": pool["name"]}).json()["items"] == []


def test_beside_both_families_the_length_says_of_which_the_prefix_is(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pools = [new_pool(subnet=each)["name"] for each in ("10.233.0.0/24", "fd00:233::/64")]

    told = [add(http, f"f{length}", pools, length).json()["ipamd.io/prefixes"] for length in ("28", "124")]

    assert told == [["10.233.0.112/28"], ["fd00:233::30/124"]]


@pytest.mark.parametrize(
    ("prefix", "code", "said"),
    [
        ("33", 7, "1 to 32"),
        ("129", 7, "length of a prefix"),
        ("0", 7, "length of a prefix"),
        ("028", 7, "length of a prefix"),
        ("-28", 7, "length of a prefix"),
        ("large", 7, "length of a prefix"),
        ("/", 7, "length of a prefix"),
        ("//28", 7, "is not the name of a pool"),
        ("28.0", 7, "length of a prefix"),
        (28, 7, "a string"),
        ("8", 7, "has no /8 in it"),
        ("25", 7, "has no /25 in it"),
        ("nowhere/28", 7, "nowhere"),
        ("26", 100, "no /26 is free as a whole"),
    ],
)
def test_an_add_with_a_prefix_that_cannot_be_had_takes_nothing(
    http: httpx.Client, prefix: object, code: int, said: str
) -> None:
    rules = {"name": "narrow", "subnet": "10.234.0.0/25", "auto_assign": False}
    http.post("/v1/pools", json={**rules, "exclusions": ["10.234.0.99"]})

    refused = add(http, "bad", ["narrow"], prefix).json()

    assert (refused["code"], said in refused["msg"] + refused.get("details", "")) == (code, True), refused
    assert http.get("/v1/allocations", params={"pool": "narrow"}).json()["items"] == []


def test_explain_says_where_a_prefix_would_come_from(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool(subnet="10.235.0.0/25", exclusions=["10.235.0.99"])["name"]
    config = {"runtimeConfig": {ANNOTATIONS: {"ipamd.io/prefix": "28"}}}

    def explained(length: str) -> list[tuple[int, str, str]]:
        config["runtimeConfig"][ANNOTATIONS]["ipamd.io/prefix"] = length
        told = http.post("/v1/explain", json=call("e1", ipam={"pools": [pool]}, config=config)).json()
        return [(each["position"], each["standing"], each["why"]) for each in told["pools"]]

    assert explained("28")[1] == (1, "gives", "it would give 10.235.0.80/28")
    position, standing, why = explained("26")[1]
    assert (position, standing) == (1, "full")
    assert "no whole /26" in why


def reserve(http: httpx.Client, pool: str, length: int, **more: Any) -> httpx.Response:
    return http.post("/v1/reservations", json={"pool": pool, "prefix_length": length, **more})


def test_a_64_out_of_a_48_is_reserved_at_the_end_of_its_pool(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool(subnet="fd00:236::/48")["name"]
    single = create(http, "vm", pool=pool).json()

    kept = [reserve(http, pool, length, owner=f"node-{length}").json() for length in (64, 64, 80)]

    assert [each["address"] for each in kept] == [
        "fd00:236:0:ffff::/64",
        "fd00:236:0:fffe::/64",
        "fd00:236:0:fffd:ffff::/80",
    ]
    usage = http.get(f"/v1/pools/{pool}/usage").json()
    assert usage["reserved"] == 2 * (1 << 64) + (1 << 48)
    assert usage["free"] == (1 << 80) - 2 - usage["reserved"] - usage["allocated"]
    its_own = create(http, "node-64", pool=pool).json()["address"]
    assert its_own.startswith(("fd00:236:0:ffff", "fd00:236:0:fffe"))
    refused = create(http, "other", pool=pool, address="fd00:236:0:ffff::9").json()
    assert refused["code"] == "address-unavailable"
    assert single["address"] == "fd00:236::2"


def test_a_prefix_that_is_reserved_has_nothing_of_anybody(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool(subnet="10.237.0.0/23", exclusions=["10.237.1.190"], cooldown=0)["name"]
    held = create(http, "vm", address="10.237.1.5").json()
    create(http, "vm", address="10.237.1.70")

    kept = [reserve(http, pool, 26, owner="node") for _ in range(6)]

    addresses = [each.json().get("address") for each in kept]
    assert addresses == ["10.237.0.192/26", "10.237.0.128/26", "10.237.0.64/26", None, None, None]
    assert kept[3].json()["code"] == "reservation-conflicts"
    http.delete(f"/v1/allocations/{held['id']}")
    assert reserve(http, pool, 26).json()["address"] == "10.237.1.0/26"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"prefix_length": 23}, 422, "invalid"),
        ({"prefix_length": 32}, 422, "invalid"),
        ({"prefix_length": 64}, 422, "invalid"),
        ({"prefix_length": 0}, 422, "invalid"),
        ({"prefix_length": None}, 422, "invalid"),
        ({"prefix_length": 28, "address": "10.238.0.0/28"}, 422, "invalid"),
        ({"prefix_length": 28, "pool": "nowhere"}, 422, "pool-unknown"),
        ({"prefix_length": 28, "pool": None}, 422, "invalid"),
        ({"prefix_length": 24}, 409, "reservation-conflicts"),
    ],
)
def test_a_reservation_of_a_prefix_that_there_is_not_is_refused(
    http: httpx.Client, body: dict[str, Any], status: int, code: str
) -> None:
    http.post("/v1/pools", json={"name": "halves", "subnet": "10.238.0.0/23", "auto_assign": False})
    before = http.get("/v1/reservations").json()

    answer = http.post("/v1/reservations", json={"pool": "halves", "owner": "node", **body})

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert http.get("/v1/reservations").json() == before


def test_the_check_finds_an_address_in_a_prefix_that_another_holds_too() -> None:
    with running_service() as service:
        service.create_pool("pods", "10.229.0.0/24")
        create(service.http, "first", pool="pods", prefix_length=28, address="10.229.0.96")
        create(service.http, "second", address="10.229.0.80")
        moved = "UPDATE allocation SET address = X'0ae50065', place = 37 WHERE owner = 'second'"
        with closing(sqlite3.connect(service.database, timeout=10)) as connection, connection:
            connection.execute(moved)

        found = service.contradictions()

    [overlap] = [each for each in found if each["kind"] == "overlap"]
    assert overlap["address"] == "10.229.0.101"
    assert "10.229.0.96/28 around it by first" in overlap["what"]
