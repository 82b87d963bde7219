"""Whatever a client sends to the admin API, it is answered in words: never a 500, and nothing changes."""

import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool

JSON = {"Content-Type": "application/json"}

BODIES = {
    "nothing": b"",
    "half an object": b"{",
    "a list": b"[]",
    "a number": b"5",
    "null": b"null",
    "no UTF-8": b'{"name": "\xff"}',
    "half a surrogate pair": b'{"name": "\\ud800", "subnet": "10.0.0.0/24"}',
    "half a surrogate pair as a key": b'{"\\ud800": 1}',
    "NUL": b'{"name": "a\\u0000", "subnet": "10.0.0.0/24"}',
    "NaN": b'{"name": "a", "subnet": "10.0.0.0/24", "cooldown": NaN}',
    "infinity": b'{"name": "a", "subnet": "10.0.0.0/24", "cooldown": 1e999}',
    "a long integer": b'{"name": "a", "subnet": "10.0.0.0/24", "cooldown": ' + b"9" * 10_000 + b"}",
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"a":' * 50_000,
    "nested selectors": b'{"selectors":' * 5_000 + b"1" + b"}" * 5_000,
    "a thousand names": json.dumps({f"k{n}": n for n in range(10_000)}).encode(),
    "markup as a key": b'{"<script>alert(1)</script>": "\\u001b[31m"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
}
TARGETS = [
    ("POST", "/v1/pools"),
    ("PATCH", "/v1/pools/kept"),
    ("POST", "/v1/pools/kept/routes"),
    ("POST", "/v1/allocations"),
    ("POST", "/v1/reservations"),
    ("PUT", "/v1/nodes/default/n1"),
]


@pytest.mark.parametrize(("method", "path"), TARGETS)
@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_cannot_be_meant_is_refused_in_words(
    http: httpx.Client, method: str, path: str, what: str
) -> None:
    http.post("/v1/pools", json={"name": "kept", "subnet": "10.250.0.0/24", "auto_assign": False})
    before = [http.get(each).json() for each in ("/v1/pools", "/v1/allocations", "/v1/reservations")]

    answer = http.request(method, path, content=BODIES[what], headers=JSON)

    problem = answer.json()
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["status"], bool(problem["code"]), bool(problem["title"])) == (
        answer.status_code,
        True,
        True,
    )
    assert problem["detail"].isprintable()
    assert [http.get(each).json() for each in ("/v1/pools", "/v1/allocations", "/v1/reservations")] == before


VALUES: list[Any] = [
    None,
    True,
    -1,
    2**70,
    0.5,
    "",
    "\0",
    "<b>",
    "x" * 3000,
    "10.0.0.05",
    "::ffff:10.0.0.1",
    "fe80::1%lo",
    "10.0.0.0/8",
    [],
    [None],
    ["10.0.0.1", 5],
    [["x"]],
    {},
    {"dst": "::/0"},
    {"nodes": None, "node_labels": {"": ""}},
    ["x"] * 2000,
]
FIELDS = {
    "/v1/pools": "name space subnet ranges exclusions gateway routes dns block_size affinity cooldown state "
    "priority auto_assign masquerade selectors",
    "/v1/allocations": "owner pool address space cluster node namespace name",
    "/v1/reservations": "address space namespace name owner note",
}


@pytest.mark.parametrize(
    ("path", "field"), [(path, field) for path, fields in FIELDS.items() for field in fields.split()]
)
def test_whatever_stands_in_a_field_is_never_a_500(http: httpx.Client, path: str, field: str) -> None:
    for number, value in enumerate(VALUES):
        bodies: dict[str, dict[str, Any]] = {
            "/v1/pools": {"name": f"any-{field}-{number}", "subnet": "10.251.0.0/24", "auto_assign": False},
            "/v1/allocations": {"owner": "anybody"},
            "/v1/reservations": {"address": "10.252.0.1"},
        }

        answer = http.post(path, json={**bodies[path], field: value})

        assert answer.status_code in (201, 403, 409, 422), (value, answer.text)
        if answer.status_code == 201 and path != "/v1/allocations":
            name = answer.json()["name" if path == "/v1/pools" else "id"]
            assert http.delete(f"{path}/{name}").status_code == 204


def test_a_body_beyond_the_limit_is_413(http: httpx.Client) -> None:
    announced = http.post("/v1/pools", content=b" " * (256 * 1024 + 1), headers=JSON)
    chunked = http.post("/v1/pools", content=(b" " * 65536 for _ in range(5)), headers=JSON)

    for answer in (announced, chunked):
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/index.html", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/pools/", 404),
        ("GET", "/v1/pools/a/b", 404),
        ("GET", "/v1/nodes/only-cluster", 404),
        ("GET", "/v1/%ff%fe", 404),
        ("GET", "/v1/pools/%2e%2e", 404),
        ("PUT", "/v1/pools", 405),
        ("DELETE", "/v1/history", 405),
        ("TRACE", "/v1/pools", 405),
    ],
)
def test_what_is_not_there_is_a_problem_too(http: httpx.Client, method: str, path: str, status: int) -> None:
    answer = http.request(method, path)

    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert any(way_on in answer.json()["detail"] for way_on in ("/docs", "`Allow`", "there is no "))


@pytest.mark.parametrize(
    "path", ["/healthz", "/v1/pools", "/v1/pools/none", "/openapi.json", "/docs", "/metrics"]
)
def test_head_is_answered_as_get_without_the_body(http: httpx.Client, path: str) -> None:
    read = http.get(path)

    head = http.head(path)

    assert head.content == b""
    assert head.status_code == read.status_code
    assert head.headers["content-type"] == read.headers["content-type"]
    assert int(head.headers["content-length"]) > 0


def test_head_of_a_call_names_the_method_that_is_taken(http: httpx.Client) -> None:
    answer = http.head("/v1/cni/add")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_markup_in_names_is_data(http: httpx.Client, new_pool: NewPool) -> None:
    pool = new_pool()["name"]
    owner = '<img src=x onerror="alert(1)">'

    made = http.post("/v1/allocations", json={"owner": owner, "pool": pool})
    listed = http.get("/v1/allocations", params={"owner": owner})

    assert (made.json()["owner"], len(listed.json()["items"])) == (owner, 1)
    assert listed.headers["content-type"] == "application/json"
