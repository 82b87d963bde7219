"""`POST /v1/explain`: what an ADD would get, and why."""

import sqlite3
from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.plugin_call import call, issued
from tests.service import IpamdProcess


def explained(http: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = http.post("/v1/explain", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    document: dict[str, Any] = answer.json()
    return document


def standings(document: dict[str, Any]) -> dict[str, str]:
    return {each["pool"]: each["standing"] for each in document["pools"]}


def why(document: dict[str, Any], pool: str) -> str:
    [found] = [each["why"] for each in document["pools"] if each["pool"] == pool]
    assert isinstance(found, str)
    return found


def test_the_answer_is_the_one_that_the_add_then_gets(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool(routes=[{"dst": "0.0.0.0/0"}], dns={"nameservers": ["192.0.2.53"]})["name"]
    add = call("answered", ipam={"pools": [pool]})

    before = explained(http, add)
    result = http.post("/v1/cni/add", json=add).json()

    assert (before["result"], before["error"], before["repeated"]) == (result, None, False)
    assert standings(before) == {pool: "gives"}


def stored(database: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables. Those of the full-text index stand in tables of its own."""
    tables = database.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL %'"
    ).fetchall()
    return {name: sorted(database.execute(f'SELECT * FROM "{name}"'), key=repr) for (name,) in tables}


def test_nothing_is_taken_and_nothing_is_noted(
    new_pool: NewPool, http: httpx.Client, lasting_ipamd: IpamdProcess
) -> None:
    pool = new_pool()["name"]
    add = call("untaken", ipam={"pools": [pool]}, node="never-heard-of", issued=issued(1))

    with sqlite3.connect(f"file:{lasting_ipamd.database}?mode=ro", uri=True) as database:
        before = stored(database)
        for _ in range(3):
            explained(http, add)
        after = stored(database)

    assert after == before
    assert http.get(f"/v1/pools/{pool}/usage").json()["allocated"] == 0
    assert http.get("/v1/nodes/default/never-heard-of").status_code == 404


def test_a_container_that_holds_addresses_would_get_them_again(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool(subnet="10.240.0.0/32")["name"]
    add = call("holding", ipam={"pools": [pool]})
    result = http.post("/v1/cni/add", json=add).json()

    document = explained(http, add)

    assert (document["result"], document["repeated"]) == (result, True)
    assert standings(document) == {pool: "holds"}
    assert why(document, pool) == f"this container already holds 10.240.0.0 of pool {pool}, and gets it again"


def test_every_pool_that_was_looked_at_says_what_it_is_to_the_request(
    new_pool: NewPool, http: httpx.Client
) -> None:
    full = new_pool(subnet="10.241.0.0/32")["name"]
    http.post("/v1/cni/add", json=call("fills", ipam={"pools": [full]}))
    draining = new_pool(state="draining")["name"]
    foreign = new_pool(selectors={"namespaces": ["web", "shop"]})["name"]
    racked = new_pool(selectors={"node_labels": {"rack": "r1"}})["name"]
    gives, spare = new_pool(subnet="10.241.1.0/24")["name"], new_pool()["name"]
    http.put("/v1/nodes/default/racked", json={"labels": {"rack": "r2"}})
    slot = [full, draining, foreign, racked, gives, spare]

    document = explained(
        http, call("looks", ipam={"pools": [slot]}, node="racked", args="K8S_POD_NAMESPACE=batch")
    )

    assert [each["pool"] for each in document["pools"]] == slot
    assert [each["standing"] for each in document["pools"]] == [
        *("full", "draining", "refuses", "refuses", "gives", "spare")
    ]
    assert why(document, full) == f"pool {full} has 1 of 1 allocated, 0 cooling down"
    assert why(document, draining) == f"pool {draining} is draining"
    assert why(document, foreign) == f"pool {foreign} is for namespace web or shop, not for batch"
    assert why(document, racked) == (
        f"pool {racked} is for nodes with the label rack=r1, but node racked has rack=r2"
    )
    assert why(document, gives) == "it would give 10.241.1.2"
    assert why(document, spare) == f"pool {gives} comes first and has an address"


def test_a_full_pool_says_how_full_and_when_the_next_address_has_cooled_down(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool(subnet="10.242.0.0/29", exclusions=["10.242.0.2-10.242.0.3"], cooldown=3600)["name"]
    http.post("/v1/reservations", json={"address": "10.242.0.4", "owner": "lb"})
    for container in ("cools", "stays"):
        http.post("/v1/cni/add", json=call(container, ipam={"pools": [pool]}))
    http.post("/v1/cni/del", json=call("cools", ipam={"pools": [pool]}))
    late = call("late", ipam={"pools": [pool]})

    document = explained(http, late)
    refused = http.post("/v1/cni/add", json=late).json()

    sentence = why(document, pool)
    assert sentence.startswith(
        f"pool {pool} has 1 of 8 allocated, 1 cooling down, 1 reserved, 5 excluded, the next ready at 2"
    )
    assert document["error"] == refused
    assert refused["code"] == 100
    assert sentence in refused["msg"]


@pytest.mark.parametrize(
    ("wanted", "code", "reason"),
    [
        ("10.243.0.1", 102, "it is the gateway of pool sought"),
        ("10.243.0.9", 102, "it is excluded from pool sought"),
        ("10.243.0.12", 102, "it is reserved for lb"),
        ("10.243.0.40", 102, "it is outside the ranges of pool sought"),
        ("192.0.2.1", 102, "it is outside pool sought (10.243.0.0/24)"),
        ("10.243.0.5", 101, "10.243.0.5 is held by vm"),
    ],
)
def test_a_requested_address_that_cannot_be_had_says_why_in_the_words_of_the_add(
    http: httpx.Client, wanted: str, code: int, reason: str
) -> None:
    pool = {
        "name": "sought",
        "subnet": "10.243.0.0/24",
        "ranges": ["10.243.0.0/27"],
        "exclusions": ["10.243.0.9"],
        "auto_assign": False,
    }
    if http.post("/v1/pools", json=pool).status_code == 201:
        http.post("/v1/reservations", json={"address": "10.243.0.12", "owner": "lb"})
        http.post("/v1/allocations", json={"owner": "vm", "address": "10.243.0.5"})
    add = call("seeking", ipam={"pools": ["sought"]}, config={"args": {"cni": {"ips": [wanted]}}})

    document = explained(http, add)
    refused = http.post("/v1/cni/add", json=add).json()

    assert (document["error"], document["result"]) == (refused, None)
    assert refused["code"] == code
    assert reason in refused["msg"]
    assert standings(document) == {"sought": "refuses"}
    assert reason in why(document, "sought")


def test_a_reserved_address_is_said_to_be_kept_for_its_workload(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool(subnet="10.244.0.0/24")["name"]
    http.post("/v1/reservations", json={"address": "10.244.0.77", "namespace": "web", "name": "front-0"})

    document = explained(
        http, call("kept", ipam={"pools": [pool]}, args="K8S_POD_NAMESPACE=web;K8S_POD_NAME=front-0")
    )

    assert document["result"]["ips"][0]["address"] == "10.244.0.77/24"
    assert why(document, pool) == "it would give 10.244.0.77, which is reserved for web/front-0"


def test_who_names_no_pool_hears_of_every_pool_and_of_the_family_that_is_missing(
    new_pool: NewPool, http: httpx.Client
) -> None:
    named_only = new_pool(subnet="10.245.0.0/24")["name"]
    foreign = new_pool(selectors={"networks": ["elsewhere"]}, auto_assign=True)["name"]
    lone = call("unnamed", config={"name": "lonely"})

    nothing = explained(http, lone)
    refused = http.post("/v1/cni/add", json=lone).json()
    chosen = new_pool(selectors={"networks": ["lonely"]}, auto_assign=True, subnet="fd00:245::/64")["name"]
    document = explained(http, lone)

    assert nothing["error"] == refused
    assert refused["msg"].startswith("no pool may serve this request: pool ")
    assert (
        why(nothing, named_only)
        == f"pool {named_only} serves only requests that name it (its auto_assign is false)"
    )
    assert why(nothing, foreign) == f"pool {foreign} is for network elsewhere, not for lonely"
    assert document["pools"][0]["pool"] == chosen
    assert standings(document)[named_only] == "refuses"
    assert document["remarks"] == ["no IPv4 pool serves this request: the answer has no IPv4 address"]


def test_an_address_of_a_pool_that_nobody_named_is_refused_with_that_pool(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool(subnet="10.246.0.0/24")["name"]
    other = new_pool()["name"]
    new_pool(subnet="10.246.1.0/24", selectors={"networks": ["asks"]}, auto_assign=True)
    unnamed = call("a", config={"name": "asks"}, args="IP=10.246.0.5")
    named = call("a", ipam={"pools": [other]}, args="IP=10.246.0.5")

    messages = [explained(http, add)["error"]["msg"] for add in (unnamed, named)]

    assert messages == [
        f"10.246.0.5 is not available: pool {pool} serves only requests that name it "
        "(its auto_assign is false)",
        f"10.246.0.5 is not available: it is in pool {pool}, which this request does not name",
    ]


def test_pools_that_all_refuse_are_code_105_with_their_selectors(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pools = [new_pool(selectors={"nodes": [node]})["name"] for node in ("n7", "n8")]
    add = call("barred", ipam={"pools": [pools]})

    document = explained(http, add)
    refused = http.post("/v1/cni/add", json=add)

    assert (document["error"], refused.status_code) == (refused.json(), 403)
    assert refused.json() == {
        "cniVersion": "1.1.0",
        "code": 105,
        "msg": f"pool {pools[0]} is for node n7, not for n1; pool {pools[1]} is for node n8, not for n1",
    }
    assert standings(document) == dict.fromkeys(pools, "refuses")


def test_a_selector_with_a_thousand_values_makes_a_short_sentence(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool(selectors={"nodes": [f"node-{number}" for number in range(1000)]})["name"]

    message = explained(http, call("many", ipam={"pools": [pool]}))["error"]["msg"]

    assert message.endswith("node-7 or one of 992 more, not for n1")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"config": {"name": "pods"}}, 4),
        (call("wrong", ipam={"pools": "one"}), 7),
        (call("wrong", ipam={"pools": ["nowhere"]}), 7),
        (call("wrong", ipam={"subnet": "10.0.0.0/8"}), 2),
        (call("wrong", config={"cniVersion": "9.0"}), 1),
    ],
)
def test_a_wrong_request_is_answered_as_its_add_would_be(
    http: httpx.Client, body: dict[str, Any], code: int
) -> None:
    document = explained(http, body)

    assert document["error"] == http.post("/v1/cni/add", json=body).json()
    assert document["error"]["code"] == code
    assert document["result"] is None


def test_an_answer_that_an_old_version_cannot_tell_is_explained_as_the_error_it_is(
    new_pool: NewPool, http: httpx.Client
) -> None:
    pool = new_pool()["name"]
    add = call("old", ipam={"pools": [pool, pool]}, config={"cniVersion": "0.2.0"})

    document = explained(http, add)

    assert document["error"] == http.post("/v1/cni/add", json=add).json()
    assert standings(document) == {pool: "gives"}


def test_an_add_that_its_del_overtook_would_be_refused(new_pool: NewPool, http: httpx.Client) -> None:
    add = call("overtaken", ipam={"pools": [new_pool()["name"]]}, issued=issued(100))
    http.post("/v1/cni/del", json={**add, "issued": issued(200)})

    assert explained(http, add)["error"]["code"] == 104
    assert explained(http, {**add, "issued": issued(300)})["error"] is None
