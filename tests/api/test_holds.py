"""Holds over REST and the plugin's calls."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.lease_holder import LeaseHolder
from tests.api.plugin_call import call
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_replicas
from tests.waiting import eventually

_numbers = itertools.count(1)


@pytest.fixture
def team(http: httpx.Client) -> Iterator[str]:
    """A namespace that no other test knows, and of which nothing is left."""
    name = f"crew-{next(_numbers)}"
    yield name
    for hold in http.get("/v1/holds").json()["items"]:
        http.delete(f"/v1/holds/{hold['name']}")
    for quota in http.get("/v1/quotas").json()["items"]:
        http.delete(f"/v1/quotas/{quota['name']}")


def hold(http: httpx.Client, team: str, size: int, pool: str, **fields: Any) -> dict[str, Any]:
    body = {"name": team, "size": size, "pool": pool, "namespaces": [team], "seconds": 3600, **fields}
    answer = http.post("/v1/holds", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def pod(container: str, team: str, *pools: str, name: str = "web", **asked: Any) -> dict[str, Any]:
    named = f"K8S_POD_NAMESPACE={team};K8S_POD_NAME={name}"
    return call(f"{team}-{container}", args=named, ipam={"pools": list(pools)}, **asked)


def add(http: httpx.Client, *asked: str, **fields: Any) -> str | int:
    """The address that an ADD got, or the code of its error."""
    answer = http.post("/v1/cni/add", json=pod(*asked, **fields)).json()
    if "code" in answer:
        return int(answer["code"])
    return str(answer["ips"][0]["address"]).split("/")[0]


def held(http: httpx.Client, team: str) -> list[str]:
    """What is left of a hold, by address."""
    found = http.get("/v1/allocations", params={"owner": f"hold:{team}"}).json()["items"]
    return [item["address"] for item in found]


def left(http: httpx.Client, team: str) -> tuple[int, int]:
    shown = http.get(f"/v1/holds/{team}").json()
    return shown["left"], shown["taken"]


@pytest.fixture
def five(http: httpx.Client, new_pool: NewPool) -> str:
    """A pool of five addresses for pods."""
    made = new_pool(cooldown=0)
    network = made["subnet"].rsplit(".", 1)[0]
    changed = http.patch(f"/v1/pools/{made['name']}", json={"ranges": [f"{network}.11-{network}.15"]})
    assert changed.status_code == 200, changed.text
    name: str = made["name"]
    return name


def test_matching_pods_take_what_is_held_and_others_do_not_get_it(
    http: httpx.Client, team: str, five: str
) -> None:
    made = hold(http, team, 3, five)
    assert (made["state"], made["left"], made["taken"]) == ("standing", 3, 0)
    kept = held(http, team)

    others = [add(http, name, f"{team}-not", five) for name in "abc"]
    mine = [add(http, name, team, five) for name in "abc"]

    assert others[2] == 100
    assert sorted(map(str, mine)) == kept
    assert left(http, team) == (0, 3)
    assert add(http, "d", team, five) == 100  # nothing held is left, and nothing else
    row = http.get("/v1/allocations", params={"address": kept[0]}).json()["items"][0]
    assert (row["hold"], row["namespace"]) == (team, team)
    past = http.get("/v1/history", params={"address": kept[0]}).json()["items"]
    assert [(each["owner"], each["ending"]) for each in past] == [(None, None), (f"hold:{team}", "taken")]


def test_a_pod_that_ends_gives_its_address_back_to_the_hold(http: httpx.Client, team: str, five: str) -> None:
    hold(http, team, 2, five)
    mine = {add(http, name, team, five) for name in "ab"}
    assert [add(http, name, f"{team}-not", five) for name in "abcd"][3] == 100

    for turn in range(5):
        http.post("/v1/cni/del", json=pod("a" if turn == 0 else f"a{turn}", team, five))
        assert left(http, team) == (1, 1)
        assert add(http, "x", f"{team}-not", five) == 100
        assert add(http, f"a{turn + 1}", team, five) in mine

    assert left(http, team) == (0, 2)


@pytest.mark.parametrize("pools", ["another", "the same"])
def test_an_address_does_not_go_back_to_a_later_hold_of_the_same_name(
    http: httpx.Client, team: str, five: str, new_pool: NewPool, pools: str
) -> None:
    hold(http, team, 1, five)
    asked = pod("c1", team, five)
    [taken] = [each["address"].split("/")[0] for each in http.post("/v1/cni/add", json=asked).json()["ips"]]
    assert http.delete(f"/v1/holds/{team}").status_code == 204
    hold(http, team, 1, new_pool()["name"] if pools == "another" else five)
    assert left(http, team) == (1, 0)

    http.post("/v1/cni/del", json=asked)

    assert taken not in held(http, team)
    assert len(held(http, team)) == 1


def test_what_is_left_comes_back_when_the_hold_is_released(http: httpx.Client, team: str, five: str) -> None:
    hold(http, team, 4, five)
    first = add(http, "a", team, five)
    assert [add(http, name, f"{team}-not", five) for name in "ab"][1] == 100

    assert http.delete(f"/v1/holds/{team}").status_code == 204

    assert http.get(f"/v1/holds/{team}").status_code == 404
    assert held(http, team) == []
    others = [add(http, name, f"{team}-not", five) for name in "bcd"]
    assert 100 not in others
    assert first not in others
    http.post("/v1/cni/del", json=pod("a", team, five))
    assert add(http, "e", f"{team}-not", five) == first  # it goes to the pool now
    log = http.get("/v1/log", params={"kind": "hold", "name": team}).json()["items"]
    assert [entry["action"] for entry in log] == ["delete", "create"]


def test_a_hold_ends_by_itself(http: httpx.Client, team: str, five: str) -> None:
    hold(http, team, 5, five, seconds=1)

    eventually(lambda: http.get(f"/v1/holds/{team}").status_code == 404, seconds=30)

    assert [add(http, name, f"{team}-not", five) for name in "abcde"].count(100) == 0


def test_a_hold_that_cannot_have_all_has_nothing(http: httpx.Client, team: str, five: str) -> None:
    assert add(http, "a", f"{team}-not", five) != 100
    body = {"name": team, "size": 5, "pool": five, "namespaces": [team], "seconds": 60}

    refused = http.post("/v1/holds", json=body)

    assert (refused.status_code, refused.json()["code"]) == (409, "hold-unfilled")
    assert "cannot have all its 5 addresses" in refused.json()["detail"]
    assert f"pool {five} has 1 of 5 allocated" in refused.json()["detail"]
    assert http.get(f"/v1/holds/{team}").status_code == 404
    assert held(http, team) == []
    assert http.get("/v1/log", params={"kind": "hold", "name": team}).json()["items"] == []
    assert [add(http, name, f"{team}-not", five) for name in "bcde"].count(100) == 0


def test_a_hold_is_for_some_workloads_of_some_namespaces(http: httpx.Client, team: str, five: str) -> None:
    hold(http, team, 1, five, namespaces=[f"{team}*"], workloads=["db-*", "queue"])
    [kept] = held(http, team)

    assert add(http, "a", team, five, name="web-1") != kept
    assert add(http, "b", f"{team}-b", five, name="db-1") == kept
    assert left(http, team) == (0, 1)


def test_whoever_asks_for_a_held_address_gets_it_if_the_hold_is_for_it(
    http: httpx.Client, team: str, five: str
) -> None:
    hold(http, team, 3, five)
    wanted = held(http, team)[1]
    refused = http.post(
        "/v1/cni/add", json=pod("a", f"{team}-not", five, config={"args": {"cni": {"ips": [wanted]}}})
    ).json()

    got = add(http, "a", team, five, config={"args": {"cni": {"ips": [wanted]}}})

    assert refused["code"] == 101
    assert f"{wanted} is held by hold {team}" in refused["msg"]
    assert got == wanted
    assert left(http, team) == (2, 1)


def test_what_is_left_is_released_with_its_hold_only(http: httpx.Client, team: str, five: str) -> None:
    hold(http, team, 1, five)
    [row] = http.get("/v1/allocations", params={"owner": f"hold:{team}"}).json()["items"]

    refused = http.delete(f"/v1/allocations/{row['id']}")

    assert (refused.status_code, refused.json()["code"]) == (409, "held-back")
    assert left(http, team) == (1, 0)
    named = http.post("/v1/allocations", json={"owner": "hold:x", "pool": five})
    assert named.status_code == 422


def test_a_quota_counts_what_workloads_take_and_not_what_is_held(
    http: httpx.Client, team: str, five: str
) -> None:
    http.post("/v1/quotas", json={"name": team, "limit": 1, "namespaces": [team]})
    hold(http, team, 3, five)

    assert http.get(f"/v1/quotas/{team}").json()["used"] == 0
    assert add(http, "a", team, five) != 100
    assert add(http, "b", team, five) == 106
    assert http.get(f"/v1/quotas/{team}").json()["used"] == 1
    assert left(http, team) == (2, 1)
    http.post("/v1/cni/del", json=pod("a", team, five))
    assert http.get(f"/v1/quotas/{team}").json()["used"] == 0
    assert left(http, team) == (3, 0)


def test_an_owner_takes_out_of_a_hold_and_gives_back(http: httpx.Client, team: str, five: str) -> None:
    hold(http, team, 1, five)
    kept = held(http, team)

    made = http.post("/v1/owners", json={"namespace": team, "name": "vm", "pool": five})

    assert made.status_code == 201, made.text
    assert held(http, team) == []
    assert left(http, team) == (0, 1)
    assert http.post(f"/v1/owners/{team}/vm/release", json={}).status_code < 300
    assert held(http, team) == kept


def test_an_address_that_cools_down_waits_in_its_hold(
    http: httpx.Client, team: str, new_pool: NewPool
) -> None:
    pods = new_pool(cooldown=3600)["name"]
    hold(http, team, 1, pods)
    first = add(http, "a", team, pods)
    http.post("/v1/cni/del", json=pod("a", team, pods))

    second = add(http, "b", team, pods)

    assert second != first
    assert held(http, team) == [first]


def test_a_sticky_pool_gives_a_workload_its_own_address_out_of_the_hold(
    http: httpx.Client, team: str, new_pool: NewPool
) -> None:
    pods = new_pool(cooldown=3600, sticky=True)["name"]
    hold(http, team, 2, pods)
    first, other = add(http, "a", team, pods, name="db-0"), add(http, "b", team, pods, name="db-1")
    for each, name in (("a", "db-0"), ("b", "db-1")):
        http.post("/v1/cni/del", json=pod(each, team, pods, name=name))

    refused = add(http, "x", team, pods, name="db-2", config={"args": {"cni": {"ips": [first]}}})
    again = add(http, "c", team, pods, name="db-1"), add(http, "d", team, pods, name="db-0")

    assert refused == 102
    assert again == (other, first)
    assert left(http, team) == (0, 2)


def test_nodes_borrow_what_is_held_in_blocks_of_nobody(
    http: httpx.Client, team: str, new_pool: NewPool
) -> None:
    pods = new_pool(cooldown=0, affinity="node", block_size=28)["name"]
    hold(http, team, 2, pods)
    kept = held(http, team)

    got = [add(http, name, team, pods, node=node) for name, node in (("a", "n1"), ("b", "n2"))]

    assert sorted(map(str, got)) == kept
    closed = http.patch(f"/v1/pools/{pods}", json={"borrow": False})
    assert (closed.status_code, closed.json()["code"]) == (409, "pool-in-use")
    assert f"hold {team} has addresses of pool {pods}" in closed.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"size": 0}, 422),
        ({"size": 5000}, 422),
        ({"seconds": 0}, 422),
        ({"seconds": 10**9}, 422),
        ({"namespaces": []}, 422),
        ({"namespaces": ["a*b"]}, 422),
        ({"workloads": ["*a"]}, 422),
        ({"pool": "nobody-has-it"}, 422),
        ({"sizes": 1}, 422),
    ],
)
def test_a_hold_that_cannot_be_meant_is_refused(
    http: httpx.Client, team: str, five: str, fields: dict[str, Any], status: int
) -> None:
    body = {"name": team, "size": 1, "pool": five, "namespaces": [team], "seconds": 60, **fields}

    answer = http.post("/v1/holds", json=body)

    assert answer.status_code == status, answer.text
    assert http.get(f"/v1/holds/{team}").status_code == 404


def test_pools_that_drain_or_lend_nothing_hold_nothing(
    http: httpx.Client, team: str, five: str, new_pool: NewPool
) -> None:
    closed = new_pool(affinity="node", borrow=False)["name"]
    http.patch(f"/v1/pools/{five}", json={"state": "draining"})
    body = {"name": team, "size": 1, "namespaces": [team], "seconds": 60}

    answers = [http.post("/v1/holds", json={**body, "pool": pool}) for pool in (closed, five)]

    assert [answer.json()["errors"][0]["field"] for answer in answers] == ["pool", "pool"]


def test_a_hold_lasts_longer_or_is_for_others_by_who_has_read_it(
    http: httpx.Client, team: str, five: str
) -> None:
    made = hold(http, team, 1, five)
    read = http.get(f"/v1/holds/{team}").headers["etag"]

    changed = http.patch(f"/v1/holds/{team}", json={"seconds": 7200, "workloads": ["db-*"]})

    assert changed.json()["until"] > made["until"]
    assert add(http, "a", team, five) not in held(http, team)
    assert left(http, team) == (1, 0)
    assert http.patch(f"/v1/holds/{team}", json={"seconds": 3}, headers={"If-Match": read}).status_code == 412
    assert http.delete(f"/v1/holds/{team}", headers={"If-Match": read}).status_code == 412
    assert http.patch(f"/v1/holds/{team}", json={"size": 3}).status_code == 422
    again = http.post("/v1/holds", json={**made_again(made), "name": team})
    assert (again.status_code, again.json()["code"]) == (409, "hold-exists")
    assert http.delete(f"/v1/pools/{five}").status_code == 409


def made_again(made: dict[str, Any]) -> dict[str, Any]:
    return {key: made[key] for key in ("size", "pool", "namespaces", "seconds")}


def test_a_node_gives_back_what_it_holds_in_advance_for_a_hold_to_be_filled(
    http: httpx.Client, team: str, five: str
) -> None:
    http.patch(f"/v1/pools/{five}", json={"lease": 4})
    holder = LeaseHolder(http, five)
    holder.ask()
    assert holder.states
    with ThreadPoolExecutor() as beside:
        made = beside.submit(hold, http, team, 5, five)

        def gives_back() -> bool:
            for seat in holder.ask()["recall"]:
                holder.states[seat] = "returning"
            return made.done()

        eventually(gives_back)

    assert made.result()["left"] == 5
    assert holder.states == {}


def test_replicas_share_a_hold(postgres: Postgres) -> None:
    with postgres.migrated() as database, running_replicas(postgres.url(database)) as replicas:
        here, there = replicas
        here.create_pool("pods", "10.64.0.0/24", cooldown=0)
        made = hold(here.http, "crew", 4, "pods")
        kept = set(held(there.http, "crew"))

        got = [add(replicas[turn % 2].http, str(turn), "crew", "pods") for turn in range(4)]

        assert set(got) == kept
        assert made["left"] == 4
        assert there.http.delete("/v1/holds/crew").status_code == 204
        assert here.contradictions() == []


def test_the_check_finds_nothing_wrong_with_holds(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24", cooldown=0)
    hold(ipamd_process.http, "crew", 4, "pods")
    got = [add(ipamd_process.http, str(turn), "crew", "pods") for turn in range(5)]
    assert ipamd_process.contradictions() == []
    ipamd_process.http.post("/v1/cni/del", json=pod("0", "crew", "pods"))
    assert ipamd_process.contradictions() == []
    assert add(ipamd_process.http, "5", "crew", "pods") == got[0]  # whose block knows of no release
    ipamd_process.http.delete("/v1/holds/crew")
    assert ipamd_process.contradictions() == []
    assert len(set(got)) == 5


def test_a_pod_that_is_refused_is_told_what_is_kept_for_whom_and_until_when(
    http: httpx.Client, team: str, five: str
) -> None:
    made = hold(http, team, 5, five)
    asked = pod("a", f"{team}-not", five)

    refused = http.post("/v1/cni/add", json=asked).json()
    explained = http.post("/v1/explain", json=asked).json()
    usage = http.get(f"/v1/pools/{five}/usage").json()

    sentence = f"5 kept for others by hold {team} until {made['until']}"
    assert sentence in refused["msg"]
    assert (explained["pools"][0]["standing"], sentence in explained["pools"][0]["why"]) == ("full", True)
    assert (usage["held"], usage["allocated"], usage["free"]) == (5, 0, 0)


def test_explain_says_that_an_address_comes_out_of_a_hold(http: httpx.Client, team: str, five: str) -> None:
    made = hold(http, team, 2, five)
    first = held(http, team)[0]

    explained = http.post("/v1/explain", json=pod("a", team, five)).json()

    assert explained["pools"][0]["why"] == f"it would give {first}, out of hold {team}"
    remark = f"hold {team} until {made['until']} has 2 of 2 addresses left for this workload"
    assert remark in explained["remarks"]
    assert left(http, team) == (2, 0)


def test_metrics_tell_what_is_left_of_each_hold(http: httpx.Client, team: str, five: str) -> None:
    hold(http, team, 3, five)
    add(http, "a", team, five)

    lines = http.get("/metrics").text.splitlines()

    assert f'ipamd_hold_left_addresses{{hold="{team}"}} 2.0' in lines
    assert f'ipamd_hold_taken_addresses{{hold="{team}"}} 1.0' in lines
    assert f'ipamd_pool_addresses{{pool="{five}",state="held"}} 2.0' in lines


def test_a_hold_that_lost_an_address_is_found(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    hold(ipamd_process.http, "crew", 2, "pods")
    ipamd_process.stop()
    with closing(sqlite3.connect(ipamd_process.database)) as database, database:
        database.execute("UPDATE allocation SET hold = 'gone', owner = 'hold:gone' WHERE position % 2")
    ipamd_process.start()

    lacking, orphan = ipamd_process.contradictions()

    assert (lacking["kind"], orphan["kind"]) == ("hold", "hold")
    assert "hold crew is of 2 addresses, but 1 are left of it, and workloads have 0" in lacking["what"]
    assert "1 addresses are left of hold gone, which does not exist" in orphan["what"]
    [row] = ipamd_process.allocations(owner="hold:gone")
    assert ipamd_process.http.delete(f"/v1/allocations/{row['id']}").status_code == 204
    assert [finding["kind"] for finding in ipamd_process.contradictions()] == ["hold"]


def test_an_address_that_goes_back_to_a_hold_cannot_be_reserved(
    http: httpx.Client, team: str, five: str
) -> None:
    hold(http, team, 1, five)
    got = add(http, "a", team, five)
    body = {"address": got, "namespace": team, "name": "web"}

    refused = http.post("/v1/reservations", json=body)
    http.delete(f"/v1/holds/{team}")
    kept = http.post("/v1/reservations", json=body)

    assert (refused.status_code, refused.json()["code"]) == (409, "reservation-conflicts")
    assert f"out of hold {team}, to which it goes back" in refused.json()["detail"]
    assert kept.status_code == 201, kept.text
    http.delete(f"/v1/reservations/{kept.json()['id']}")
