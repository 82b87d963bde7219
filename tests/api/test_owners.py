"""Owners over REST and the plugin's calls: their addresses outlive pods, and move with them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.api.plugin_call import call
from tests.service import IpamdProcess

ANNOTATIONS = "io.kubernetes.cri.pod-annotations"


def pod(
    container: str, owner: object, node: str = "n1", namespace: str = "team", **more: Any
) -> dict[str, Any]:
    """A call for a pod that names an owner by annotation, from the pools of this test."""
    args = f"K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={container}" if namespace else ""
    config = {"runtimeConfig": {ANNOTATIONS: {"ipamd.io/owner": owner}}, **more.pop("config", {})}
    return call(container, args=args, node=node, ipam={"pools": ["owned"]}, config=config, **more)


def add(http: httpx.Client, body: dict[str, Any]) -> str:
    answer = http.post("/v1/cni/add", json=body)
    assert answer.status_code == 200, answer.text
    [ip] = answer.json()["ips"]
    return str(ip["address"]).partition("/")[0]


def refusal(http: httpx.Client, body: dict[str, Any]) -> tuple[int, str]:
    answer = http.post("/v1/cni/add", json=body)
    return answer.json()["code"], answer.json()["msg"]


def delete(http: httpx.Client, body: dict[str, Any]) -> None:
    assert http.post("/v1/cni/del", json=body).status_code in (200, 204)


@pytest.fixture(scope="module", autouse=True)
def pool(lasting_ipamd: IpamdProcess) -> None:
    body = {"name": "owned", "subnet": "10.7.0.0/24", "auto_assign": False, "owner_keep": 600}
    assert lasting_ipamd.http.post("/v1/pools", json=body).status_code == 201


def test_an_address_moves_with_its_vm_and_who_has_it_is_shown(http: httpx.Client) -> None:
    address = add(http, pod("source", "vm-1"))
    assert add(http, pod("target", "vm-1", node="n2")) == address

    code, why = refusal(http, pod("third", "vm-1", node="n3"))
    assert code == 101
    assert "owner team/vm-1" in why
    assert "team/source" in why
    assert "team/target" in why

    [shown] = http.get("/v1/owners", params={"namespace": "team", "name": "vm-1"}).json()["items"]
    assert (shown["address"], shown["pool"], shown["away_since"]) == (address, "owned", None)
    assert {(each["name"], each["node"], each["held_for"]) for each in shown["holders"]} == {
        ("source", "n1", "vm-1"),
        ("target", "n2", "vm-1"),
    }
    listed = http.get("/v1/allocations", params={"address": address}).json()["items"]
    assert [each["owner"] for each in listed] == ["vm-1", None, None]

    delete(http, pod("source", "vm-1"))
    delete(http, pod("target", "vm-1", node="n2"))
    [shown] = http.get("/v1/owners/team/vm-1").json()["items"]
    assert shown["holders"] == []
    assert shown["away_since"] < shown["kept_until"]
    had = http.get("/v1/history", params={"owner": "vm-1", "namespace": "team"}).json()["items"]
    assert sorted(each["name"] or "the owner" for each in had) == ["source", "target", "the owner"]


def test_an_owner_may_be_named_in_args_cni_or_for_one_network(http: httpx.Client) -> None:
    named = call(
        "by-args",
        args="K8S_POD_NAMESPACE=team;K8S_POD_NAME=a",
        ipam={"pools": ["owned"]},
        config={"args": {"cni": {"owner": "vm-2"}}},
    )
    address = add(http, named)
    for_network = {"runtimeConfig": {ANNOTATIONS: {"ipamd.io/owner.pods": "vm-2", "ipamd.io/owner": "vm-9"}}}
    assert add(http, pod("by-network", "", config=for_network, node="n2")) == address


def test_usage_counts_an_owners_address_once(http: httpx.Client) -> None:
    before = http.get("/v1/pools/owned/usage").json()["allocated"]
    for number in (1, 2):
        add(http, pod(f"counted-{number}", "vm-3"))

    assert http.get("/v1/pools/owned/usage").json()["allocated"] == before + 1
    found = http.post("/v1/check", json={}).json()
    assert found["items"] == []


def test_what_owners_have_and_nobody_holds_is_counted_everywhere(ipamd_process: IpamdProcess) -> None:
    http = ipamd_process.http
    ipamd_process.create_pool("owned", "10.7.0.0/24")
    for name in ("here", "gone"):
        add(http, pod(f"pod-of-{name}", name))
    http.post("/v1/owners", json={"namespace": "team", "name": "to-come", "pool": "owned"})
    delete(http, pod("pod-of-gone", "gone"))

    usage = http.get("/v1/pools/owned/usage").json()
    assert (usage["allocated"], usage["away"]) == (3, 2)
    assert 'ipamd_pool_away_addresses{pool="owned"} 2.0' in http.get("/metrics").text
    assert "<dt>of owners who are away</dt><dd>2</dd>" in http.get("/ui/pools/owned").text


def test_pods_of_one_template_are_each_an_owner_of_their_own(http: httpx.Client) -> None:
    template = "disk-of-$(POD_NAME)"
    addresses = [add(http, pod(name, template)) for name in ("db-0", "db-1")]
    assert len(set(addresses)) == 2

    assert add(http, pod("db-1", template, node="n2")) == addresses[1]
    [shown] = http.get("/v1/owners/team/disk-of-db-1").json()["items"]
    assert (shown["address"], len(shown["holders"])) == (addresses[1], 2)


@pytest.mark.parametrize(
    ("owner", "namespace", "code", "says"),
    [
        ("$(POD_NAME)", "", 7, "K8S_POD_NAME"),
        ("$(NODE_NAME)", "team", 7, "is not a name of an owner"),
        ("vm", "", 7, "K8S_POD_NAMESPACE"),
        ("other/vm", "team", 7, "is not a name of an owner"),
        ("node:default/n1", "team", 7, "is not a name of an owner"),
        ("-vm", "team", 7, "is not a name of an owner"),
        ("v" * 254, "team", 7, "is not a name of an owner"),
        (7, "team", 7, "a string"),
    ],
)
def test_what_is_no_owner_is_refused(
    http: httpx.Client, owner: object, namespace: str, code: int, says: str
) -> None:
    found, why = refusal(http, pod("odd", owner, namespace=namespace))

    assert found == code
    assert says in why


def test_no_namespace_can_name_the_owner_of_another(http: httpx.Client) -> None:
    address = add(http, pod("mine", "vm-4", namespace="team"))

    assert add(http, pod("theirs", "vm-4", namespace="other")) != address


def test_an_admin_makes_an_owner_in_advance_and_releases_it(http: httpx.Client) -> None:
    body = {"name": "vm-5", "namespace": "team", "address": "10.7.0.200"}
    made = http.post("/v1/owners", json=body)
    assert made.status_code == 201, made.text
    assert http.get(made.headers["Location"]).json()["items"] == made.json()["items"]
    assert http.post("/v1/owners", json=body).json()["items"] == made.json()["items"]
    assert made.json()["items"][0]["kept_until"] is None

    assert add(http, pod("later", "vm-5")) == "10.7.0.200"

    refused = http.post("/v1/owners/team/vm-5/release", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "owner-held")
    assert "team/later" in refused.json()["detail"]
    number = made.json()["items"][0]["allocation"]
    assert http.delete(f"/v1/allocations/{number}").status_code == 409
    released = http.post("/v1/owners/team/vm-5/release", json={"holders": True, "why": "the VM is gone"})
    assert released.json() == {"released": ["10.7.0.200"]}
    assert http.get("/v1/owners/team/vm-5").status_code == 404
    had = http.get("/v1/history", params={"owner": "vm-5"}).json()["items"]
    assert {each["reason"] for each in had} == {"the VM is gone"}


def test_a_list_of_owners_has_pages(http: httpx.Client) -> None:
    for number in range(3):
        body = {"name": f"paged-{number}", "namespace": "pages", "pool": "owned"}
        assert http.post("/v1/owners", json=body).status_code == 201

    names: list[str] = []
    query: dict[str, Any] = {"namespace": "pages", "limit": 2}
    while True:
        found = http.get("/v1/owners", params=query).json()
        names += [each["name"] for each in found["items"]]
        if found["next"] is None:
            break
        query["cursor"] = found["next"]
    assert names == ["paged-0", "paged-1", "paged-2"]
    assert http.get("/v1/owners", params={"cluster": "east"}).json()["items"] == []


def test_an_explanation_says_what_an_owner_would_get(http: httpx.Client) -> None:
    address = add(http, pod("explained", "vm-6"))

    found = http.post("/v1/explain", json=pod("new", "vm-6", node="n2")).json()

    assert found["result"]["ips"][0]["address"].startswith(address)
    assert [each["why"] for each in found["pools"] if each["standing"] == "gives"] == [
        f"it would give {address}, which owner team/vm-6 has"
    ]
    add(http, pod("second", "vm-6", node="n2"))
    full = http.post("/v1/explain", json=pod("third", "vm-6", node="n3")).json()
    [why] = {each["why"] for each in full["pools"] if each["standing"] == "refuses"}
    assert why == full["error"]["msg"]
    assert "and by" in why
    delete(http, pod("second", "vm-6", node="n2"))
    assert len(http.get("/v1/owners/team/vm-6").json()["items"][0]["holders"]) == 1


def test_the_check_names_a_holder_whose_owner_is_gone_and_an_owner_whose_holders_are(
    ipamd_process: IpamdProcess,
) -> None:
    http = ipamd_process.http
    ipamd_process.create_pool("owned", "10.7.0.0/24")
    addresses = {name: add(http, pod(f"pod-of-{name}", name)) for name in ("lost", "lonely")}
    assert ipamd_process.contradictions() == []
    with closing(sqlite3.connect(ipamd_process.database, timeout=10)) as database, database:
        database.execute("DELETE FROM allocation WHERE owner = 'lost'")
        database.execute("DELETE FROM allocation WHERE held_for = 'lonely' AND slot > 0")

    ipamd_process.contradictions(repair=True)  # frees nothing that a pod uses
    found = {each["kind"]: each for each in ipamd_process.contradictions()}
    assert found.keys() == {"holder-without-owner", "owner-holders"}
    assert found["holder-without-owner"]["address"] == addresses["lost"]
    assert "team/pod-of-lost" in found["holder-without-owner"]["what"]
    assert "for owner lost, but nobody has it" in found["holder-without-owner"]["what"]
    assert found["owner-holders"]["address"] == addresses["lonely"]
    assert add(http, pod("another", "another")) not in addresses.values()
