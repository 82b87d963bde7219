"""The admin API: who may ask it for what."""

import os
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.access.conftest import Caller
from tests.api.plugin_call import call

NOBODY = 65534
OPEN = {"/", "/healthz", "/readyz"}
POOL = {"name": "made", "subnet": "10.9.0.0/24"}
MEMBER = {
    "machine": "m1",
    "address": "192.0.2.11",
    "prefixes": ["192.0.2.0/24"],
    "mtu": 1500,
    "mac": "02:00:00:00:00:0b",
}
READS = (
    "/v1/pools",
    "/v1/pools/pods",
    "/v1/pools/pods/usage",
    "/v1/pools/pods/routes",
    "/v1/allocations",
    "/v1/allocations/1",
    "/v1/reservations",
    "/v1/nodes",
    "/v1/nodes/default/n2",
    "/v1/network?cluster=west",
    "/v1/network?cluster=default&cluster=west",
    "/v1/network/changes?cluster=west&epoch=none&after=0",
    "/v1/history",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/nowhere",
)
CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/v1/pools", POOL),
    ("PATCH", "/v1/pools/pods", {"priority": 9}),
    ("DELETE", "/v1/pools/pods", None),
    ("POST", "/v1/pools/pods/routes", {"dst": "0.0.0.0/0"}),
    ("DELETE", "/v1/pools/pods/routes?dst=0.0.0.0/0", None),
    ("POST", "/v1/allocations", {"owner": "vm"}),
    ("DELETE", "/v1/allocations/1", None),
    ("POST", "/v1/reservations", {"address": "10.0.0.9"}),
    ("DELETE", "/v1/reservations/1", None),
    ("PUT", "/v1/nodes/default/n1", {"labels": {}}),
    ("DELETE", "/v1/nodes/default/n1", None),
    ("PATCH", "/v1/network", {"mode": "vxlan"}),
    ("PUT", "/v1/network/nodes/default/n2", MEMBER),
    ("PUT", "/v1/network/nodes/west/n1", MEMBER),
    ("POST", "/v1/tokens", {"role": "admin"}),
    ("DELETE", "/v1/tokens/1", None),
    ("POST", "/v1/repair", {}),
)
TOKENS = ("/v1/tokens", "/v1/tokens/1", "/v1/tokens?limit=5")


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    return answer.status_code, answer.json()["code"]


def catalogue(admin: Caller) -> list[Any]:
    return [admin.get(f"/v1/{noun}").json() for noun in ("pools", "reservations", "nodes", "allocations")]


@pytest.mark.usefixtures("pool")
def test_without_a_token_nothing_is_answered_but_whether_it_is_well(admin: Caller, nobody: Caller) -> None:
    before = catalogue(admin)

    for method, path, body in [*(("GET", path, None) for path in (*READS, *TOKENS)), *CHANGES]:
        answer = nobody.ask(method, path, body)
        assert refusal(answer) == (401, "unauthenticated"), (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"

    assert catalogue(admin) == before
    assert {nobody.get(path).status_code for path in OPEN} == {200}


@pytest.mark.usefixtures("pool")
def test_loopback_wants_a_token_as_the_socket_does_and_takes_every_host(
    admin: Caller, nobody: Caller
) -> None:
    url = f"{admin.service.tcp_endpoint}/v1/pools"

    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={**admin.headers, "Host": "ipamd.example"}).status_code == 200
    assert (
        httpx.get(url.replace("/v1/pools", "/healthz"), headers={"Host": "ipamd.example"}).status_code == 200
    )


@pytest.mark.usefixtures("pool")
def test_a_body_that_a_web_page_could_send_is_refused_also_with_a_token(admin: Caller) -> None:
    answer = httpx.post(
        f"{admin.service.tcp_endpoint}/v1/pools",
        content=b"{}",
        headers={**admin.headers, "Content-Type": "text/plain"},
    )

    assert refusal(answer) == (415, "unsupported-media-type")


@pytest.mark.usefixtures("pool")
def test_a_reader_reads_everything_but_tokens_and_changes_nothing(admin: Caller, reader: Caller) -> None:
    before = catalogue(admin)

    for path in READS:
        assert reader.get(path).status_code in (200, 404), path
    assert reader.ask("POST", "/v1/check", {}).status_code == 200
    for path in TOKENS:
        assert refusal(reader.get(path)) == (403, "not-allowed")
    for method, path, body in [*CHANGES, ("POST", "/v1/nodes/join", {"node": "n9", "proof": "0" * 64})]:
        assert refusal(reader.ask(method, path, body)) == (403, "not-allowed"), (method, path)

    assert catalogue(admin) == before


@pytest.mark.usefixtures("pool")
def test_a_node_reads_what_is_its_own_and_changes_nothing(admin: Caller, node: Caller) -> None:
    for name in ("n1", "n2"):
        assert admin.post("/v1/cni/add", call(f"c-{name}", node=name)).status_code == 200
    before = catalogue(admin)

    own = node.get("/v1/allocations", params={"cluster": "default", "node": "n1", "limit": 5})

    assert [item["container_id"] for item in own.json()["items"]] == ["c-n1"]
    assert node.get("/v1/nodes/default/n1").status_code == 200
    for path in (*READS, *TOKENS):
        assert refusal(node.get(path)) == (403, "not-allowed"), path
    for method, path, body in CHANGES:
        assert refusal(node.ask(method, path, body)) == (403, "not-allowed"), (method, path)
    assert catalogue(admin) == before


def test_a_slash_in_a_name_leads_to_no_other_node(admin: Caller, node: Caller) -> None:
    admin.ask("PUT", "/v1/nodes/default/n1", {"labels": {"zone": "own"}})
    admin.ask("PUT", "/v1/nodes/default/n1%2Fn1", {"labels": {"zone": "other"}})

    assert admin.get("/v1/nodes/default/n1%2fn1").json()["name"] == "n1/n1"
    assert node.get("/v1/nodes/default/n1").json()["labels"] == {"zone": "own"}
    for path in ("default/n1%2Fn1", "default%2Fn1", "default%2Fn1/n1", "default/n1%EF%BF%BFn1"):
        assert refusal(node.get(f"/v1/nodes/{path}")) == (403, "not-allowed"), path
        assert refusal(node.ask("PUT", f"/v1/network/nodes/{path}", MEMBER)) == (403, "not-allowed"), path
    assert admin.get("/v1/nodes%2Fdefault/n1").status_code == 404
    assert admin.ask("DELETE", "/v1/nodes/default/n1%2Fn1").status_code == 204
    assert admin.get("/v1/nodes/default/n1").json()["labels"] == {"zone": "own"}


def test_a_node_joins_the_pod_network_of_its_cluster_and_follows_it(admin: Caller, node: Caller) -> None:
    joined = node.ask("PUT", "/v1/network/nodes/default/N1", MEMBER)

    network = node.get("/v1/network", params={"cluster": "default"})
    since = {"epoch": network.json()["epoch"], "after": network.json()["number"], "cluster": "default"}
    followed = node.get("/v1/network/changes", params=since)

    assert (joined.status_code, joined.json()["name"]) == (200, "n1")
    assert [each["name"] for each in network.json()["nodes"]] == ["n1"]
    assert followed.status_code == node.get("/v1/network").status_code == 200
    assert admin.ask("DELETE", "/v1/nodes/default/n1").status_code == 204


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize(
    "query",
    [
        "",
        "node=n1",
        "cluster=default",
        "cluster=default&node=n2",
        "cluster=west&node=n1",
        "cluster=default&node=n1&node=n2",
        "cluster=default&node=n2&node=n1",
        "cluster=default&cluster=west&node=n1",
        "cluster=default&node=n1;node=n2",
        "cluster=default&%6eode=n2&node=n1",
        "cluster=default&node=n1%00",
        "CLUSTER=default&NODE=n1",
    ],
)
def test_a_node_lists_nothing_of_another_node(admin: Caller, node: Caller, query: str) -> None:
    assert admin.post("/v1/cni/add", call("c1", node="n2")).status_code == 200

    assert refusal(node.get(f"/v1/allocations?{query}")) == (403, "not-allowed")


@pytest.mark.parametrize(
    "path",
    ["/v1/nodes/default/n2", "/v1/nodes/west/n1", "/v1/nodes/default/n1/", "/v1/nodes/default/n1/../n2",
     "/v1/nodes/default%2Fn2", "/v1/nodes/default/n1%2F..%2Fn2", "//v1/nodes/default/n1", "/v1/allocations/"],
)  # fmt: skip
def test_a_node_reads_no_other_node_by_any_spelling(node: Caller, path: str) -> None:
    answer = node.service.http.request(
        "GET", httpx.URL("http://localhost", raw_path=path.encode()), headers=node.headers
    )

    assert answer.status_code in (403, 404)
    assert "items" not in answer.text
    assert "labels" not in answer.text


@pytest.mark.usefixtures("pool")
def test_a_join_token_is_good_for_joining_and_nothing_else(admin: Caller, joiner: Caller) -> None:
    before = catalogue(admin)

    for method, path, body in [*(("GET", path, None) for path in (*READS, *TOKENS)), *CHANGES]:
        assert refusal(joiner.ask(method, path, body)) == (403, "not-allowed"), (method, path)

    assert catalogue(admin) == before


def test_the_description_says_which_requests_want_a_token(reader: Caller) -> None:
    described = reader.get("/openapi.json").json()

    wants = {
        path
        for path, methods in described["paths"].items()
        if all(operation.get("security") == [{"token": []}] for operation in methods.values())
    }
    assert set(described["paths"]) - wants == OPEN - {"/"}
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def connects(path: Path, *, group: int) -> bool:
    """Whether a process of another user, in one group, can connect to a socket."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(NOBODY)
            socket.socket(socket.AF_UNIX).connect(str(path))
            code = 0
        except PermissionError:
            code = 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1)
    return code == 0


def test_no_other_local_user_opens_the_socket_but_those_of_its_group(admin: Caller) -> None:
    path = admin.service.socket
    admin.service.folder.chmod(0o755)  # else the folder would keep them out

    assert not connects(path, group=NOBODY)
    assert connects(path, group=path.stat().st_gid)
