"""The plugin's calls over HTTP."""

import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.plugin_call import call, issued
from tests.service import IpamdProcess

JSON = {"Content-Type": "application/json"}


def held(http: httpx.Client, **filters: str) -> list[str]:
    return [item["address"] for item in http.get("/v1/allocations", params=filters).json()["items"]]


def test_add_check_and_del_of_one_container(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool(subnet="10.230.0.0/24", routes=[{"dst": "0.0.0.0/0"}])["name"]
    add = call("whole", ipam={"pools": [pool]})

    added = http.post("/v1/cni/add", json=add)
    result = added.json()
    checked = http.post("/v1/cni/check", json=call("whole", config={"prevResult": result}))
    deleted = [http.post("/v1/cni/del", json=add) for _ in range(2)]
    checked_again = http.post("/v1/cni/check", json=call("whole", config={"prevResult": result}))

    assert added.headers["content-type"] == "application/json"
    assert result == {
        "cniVersion": "1.1.0",
        "ips": [{"address": "10.230.0.2/24", "gateway": "10.230.0.1"}],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    assert (checked.status_code, checked.content) == (204, b"")
    assert [(answer.status_code, answer.content) for answer in deleted] == [(204, b"")] * 2
    assert (checked_again.status_code, checked_again.json()["code"]) == (409, 102)


def test_a_repeated_add_gives_the_same_answer_when_the_pool_is_full(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool(subnet="10.231.0.0/32")["name"]
    add = call("only", ipam={"pools": [pool]})

    answers = [http.post("/v1/cni/add", json=add).json() for _ in range(2)]
    refused = http.post("/v1/cni/add", json=call("late", ipam={"pools": [pool]}))

    assert answers[0] == answers[1]
    assert (refused.status_code, refused.json()["code"]) == (409, 100)
    assert f"pool {pool} has 1 of 1 allocated" in refused.json()["msg"]


def test_all_addresses_of_a_request_come_together_or_not_at_all(
    new_pool: NewPool, http: httpx.Client
) -> None:
    roomy = new_pool()["name"]
    full = new_pool(subnet="10.232.0.0/32")["name"]
    http.post("/v1/cni/add", json=call("full", ipam={"pools": [full]}))

    refused = http.post("/v1/cni/add", json=call("both", ipam={"pools": [roomy, full]}))
    granted = http.post("/v1/cni/add", json=call("both", ipam={"pools": [roomy, [full, roomy]]}))

    assert refused.json()["code"] == 100
    assert len(granted.json()["ips"]) == 2
    assert len(held(http, container_id="both")) == 2


@pytest.mark.parametrize(
    ("wanted", "code", "reason"),
    [
        ("10.233.0.5", 101, "ipamctl allocation release"),
        ("10.233.0.1", 102, "gateway"),
        ("10.233.0.0", 102, "network"),
        ("10.233.0.255", 102, "broadcast"),
        ("10.233.0.9", 102, "excluded"),
        ("10.233.0.12", 102, "reserved"),
        ("192.0.2.1", 102, "192.0.2.1 is not available"),
    ],
)
def test_a_requested_address_that_cannot_be_had_is_refused_with_its_reason(
    http: httpx.Client, wanted: str, code: int, reason: str
) -> None:
    pool = {"name": "asked", "subnet": "10.233.0.0/24", "auto_assign": False, "exclusions": ["10.233.0.9"]}
    if http.post("/v1/pools", json=pool).status_code == 201:
        http.post("/v1/reservations", json={"address": "10.233.0.12", "owner": "lb"})
        http.post("/v1/allocations", json={"owner": "vm", "address": "10.233.0.5"})

    answer = http.post(
        "/v1/cni/add",
        json=call("asking", ipam={"pools": ["asked"]}, config={"args": {"cni": {"ips": [wanted]}}}),
    )

    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert reason in answer.json()["msg"]
    assert held(http, container_id="asking") == []


def test_a_repeat_that_asks_for_another_address_says_what_it_holds(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool(subnet="10.234.0.0/24")["name"]
    first = call("again", ipam={"pools": [pool]}, args="IP=10.234.0.7")
    http.post("/v1/cni/add", json=first)

    answer = http.post("/v1/cni/add", json={**first, "args": "IP=10.234.0.8"})

    assert answer.json()["code"] == 102
    assert "10.234.0.7" in answer.json()["msg"]
    assert held(http, container_id="again") == ["10.234.0.7"]


@pytest.mark.parametrize(
    ("written", "families"),
    [
        ("V4,V6", "46"),
        ("V6, V4", "64"),
        ('["V4","V6"]', "46"),
        ('[["V4"],["V6"]]', "46"),
        ('[["V4","V6"]]', ""),
        ('["V4",["V6","V4"]]', ""),
    ],
)
def test_pools_between_commas_give_an_address_each_and_two_families_are_no_alternatives(
    new_pool: NewPool, http: httpx.Client, written: str, families: str
) -> None:
    v4 = new_pool()["name"]
    v6 = new_pool(subnet=f"fd00:199:{v4.partition('-')[2]}::/64")["name"]
    written = written.replace("V4", v4).replace("V6", v6)
    annotations = {"io.kubernetes.cri.pod-annotations": {"ipamd.io/pools": written}}

    annotated = http.post("/v1/cni/add", json=call("commas", config={"runtimeConfig": annotations})).json()
    http.post("/v1/cni/del", json=call("commas"))

    if families:
        assert ["6" if ":" in ip["address"] else "4" for ip in annotated["ips"]] == list(families)
    else:
        configured = http.post("/v1/cni/add", json=call(ipam={"pools": json.loads(written)})).json()
        assert annotated == configured
        assert annotated["code"] == 7
        assert "cannot be alternatives of one address: for an address of each write" in annotated["msg"]


def test_an_unknown_pool_is_a_wrong_configuration(http: httpx.Client) -> None:
    answer = http.post("/v1/cni/add", json=call("lost", ipam={"pools": ["nowhere"]}))

    assert (answer.status_code, answer.json()["code"]) == (422, 7)
    assert "'nowhere'" in answer.json()["msg"]


@pytest.mark.parametrize("with_issued", [True, False])
def test_addresses_that_an_old_version_cannot_tell_are_given_back_at_once(
    new_pool: NewPool, http: httpx.Client, with_issued: bool
) -> None:
    pool = new_pool()["name"]
    container = f"old-{with_issued}"
    add = call(container, ipam={"pools": [pool, pool]}, config={"cniVersion": "0.2.0"})
    if with_issued:
        add["issued"] = issued(5)

    answer = http.post("/v1/cni/add", json=add)

    assert (answer.status_code, answer.json()["code"]) == (422, 7)
    assert "at most one IPv4 address" in answer.json()["msg"]
    assert held(http, container_id=container) == []


def test_an_add_that_its_del_overtook_takes_nothing(new_pool: NewPool, http: httpx.Client) -> None:
    add = call("late", ipam={"pools": [new_pool()["name"]]}, issued=issued(100))

    http.post("/v1/cni/del", json={**add, "issued": issued(200)})
    answer = http.post("/v1/cni/add", json=add)

    assert (answer.status_code, answer.json()["code"]) == (409, 104)
    assert held(http, container_id="late") == []


def test_gc_frees_what_the_runtime_does_not_know_of_this_node_and_network_only(
    new_pool: NewPool, http: httpx.Client
) -> None:
    ipam = {"pools": [new_pool()["name"]]}
    for container, changes in (
        ("g1", {}),
        ("g2", {}),
        ("g3", {"node": "n2"}),
        ("g4", {"config": {"name": "other"}}),
        ("g5", {"cluster": "east"}),
    ):
        assert http.post("/v1/cni/add", json=call(container, ipam=ipam, **changes)).status_code == 200
    alive = [{"containerID": "g1", "ifname": "eth0"}]

    answer = http.post("/v1/cni/gc", json=call(config={"cni.dev/valid-attachments": alive}))

    assert answer.status_code == 204
    left = http.get("/v1/allocations", params={"pool": ipam["pools"][0]}).json()["items"]
    assert [item["container_id"] for item in left] == ["g1", "g3", "g4", "g5"]


def test_status_looks_for_room_only_where_it_is_asked_to(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool(subnet="10.235.0.0/32")["name"]
    http.post("/v1/cni/add", json=call("fills", ipam={"pools": [pool]}))

    answers = {
        wanted: http.post("/v1/cni/status", json=call(ipam={"pools": [pool], "status": wanted}))
        for wanted in ("installation", "service", "capacity")
    }

    assert [answer.status_code for answer in answers.values()] == [204, 204, 503]
    assert answers["capacity"].json()["code"] == 50
    assert pool in answers["capacity"].json()["msg"]


@pytest.mark.parametrize(
    ("verb", "size", "status"),
    [
        ("add", 256 * 1024 + 1, 413),
        ("del", 10_000_000, 413),
        ("gc", 256 * 1024 + 1, 400),
        ("gc", 4 * 2**20 + 1, 413),
    ],
)
def test_a_body_beyond_its_limit_is_code_103(http: httpx.Client, verb: str, size: int, status: int) -> None:
    answer = http.post(f"/v1/cni/{verb}", content=b" " * size, headers=JSON)

    assert answer.status_code == status
    assert answer.json()["code"] == (103 if status == 413 else 6)


def test_a_body_beyond_its_limit_that_does_not_say_its_size_is_refused_too(http: httpx.Client) -> None:
    chunks = (b" " * 65536 for _ in range(5))

    answer = http.post("/v1/cni/add", content=chunks, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (413, 103)


def test_only_post_is_taken_and_only_for_calls_that_there_are(http: httpx.Client) -> None:
    assert http.get("/v1/cni/add").status_code == 405
    assert http.post("/v1/cni/version", json={}).status_code == 404


def test_every_decision_is_one_line_of_the_log_with_the_identity(
    lasting_ipamd: IpamdProcess, new_pool: NewPool, http: httpx.Client
) -> None:
    add = call(
        "logged-1", ipam={"pools": [new_pool()["name"]]}, node="logging-node", cluster="logging-cluster"
    )

    http.post("/v1/cni/add", json=add)
    http.post("/v1/cni/del", json=add)
    http.post("/v1/cni/add", json=call("logged-2", ipam={"pools": ["nowhere"]}))
    http.post("/v1/cni/add", json=call("logged-3", ipam={"pools": "nowhere"}))

    first = lasting_ipamd.logged("logged-1", times=2)
    second = lasting_ipamd.logged("logged-2") + lasting_ipamd.logged("logged-3")
    assert len(first) == 2
    assert all(
        part in first[0] for part in ("add", "granted", "pods", "logging-node", "logging-cluster", "eth0")
    )
    assert all(part in first[1] for part in ("del", "released"))
    assert len(second) == 2
    assert all(
        part in line for line in second for part in ("add", "refused", "nowhere", "pods", "n1", "eth0")
    )


def test_foreign_text_cannot_forge_a_line_of_the_log(
    lasting_ipamd: IpamdProcess, new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool()["name"]
    forged = "x\\n2026 [info] add outcome=granted"

    http.post("/v1/cni/add", json=call("f\n1 forged", ipam={"pools": [pool]}))
    http.post("/v1/allocations", json={"owner": forged, "pool": pool})
    http.post("/v1/cni/add", json=call("forging", node="n\x1b[2J", ipam={"pools": [pool]}))

    lasting_ipamd.logged("u001b[2J")
    text = lasting_ipamd.log.read_text()
    assert "\x1b" not in text
    assert not any(line.startswith(("1 forged", "2026 [info]")) for line in text.splitlines())


ANYTHING: list[Any] = [
    None,
    True,
    -1,
    2**64,
    1e308,
    "",
    "\0",
    "\x1b[31m",
    "<script>alert(1)</script>",
    "a" * 5000,
    "\ud800",
    [],
    [[[]]],
    {},
    {"a": None},
    [None] * 300,
    "10.0.0.05",
    "::ffff:10.0.0.1",
    "fe80::1%eth0",
]
PLACES = [
    ("container_id",),
    ("netns",),
    ("netns_id",),
    ("ifname",),
    ("args",),
    ("path",),
    ("cluster",),
    ("node",),
    ("issued",),
    ("issued", "boot"),
    ("issued", "uptime_ns"),
    ("issued", "time"),
    ("delivered",),
    ("undo",),
    ("spooled",),
    ("timeout",),
    ("config",),
    ("config", "cniVersion"),
    ("config", "name"),
    ("config", "ipam"),
    ("config", "ipam", "pools"),
    ("config", "ipam", "routes"),
    ("config", "ipam", "dns"),
    ("config", "ipam", "status"),
    ("config", "runtimeConfig"),
    ("config", "runtimeConfig", "ips"),
    ("config", "args"),
    ("config", "prevResult"),
    ("config", "cni.dev/valid-attachments"),
    ("surprise",),
]


@pytest.mark.parametrize("place", PLACES, ids=".".join)
@pytest.mark.parametrize("verb", ["add", "del", "check", "gc", "status"])
def test_whatever_stands_anywhere_in_a_call_is_never_a_500(
    http: httpx.Client, verb: str, place: tuple[str, ...]
) -> None:
    for thing in ANYTHING:
        body = call("anything", issued=issued(1), config={"runtimeConfig": {}, "prevResult": {"ips": []}})
        inner = body
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = thing

        answer = http.post(f"/v1/cni/{verb}", content=json.dumps(body).encode(), headers=JSON)

        assert answer.status_code < 500, (thing, answer.text)
        if answer.status_code >= 400:
            error = answer.json()
            assert (isinstance(error["code"], int), isinstance(error["msg"], str)) == (True, True)
            assert error["msg"].isprintable()
