"""The plugin's calls: of the node whose token is shown, and of nobody else."""

from typing import Any

import httpx
import pytest

from tests.api.access.conftest import Caller, NewCaller, held
from tests.api.plugin_call import call

VERBS = ("add", "del", "check", "gc", "status")
UNKNOWN = "ipamd_" + "A" * 43


def of(verb: str, container_id: str = "c1", **changes: Any) -> dict[str, Any]:
    """The body of a call that would do something if it were allowed."""
    config: dict[str, Any] = {}
    if verb == "check":
        config["prevResult"] = {"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.2/24"}]}
    if verb == "gc":
        config["cni.dev/valid-attachments"] = []
    return call(container_id, config=config, **changes)


def refusal(answer: httpx.Response) -> tuple[int, int]:
    """Status and code of a CNI error object."""
    assert answer.json()["msg"]
    assert answer.json()["cniVersion"]
    return answer.status_code, answer.json()["code"]


@pytest.mark.usefixtures("pool")
def test_a_nodes_token_is_good_for_all_calls_of_that_node(node: Caller) -> None:
    answers = [
        node.post(f"/v1/cni/{verb}", of(verb)) for verb in ("add", "add", "check", "status", "del", "gc")
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 204, 204, 204, 204]


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("other", [{"node": "n2"}, {"cluster": "west"}, {"cluster": "n1", "node": "default"}])
@pytest.mark.parametrize("verb", VERBS)
def test_a_nodes_token_is_good_for_no_call_of_another_node(
    admin: Caller, node: Caller, verb: str, other: dict[str, str]
) -> None:
    assert admin.post("/v1/cni/add", of("add", **other)).status_code == 200
    before = held(admin)

    answer = node.post(f"/v1/cni/{verb}", of(verb, **other))
    another = node.post(f"/v1/cni/{verb}", of(verb, "c2", **other))

    assert refusal(answer) == refusal(another) == (403, 105)
    assert held(admin) == before
    assert len(before) == 1


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("verb", VERBS)
def test_who_shows_no_token_or_one_that_nobody_has_makes_no_call(
    admin: Caller, nobody: Caller, verb: str
) -> None:
    assert admin.post("/v1/cni/add", of("add")).status_code == 200

    assert refusal(nobody.post(f"/v1/cni/{verb}", of(verb))) == (401, 105)
    for token in (UNKNOWN, "ipamd_short", "-", "x" * 49, "Basic YTpi", f"{UNKNOWN}\u00e4", f"{UNKNOWN}="):
        headers = {b"Authorization": f"Bearer {token}".encode()}
        answer = nobody.service.http.post(f"/v1/cni/{verb}", json=of(verb), headers=headers)
        assert refusal(answer) == (401, 105), token

    assert len(held(admin)) == 1


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("verb", VERBS)
def test_readers_and_joiners_make_no_call(admin: Caller, reader: Caller, joiner: Caller, verb: str) -> None:
    assert admin.post("/v1/cni/add", of("add")).status_code == 200

    for asker in (reader, joiner):
        assert refusal(asker.post(f"/v1/cni/{verb}", of(verb))) == (403, 105)

    assert len(held(admin)) == 1


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("verb", VERBS)
def test_a_revoked_token_makes_no_call(admin: Caller, verb: str) -> None:
    number, text = admin.token_for("node", cluster="default", node="n1")
    node = Caller(admin.service, text)
    assert node.post("/v1/cni/add", of("add")).status_code == 200

    assert admin.ask("DELETE", f"/v1/tokens/{number}").status_code == 204

    assert refusal(node.post(f"/v1/cni/{verb}", of(verb))) == (401, 105)
    assert len(held(admin)) == 1


@pytest.mark.usefixtures("pool")
def test_a_token_in_the_wrong_place_is_none(admin: Caller, node: Caller) -> None:
    http, token = node.service.http, node.token or ""
    elsewhere: list[dict[str, Any]] = [
        {"params": {"token": token, "access_token": token, "authorization": f"Bearer {token}"}},
        {"headers": {"Cookie": f"Authorization=Bearer {token}; token={token}"}},
        {"auth": ("n1", token)},
        {"auth": (token, "")},
        {"headers": {"X-Api-Key": token, "Proxy-Authorization": f"Bearer {token}"}},
        {"headers": {"Authorization": token}},
        {"headers": {"Authorization": f"Token {token}"}},
        {"headers": {"Authorization": f"Bearer: {token}"}},
        {"headers": {"Authorization": f"Bearer {token} {token}"}},
    ]

    for place in elsewhere:
        assert refusal(http.post("/v1/cni/add", json=of("add"), **place)) == (401, 105), place
        assert http.get("/v1/nodes/default/n1", **place).status_code == 401, place
    body = http.post("/v1/cni/add", json={**of("add"), "token": token})

    assert body.status_code == 401
    assert held(admin) == []


@pytest.mark.usefixtures("pool")
def test_an_admin_may_make_a_call_for_any_node(admin: Caller) -> None:
    for name in ("n1", "n2"):
        assert admin.post("/v1/cni/add", of("add", node=name)).status_code == 200


def test_a_refused_body_is_not_read(nobody: Caller) -> None:
    answer = nobody.service.http.post(
        "/v1/cni/gc", content=b"{" * 5_000_000, headers={"Content-Type": "application/json"}
    )

    assert refusal(answer) == (401, 105)


def test_a_node_is_heard_from_by_its_own_calls_only(admin: Caller, new_caller: NewCaller) -> None:
    quiet = new_caller("node", cluster="default", node="quiet")

    quiet.post("/v1/cni/status", of("status", node="loud"))

    assert admin.get("/v1/nodes/default/loud").status_code == 404


def test_a_node_token_speaks_for_the_lease_of_its_own_node_only(
    node: Caller, reader: Caller, nobody: Caller
) -> None:
    asking = {"cluster": "default", "machine": "m", "boot": "b", "store": "s"}
    report = {"cluster": "default", "boot": "b", "store": "s", "epoch": 1, "first": 1, "events": []}

    for path, body in (("/v1/leases", asking), ("/v1/leases/report", report)):
        assert node.post(path, {**body, "node": "n1"}).status_code == 200
        assert node.post(path, {**body, "node": "n2"}).status_code == 403
        assert reader.post(path, {**body, "node": "n1"}).status_code == 403
        assert nobody.post(path, {**body, "node": "n1"}).status_code == 401
    assert node.post("/v1/leases/recall", {"node": "n1"}).status_code == 403
    assert reader.get("/v1/leases").json()["items"][0]["node"] == "n1"


@pytest.mark.usefixtures("pool")
def test_a_nodes_token_is_good_for_the_census_of_that_node_alone(admin: Caller, node: Caller) -> None:
    assert admin.post("/v1/cni/add", of("add", node="n2")).status_code == 200
    [theirs] = admin.get("/v1/census?cluster=default&node=n2").json()["rows"]
    dead = [{key: theirs[key] for key in ("id", "generation", "taken")}]
    said = {"cluster": "default", "machine": "m", "issued": {"boot": "b", "uptime_ns": 1}, "dead": dead}

    assert node.get("/v1/census?cluster=default&node=n1").status_code == 200
    assert node.post("/v1/census", {**said, "node": "n1"}).json()["gone"] == [theirs["id"]]
    for query in ("cluster=default&node=n2", "cluster=west&node=n1", "cluster=default"):
        assert node.get(f"/v1/census?{query}").status_code == 403
    assert node.post("/v1/census", {**said, "node": "n2"}).status_code == 403
