"""Pools that give prefixes and no addresses, over REST and CNI: a /64 out of a /48, a /24 out of a /16."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.lease_holder import LeaseHolder
from tests.api.plugin_call import call
from tests.service import IpamdProcess, running_service

ANNOTATIONS = "io.kubernetes.cri.pod-annotations"


def create(http: httpx.Client, owner: str, **body: Any) -> httpx.Response:
    return http.post("/v1/allocations", json={"owner": owner, **body})


def usage_of(http: httpx.Client, pool: str) -> dict[str, Any]:
    usage: dict[str, Any] = http.get(f"/v1/pools/{pool}/usage").json()
    return usage


def test_a_64_out_of_a_48_is_an_allocation_like_any_other(
    http: httpx.Client, new_pool: NewPool, lasting_ipamd: IpamdProcess
) -> None:
    pool = new_pool(subnet="fd00:301::/48", prefix_length=64, cooldown=300)
    assert (pool["prefix_length"], pool["block_size"], pool["gateway"]) == (64, 58, None)

    made = [create(http, f"vm-{at}", pool=pool["name"], prefix_length=64).json() for at in range(3)]

    told = [(each["address"], each["prefix_length"]) for each in made]
    assert told == [("fd00:301::", 64), ("fd00:301:0:1::", 64), ("fd00:301:0:2::", 64)]
    for address in ("fd00:301:0:1::", "fd00:301:0:1::9", "fd00:301:0:1:ffff:ffff:ffff:ffff"):
        assert http.get("/v1/allocations", params={"address": address}).json()["items"] == [made[1]]
    assert http.delete(f"/v1/allocations/{made[1]['id']}").status_code == 204
    usage = usage_of(http, pool["name"])
    counted = {key: usage[key] for key in ("size", "allocated", "cooling", "free", "prefixes")}
    assert counted == {"size": 65536, "allocated": 2, "cooling": 1, "free": 65533, "prefixes": {"64": 2}}
    assert create(http, "next", pool=pool["name"], prefix_length=64).json()["address"] == "fd00:301:0:3::"
    [past] = http.get("/v1/history", params={"address": "fd00:301:0:1::7"}).json()["items"]
    assert (past["owner"], past["ending"]) == ("vm-1", "admin")
    assert lasting_ipamd.contradictions() == []


def test_shorter_prefixes_stand_beside_and_none_overlaps(
    http: httpx.Client, new_pool: NewPool, lasting_ipamd: IpamdProcess
) -> None:
    pool = new_pool(subnet="10.200.0.0/16", prefix_length=24, cooldown=0)["name"]
    lengths = [24, 23, 22, 24, 20, 18, 21, 24] * 6

    with ThreadPoolExecutor(8) as callers:
        answers = list(
            callers.map(lambda length: create(http, "vm", pool=pool, prefix_length=length), lengths)
        )

    had = []
    for answer in answers:
        assert answer.status_code in (201, 409), answer.text
        if answer.status_code == 201:
            had.append(ip_network(f"{answer.json()['address']}/{answer.json()['prefix_length']}"))
    assert len(had) > 20
    assert not any(one.overlaps(other) for at, one in enumerate(had) for other in had[:at])
    assert usage_of(http, pool)["allocated"] == sum(each.num_addresses for each in had) >> 8
    assert lasting_ipamd.contradictions() == []
    for row in http.get("/v1/allocations", params={"pool": pool, "limit": 100}).json()["items"]:
        assert http.delete(f"/v1/allocations/{row['id']}").status_code == 204
    assert usage_of(http, pool)["free"] == 256


def test_what_touches_an_exclusion_is_nobodys_and_what_touches_a_reservation_is_its_holders(
    http: httpx.Client, new_pool: NewPool
) -> None:
    name = new_pool(
        subnet="fd00:302::/60",
        prefix_length=64,
        ranges=["fd00:302::-fd00:302:0:7:ffff:ffff:ffff:fffe"],
        exclusions=["fd00:302:0:2::1"],
        gateway="fd00:302:0:1::1",
    )["name"]
    kept = {"address": "fd00:302:0:3::/64", "owner": "router"}
    assert http.post("/v1/reservations", json=kept).status_code == 201

    usage = usage_of(http, name)
    mine = create(http, "router", pool=name, prefix_length=64).json()
    had = [create(http, "vm", pool=name, prefix_length=64).json() for _ in range(5)]

    assert (usage["size"], usage["excluded"], usage["reserved"], usage["free"]) == (7, 2, 1, 4)
    assert mine["address"] == "fd00:302:0:3::"
    firsts = [each.get("address") for each in had]
    assert firsts == ["fd00:302::", *(f"fd00:302:0:{last}::" for last in (4, 5, 6)), None]
    assert had[4]["code"] == "nothing-free"


@pytest.mark.parametrize(
    ("body", "status", "code", "said"),
    [
        ({}, 403, "not-allowed", "gives prefixes of /64, and no addresses"),
        ({"address": "fd00:303:0:9::1"}, 403, "not-allowed", "no addresses"),
        ({"prefix_length": 80}, 422, "invalid", "gives prefixes of /64 and shorter, and no /80"),
        ({"prefix_length": 57}, 422, "invalid", "its blocks are /58"),
        ({"prefix_length": 48}, 422, "invalid", "has no /48 in it"),
        ({"prefix_length": 64, "address": "fd00:303:0:9::1"}, 422, "invalid", "write fd00:303:0:9::"),
        ({"prefix_length": 64, "address": "fd00:304::"}, 409, "address-unavailable", "outside pool"),
        ({"prefix_length": 64, "address": "fd00:303:0:1::"}, 409, "address-unavailable", "in part excluded"),
        (
            {"prefix_length": 60, "address": "fd00:303::"},
            409,
            "address-unavailable",
            "fd00:303:0:2::9 is reserved for",
        ),
        ({"prefix_length": 64, "address": "fd00:303:0:2::"}, 409, "address-unavailable", "is reserved for"),
        ({"prefix_length": 63, "address": "fd00:303:0:4::"}, 409, "address-taken", "fd00:303:0:5::"),
    ],
)
def test_what_cannot_be_had_is_refused_and_nothing_is_taken(
    http: httpx.Client, body: dict[str, Any], status: int, code: str, said: str
) -> None:
    rules = {"name": "of-64", "subnet": "fd00:303::/48", "prefix_length": 64, "auto_assign": False}
    if http.post("/v1/pools", json={**rules, "exclusions": ["fd00:303:0:1::1"]}).status_code == 201:
        http.post("/v1/reservations", json={"address": "fd00:303:0:2::9", "owner": "somebody"})
        taken = {"pool": "of-64", "prefix_length": 64, "address": "fd00:303:0:5::"}
        assert create(http, "first", **taken).status_code == 201
    before = http.get("/v1/allocations").json()

    answer = create(http, "second", **{"pool": "of-64", **body})

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert said in answer.text
    assert http.get("/v1/allocations").json() == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prefix_length": 48}, "has prefixes of /49 to /127, no /48"),
        ({"prefix_length": 128}, "less than or equal to 127"),
        ({"prefix_length": 0}, "greater than or equal to 1"),
        ({"prefix_length": 64, "block_size": 65}, "a block of /64 prefixes is a /54 to a /64, not a /65"),
        ({"prefix_length": 64, "block_size": 53}, "a block of /64 prefixes is a /54 to a /64, not a /53"),
    ],
)
def test_a_pool_of_prefixes_that_there_cannot_be_is_refused(
    http: httpx.Client, fields: dict[str, Any], said: str
) -> None:
    answer = http.post("/v1/pools", json={"name": "wrong", "subnet": "fd00:305::/48", **fields})

    assert answer.status_code == 422, answer.text
    assert said in answer.text


def test_a_pod_gets_a_prefix_of_such_a_pool_beside_its_address(http: httpx.Client) -> None:
    annotated = {"runtimeConfig": {ANNOTATIONS: {"ipamd.io/prefix": "64"}}}
    pools: list[dict[str, Any]] = [
        {"name": "pods-306", "subnet": "fd00:306::/64"},
        {"name": "nested-306", "subnet": "fd00:307::/48", "prefix_length": 64},
    ]
    for fields in pools:
        body = {**fields, "selectors": {"networks": ["net-306"]}}
        assert http.post("/v1/pools", json=body).status_code == 201

    plain = http.post("/v1/cni/add", json=call("p0", config={"name": "net-306"})).json()
    added = http.post("/v1/cni/add", json=call("p1", config={"name": "net-306", **annotated})).json()
    explained = http.post("/v1/explain", json=call("p2", config={"name": "net-306", **annotated})).json()
    by_name = {"type": "ipamd-ipam", "pools": ["nested-306"]}
    refused = http.post("/v1/explain", json=call("p3", config={"name": "net-306", "ipam": by_name})).json()

    assert [each["address"] for each in plain["ips"]] == ["fd00:306::2/64"]
    assert [each["address"] for each in added["ips"]] == ["fd00:306::3/64"]
    assert added["ipamd.io/prefixes"] == ["fd00:307::/64"]
    said = {(each["pool"], each["standing"]): each["why"] for each in explained["pools"]}
    assert said["nested-306", "gives"] == "it would give fd00:307:0:1::/64"
    assert [each["standing"] for each in refused["pools"] if each["pool"] == "nested-306"] == ["refuses"]
    for name in ("p0", "p1"):
        http.post("/v1/cni/del", json=call(name, config={"name": "net-306"}))
    assert usage_of(http, "nested-306")["allocated"] == 0


def test_who_names_no_pool_gets_an_address_or_a_prefix_from_where_there_is_one() -> None:
    with running_service() as service:
        service.create_pool("a-nested", "fd00::/48", prefix_length=64, priority=9)
        service.create_pool("pods", "10.0.0.0/24")

        address = create(service.http, "vm").json()
        wide, narrow = (create(service.http, "vm", prefix_length=length).json() for length in (64, 28))
        service.create_pool("of-a-namespace", "fd01::/48", prefix_length=64, selectors={"namespaces": ["a"]})
        holder = LeaseHolder(service.http, "pods")
        del holder.config["ipam"]["pools"]
        told = holder.ask()

    assert (address["pool"], address["prefix_length"]) == ("pods", None)
    assert (wide["pool"], wide["prefix_length"]) == ("a-nested", 64)
    assert (narrow["pool"], narrow["prefix_length"]) == ("pods", 28)
    assert told["seats"]
    assert not told["refused"]


def test_what_a_pool_gives_is_fixed_once_it_has_given(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool(subnet="fd00:308::/56", prefix_length=64)["name"]
    narrower = http.patch(f"/v1/pools/{pool}", json={"prefix_length": 66, "block_size": 60})
    create(http, "vm", pool=pool, prefix_length=66)

    changed = http.patch(f"/v1/pools/{pool}", json={"prefix_length": 64})
    grown = http.patch(f"/v1/pools/{pool}", json={"subnet": "fd00:308::/52"})
    excluded = http.patch(f"/v1/pools/{pool}", json={"exclusions": ["fd00:308::9"]})
    hold = {"name": "of-prefixes", "pool": pool, "size": 1, "namespaces": ["a"], "seconds": 60}

    assert narrower.status_code == 200, narrower.text
    assert (changed.status_code, "fixed once" in changed.text) == (422, True)
    assert grown.status_code == 200, grown.text
    assert (excluded.status_code, excluded.json()["code"]) == (409, "would-strand")
    refused = http.post("/v1/holds", json=hold)
    assert (refused.status_code, "gives prefixes" in refused.text) == (422, True)


def test_owners_have_prefixes_of_such_a_pool_and_reservations_keep_some(
    http: httpx.Client, new_pool: NewPool
) -> None:
    pool = new_pool(subnet="fd00:310::/56", prefix_length=64)["name"]
    owner = {"namespace": "lab", "name": "router-310", "pool": pool, "prefix_length": 62}

    kept = http.post("/v1/reservations", json={"pool": pool, "prefix_length": 60, "owner": "lab"}).json()
    none = http.post("/v1/reservations", json={"pool": pool, "prefix_length": 80, "owner": "lab"})
    [owned] = http.post("/v1/owners", json=owner).json()["items"]

    assert kept["address"] == "fd00:310:0:f0::/60"
    assert (none.status_code, "/57 to /64, no /80" in none.text) == (422, True)
    assert owned["prefix_length"] == 62
    usage = usage_of(http, pool)
    assert (usage["allocated"], usage["reserved"]) == (4, 16)
    assert http.post("/v1/owners/lab/router-310/release", json={}).json()["released"] == [owned["address"]]


def test_the_page_draws_a_pool_of_prefixes_by_its_prefixes(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool(subnet="fd00:309::/48", prefix_length=64)["name"]
    create(http, "vm", pool=pool, prefix_length=64, address="fd00:309:0:1::")

    whole = http.get(f"/ui/pools/{pool}/map").text
    part = http.get(f"/ui/pools/{pool}/map", params={"at": "fd00:309::/56"}).text
    one = http.get("/ui/addresses/fd00:309:0:1::77").text
    free = http.get("/ui/addresses/fd00:309:0:2::77").text

    assert "fd00:309::/56: 1 of 256 taken" in whole
    assert "fd00:309:0:1::/64: allocated" in part
    assert '/ui/addresses/fd00:309:0:1::"' in part
    assert "vm" in one
    assert "/ui/new/reservation?address=fd00:309:0:2::/64&amp;" in free


def test_the_first_such_pool_shuts_out_code_that_does_not_know_it() -> None:
    with running_service() as service, closing(sqlite3.connect(service.database, timeout=10)) as connection:
        before = connection.execute("SELECT oldest_code FROM schema_version").fetchone()
        service.create_pool("plain", "10.0.0.0/24")
        same = connection.execute("SELECT oldest_code FROM schema_version").fetchone()
        service.create_pool("of-64", "fd00::/48", prefix_length=64)
        after = connection.execute("SELECT oldest_code FROM schema_version").fetchone()

    assert before == same
    assert after == (32,)


def test_an_empty_pool_that_becomes_one_of_prefixes_has_their_shape(
    http: httpx.Client, new_pool: NewPool
) -> None:
    path = f"/v1/pools/{new_pool(subnet='10.201.0.0/16')['name']}"

    def changed(**fields: Any) -> tuple[object, ...]:
        pool = http.patch(path, json=fields).json()
        return tuple(pool.get(each) for each in ("prefix_length", "block_size", "gateway", "detail"))

    assert changed(prefix_length=28) == (28, 22, None, None)
    assert changed(prefix_length=26) == (26, 20, None, None)
    assert changed(prefix_length=None) == (None, 26, "10.201.0.1", None)
    assert changed(block_size=24, gateway="10.201.9.9") == (None, 24, "10.201.9.9", None)
    assert changed(prefix_length=28) == (28, 24, "10.201.9.9", None)
    [*_, why] = changed(prefix_length=16)
    assert why == "block_size: a block of /16 prefixes is a /6 to a /16, not a /24"
