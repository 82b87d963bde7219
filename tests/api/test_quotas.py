"""Quotas over REST and the plugin's calls."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.lease_holder import LeaseHolder
from tests.api.plugin_call import call
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_replicas

_numbers = itertools.count(1)


@pytest.fixture
def team(http: httpx.Client) -> Iterator[str]:
    """A namespace that no other test knows, and of which nothing is left."""
    name = f"team-{next(_numbers)}"
    yield name
    for quota in http.get("/v1/quotas").json()["items"]:
        http.delete(f"/v1/quotas/{quota['name']}")


def state(http: httpx.Client, team: str, limit: int, **fields: Any) -> dict[str, Any]:
    body = {"name": team, "limit": limit, "namespaces": [team], **fields}
    answer = http.post("/v1/quotas", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def pod(container: str, team: str, *pools: str) -> dict[str, Any]:
    named = f"K8S_POD_NAMESPACE={team};K8S_POD_NAME=web"
    return call(f"{team}-{container}", args=named, ipam={"pools": list(pools)})


def add(http: httpx.Client, *asked: str) -> int:
    """The code of the answer to an ADD, 0 if it got an address."""
    code: int = http.post("/v1/cni/add", json=pod(*asked)).json().get("code", 0)
    return code


def test_a_team_gets_as_many_as_its_quota_says(http: httpx.Client, team: str, new_pool: NewPool) -> None:
    pods = new_pool()["name"]
    state(http, team, 2)

    assert [add(http, name, team, pods) for name in ("a", "b", "c")] == [0, 0, 106]
    refused = http.post("/v1/cni/add", json=pod("c", team, pods)).json()
    assert f"quota {team} allows 2 IPv4 addresses for namespace {team} of cluster default" in refused["msg"]
    assert add(http, "a", f"{team}x", pods) == 0
    http.post("/v1/cni/del", json=pod("a", team, pods))
    assert [add(http, name, team, pods) for name in ("c", "d")] == [0, 106]
    shown = http.get(f"/v1/quotas/{team}").json()
    assert (shown["used"], shown["exceeded"]) == (2, False)
    assert shown["uses"] == [{"cluster": "default", "namespace": team, "family": 4, "used": 2}]


def test_what_is_used_before_counts_and_nothing_is_freed(
    http: httpx.Client, team: str, new_pool: NewPool
) -> None:
    pods = new_pool()["name"]
    assert [add(http, name, team, pods) for name in "abc"] == [0, 0, 0]

    made = state(http, team, 2)

    assert (made["used"], made["exceeded"], made["counting"]) == (3, True, False)
    assert add(http, "d", team, pods) == 106
    assert add(http, "a", team, pods) == 0  # a repeat gets its answer again
    assert http.patch(f"/v1/quotas/{team}", json={"limit": 4}).json()["exceeded"] is False
    assert [add(http, name, team, pods) for name in "de"] == [0, 106]


def test_a_quota_counts_anew_when_it_counts_others(http: httpx.Client, team: str, new_pool: NewPool) -> None:
    pods, more = new_pool()["name"], new_pool()["name"]
    assert [add(http, "a", team, pods), add(http, "b", team, more), add(http, "c", team, more)] == [0, 0, 0]
    assert state(http, team, 9, pool=pods)["used"] == 1

    changed = http.patch(f"/v1/quotas/{team}", json={"pool": more})
    assert changed.json()["used"] == 2
    changed = http.patch(f"/v1/quotas/{team}", json={"pool": None, "shared": True, "namespaces": ["team-*"]})
    assert changed.json()["used"] >= 3
    assert changed.json()["uses"][0]["namespace"] is None


def test_a_pool_that_is_used_up_is_passed_by_and_explain_says_so(
    http: httpx.Client, team: str, new_pool: NewPool
) -> None:
    pods, more = new_pool()["name"], new_pool()["name"]
    state(http, team, 1, pool=pods)
    asked = call("x", args=f"K8S_POD_NAMESPACE={team};K8S_POD_NAME=web", ipam={"pools": [[pods, more]]})
    assert add(http, "a", team, pods) == 0

    got = http.post("/v1/cni/add", json=asked).json()
    explained = http.post("/v1/explain", json={**asked, "container_id": "another"}).json()

    assert got["ips"][0]["address"].startswith("10.")
    first, second = explained["pools"]
    assert first["standing"] == "refuses"
    assert f"quota {team} allows 1" in first["why"]
    assert second["standing"] == "gives"
    assert any("1 of 1 IPv4" in remark for remark in explained["remarks"])


def test_a_pool_is_kept_while_a_quota_is_for_it(http: httpx.Client, team: str, new_pool: NewPool) -> None:
    pods = new_pool()["name"]
    state(http, team, 1, pool=pods)

    refused = http.delete(f"/v1/pools/{pods}")

    assert (refused.status_code, refused.json()["code"]) == (409, "pool-in-use")
    assert f"quota {team} is for pool {pods} alone" in refused.json()["detail"]
    http.patch(f"/v1/quotas/{team}", json={"pool": None})
    assert http.delete(f"/v1/pools/{pods}").status_code == 204


def test_an_allocation_by_rest_counts_too(http: httpx.Client, team: str, new_pool: NewPool) -> None:
    pods = new_pool()["name"]
    state(http, team, 1)
    body = {"owner": f"vm-{team}", "pool": pods, "namespace": team, "name": "vm"}

    first = http.post("/v1/allocations", json=body)
    second = http.post("/v1/allocations", json={**body, "owner": f"vm2-{team}"})

    assert first.status_code == 201, first.text
    assert (second.status_code, second.json()["code"]) == (409, "quota-exceeded")


def test_a_quota_is_changed_by_who_has_read_it(http: httpx.Client, team: str) -> None:
    state(http, team, 1)
    read = http.get(f"/v1/quotas/{team}").headers["etag"]
    http.patch(f"/v1/quotas/{team}", json={"limit": 2})

    assert http.patch(f"/v1/quotas/{team}", json={"limit": 3}, headers={"If-Match": read}).status_code == 412
    assert http.delete(f"/v1/quotas/{team}", headers={"If-Match": read}).status_code == 412
    assert http.delete(f"/v1/quotas/{team}").status_code == 204
    assert http.get(f"/v1/quotas/{team}").status_code == 404
    log = http.get("/v1/log", params={"kind": "quota", "name": team}).json()["items"]
    assert [entry["action"] for entry in log] == ["delete", "change", "create"]


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"namespaces": ["a*b"]}, 422, "namespaces"),
        ({"namespaces": []}, 422, "namespaces"),
        ({"limit": -1}, 422, "limit"),
        ({"family": 5}, 422, "family"),
        ({"pool": "nobody-has-it"}, 422, None),
        ({"limits": 1}, 422, "limits"),
    ],
)
def test_a_quota_that_cannot_be_meant_is_refused(
    http: httpx.Client, team: str, fields: dict[str, Any], status: int, field: str | None
) -> None:
    answer = http.post("/v1/quotas", json={"name": team, "limit": 1, "namespaces": [team], **fields})

    assert answer.status_code == status, answer.text
    if field is not None:
        assert answer.json()["errors"][0]["field"].startswith(field)
    assert http.get(f"/v1/quotas/{team}").status_code == 404


def test_two_quotas_of_one_name_are_refused(http: httpx.Client, team: str) -> None:
    state(http, team, 1)
    again = http.post("/v1/quotas", json={"name": team, "limit": 1, "namespaces": ["*"]})

    assert (again.status_code, again.json()["code"]) == (409, "quota-exists")


def test_quotas_are_applied_with_pools_in_one_change(http: httpx.Client, team: str) -> None:
    wanted = {"quotas": [{"name": team, "limit": 3, "namespaces": [team]}]}

    first = http.post("/v1/apply", json=wanted).json()
    again = http.post("/v1/apply", json=wanted).json()
    dry = http.post("/v1/apply", json={"quotas": [], "prune": True, "dry_run": True}).json()

    assert [(change["kind"], change["action"]) for change in first["changes"]] == [("quota", "create")]
    assert (again["changes"], again["unchanged"]) == ([], 1)
    assert [change["action"] for change in dry["changes"]] == ["delete"]
    assert http.get(f"/v1/quotas/{team}").json()["counting"] is False
    bad = http.post("/v1/apply", json={"quotas": [{"name": "x", "limit": 1, "namespaces": ["a*b"]}]})
    assert bad.json()["refusals"][0]["what"] == "quota x"


def test_a_node_gets_no_lease_of_a_pool_that_a_quota_counts_and_gives_back_what_it_has(
    http: httpx.Client, team: str, new_pool: NewPool
) -> None:
    pods = new_pool(lease=4)["name"]
    holder = LeaseHolder(http, pods)
    holder.ask()
    seat = min(holder.states)
    state(http, team, 1, pool=pods)
    holder.begin(seat, f"{team}-a", 10, args=f"K8S_POD_NAMESPACE={team};K8S_POD_NAME=web")
    holder.report()

    assert set(holder.ask()["recall"]) >= set(holder.states) - {seat}
    assert http.get(f"/v1/quotas/{team}").json()["used"] == 1
    assert add(http, "b", team, pods) == 106
    holder.end(seat, f"{team}-a", 20)
    holder.report()
    assert http.get(f"/v1/quotas/{team}").json()["used"] == 0


def test_replicas_begin_to_count_while_pods_come_and_go(postgres: Postgres) -> None:
    with postgres.migrated() as database, running_replicas(postgres.url(database)) as (here, there):
        here.create_pool("pods", "10.64.0.0/24", cooldown=0)
        assert [add(each.http, str(turn), "team-a", "pods") for turn, each in enumerate((here, there))] == [
            0,
            0,
        ]

        made = state(here.http, "team-a", 3)

        assert (made["used"], made["counting"]) == (2, False)
        codes = [add((here, there)[turn % 2].http, f"more{turn}", "team-a", "pods") for turn in range(3)]
        assert codes == [0, 106, 106]


def test_a_count_that_differs_from_the_allocations_is_found_and_repaired(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    state(ipamd_process.http, "team-a", 3)
    assert add(ipamd_process.http, "a", "team-a", "pods") == 0
    ipamd_process.stop()
    with closing(sqlite3.connect(ipamd_process.database)) as database, database:
        database.execute("UPDATE tally SET used = 3")
    ipamd_process.start()
    assert add(ipamd_process.http, "b", "team-a", "pods") == 106

    [finding] = ipamd_process.contradictions()
    assert finding["kind"] == "tally"
    assert finding["what"].startswith("quota team-a counts 3 IPv4 addresses of namespace team-a")
    [repaired] = ipamd_process.contradictions(repair=True)
    assert repaired["repaired"] is True
    assert ipamd_process.contradictions() == []
    assert add(ipamd_process.http, "b", "team-a", "pods") == 0


def test_metrics_tell_what_is_used_of_each_quota(http: httpx.Client, team: str, new_pool: NewPool) -> None:
    pods = new_pool()["name"]
    state(http, team, 7)
    assert add(http, "a", team, pods) == 0

    lines = http.get("/metrics").text.splitlines()

    assert f'ipamd_quota_limit_addresses{{quota="{team}"}} 7.0' in lines
    assert f'ipamd_quota_used_addresses{{quota="{team}"}} 1.0' in lines
