"""Pools over REST."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool
from tests.api.plugin_call import call


def test_a_pool_that_says_nothing_gets_the_defaults(http: httpx.Client) -> None:
    answer = http.post("/v1/pools", json={"name": "plain", "subnet": "172.16.0.0/16"})

    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/pools/plain"
    assert answer.json() == {
        "name": "plain",
        "space": "default",
        "subnet": "172.16.0.0/16",
        "ranges": [],
        "exclusions": [],
        "gateway": "172.16.0.1",
        "gateway_on_link": False,
        "routes": [],
        "dns": {"nameservers": [], "domain": None, "search": [], "options": []},
        "block_size": 26,
        "prefix_length": None,
        "affinity": "any",
        "cooldown": 60,
        "state": "active",
        "priority": 0,
        "auto_assign": True,
        "masquerade": False,
        "borrow": True,
        "lease": 64,
        "sticky": False,
        "owner_keep": 86400,
        "selectors": {"clusters": [], "networks": [], "nodes": [], "node_labels": {}, "namespaces": []},
    }
    assert http.get("/v1/pools/plain").json() == answer.json()


def test_a_pool_that_says_everything_is_shown_as_it_was_said(http: httpx.Client) -> None:
    body = {
        "name": "full.pool_1-x",
        "space": "lab",
        "subnet": "fd00:1::/64",
        "ranges": ["fd00:1::10-fd00:1::ff"],
        "exclusions": ["fd00:1::20", "fd00:1::40/124"],
        "gateway": "fe80::1",
        "gateway_on_link": True,
        "routes": [{"dst": "::/0", "gw": "fe80::1", "mtu": 1400, "advmss": 1340, "priority": 5, "table": 7}],
        "dns": {
            "nameservers": ["fd00::53"],
            "domain": "a.example",
            "search": ["b.example"],
            "options": ["x"],
        },
        "block_size": 124,
        "prefix_length": 126,
        "affinity": "node",
        "cooldown": 5,
        "state": "draining",
        "priority": -3,
        "auto_assign": False,
        "masquerade": True,
        "borrow": False,
        "lease": 8,
        "sticky": True,
        "owner_keep": 600,
        "selectors": {
            "clusters": ["east"],
            "networks": ["pods"],
            "nodes": ["n1", "n2"],
            "node_labels": {"zone": "a"},
            "namespaces": ["web"],
        },
    }

    answer = http.post("/v1/pools", json=body)

    assert (answer.status_code, answer.json()) == (201, body)


@pytest.mark.parametrize(
    ("subnet", "gateway"),
    [("192.0.2.0/30", "192.0.2.1"), ("192.0.2.4/31", None), ("192.0.2.6/32", None), ("fd00:2::/127", None)],
)
def test_the_gateway_is_the_first_usable_address_where_there_is_one(
    new_pool: NewPool, subnet: str, gateway: str | None
) -> None:
    assert new_pool(subnet=subnet)["gateway"] == gateway


def test_a_null_gateway_is_none(new_pool: NewPool) -> None:
    assert new_pool(gateway=None)["gateway"] is None


def test_pools_come_in_pages_by_name(new_pool: NewPool, http: httpx.Client) -> None:
    made = sorted(new_pool(space="paged")["name"] for _ in range(5))

    names: list[str] = []
    cursor: str | None = None
    pages = 0
    while True:
        page = http.get(
            "/v1/pools", params={"space": "paged", "limit": 2, **({"cursor": cursor} if cursor else {})}
        )
        names += [pool["name"] for pool in page.json()["items"]]
        cursor, pages = page.json()["next"], pages + 1
        if cursor is None:
            break

    assert (names, pages) == (made, 3)


def test_a_patch_changes_what_it_names_and_nothing_else(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool(dns={"domain": "a.example", "search": ["a.example"]}, cooldown=5, exclusions=[])

    answer = http.patch(
        f"/v1/pools/{pool['name']}",
        json={"cooldown": None, "priority": 7, "dns": {"domain": None, "options": ["x"]}},
    )

    dns = {"nameservers": [], "domain": None, "search": ["a.example"], "options": ["x"]}
    assert answer.json() == {**pool, "cooldown": 60, "priority": 7, "dns": dns}


def test_a_patch_takes_the_gateway_away_with_null_and_leaves_it_when_it_is_absent(
    new_pool: NewPool, http: httpx.Client
) -> None:
    path = f"/v1/pools/{new_pool(gateway='169.254.1.1')['name']}"

    assert http.patch(path, json={"cooldown": 1}).json()["gateway"] == "169.254.1.1"
    assert http.patch(path, json={"gateway": None}).json()["gateway"] is None
    assert http.patch(path, json={"cooldown": 2}).json()["gateway"] is None


def test_a_subnet_may_grow(http: httpx.Client) -> None:
    http.post("/v1/pools", json={"name": "growing", "subnet": "172.20.0.0/24", "auto_assign": False})

    answer = http.patch("/v1/pools/growing", json={"subnet": "172.20.0.0/22"})

    assert (answer.json()["subnet"], answer.json()["gateway"]) == ("172.20.0.0/22", "172.20.0.1")


def test_a_change_from_a_stale_version_is_412(new_pool: NewPool, http: httpx.Client) -> None:
    path = f"/v1/pools/{new_pool()['name']}"
    seen = http.get(path).headers["etag"]

    first = http.patch(path, json={"priority": 1}, headers={"If-Match": seen})
    second = http.patch(path, json={"priority": 2}, headers={"If-Match": seen})
    third = http.delete(path, headers={"If-Match": seen})
    listed = http.patch(path, json={"priority": 3}, headers={"If-Match": f"{seen}, {first.headers['etag']}"})

    assert first.headers["etag"] != seen
    assert [answer.status_code for answer in (first, second, third, listed)] == [200, 412, 412, 200]
    assert second.json()["code"] == "stale"


@pytest.mark.parametrize(
    ("tag", "status"), [("*", 200), ('W/"1"', 412), ('"x"', 412), ("17", 400), ('"1', 400)]
)
def test_if_match_is_read_as_http_has_it(
    new_pool: NewPool, http: httpx.Client, tag: str, status: int
) -> None:
    path = f"/v1/pools/{new_pool()['name']}"

    assert http.patch(path, json={"priority": 1}, headers={"If-Match": tag}).status_code == status


def test_a_pool_is_deleted_only_when_nothing_of_it_is_held(new_pool: NewPool, http: httpx.Client) -> None:
    name = new_pool()["name"]
    held = http.post("/v1/allocations", json={"owner": "vm", "pool": name}).json()

    refused = http.delete(f"/v1/pools/{name}")
    http.delete(f"/v1/allocations/{held['id']}")
    deleted = http.delete(f"/v1/pools/{name}")

    assert (refused.status_code, refused.json()["code"]) == (409, "pool-in-use")
    assert deleted.status_code == 204
    assert http.get(f"/v1/pools/{name}").status_code == 404


def test_usage_adds_up_to_the_size(new_pool: NewPool, http: httpx.Client) -> None:
    pool = new_pool(exclusions=["10.200.0.8/30"], subnet="10.200.0.0/24")
    http.post("/v1/reservations", json={"address": "10.200.0.16/31", "owner": "db"})
    for owner in ("a", "b"):
        http.post("/v1/allocations", json={"owner": owner, "pool": pool["name"]})
    first = http.get("/v1/allocations", params={"pool": pool["name"]}).json()["items"][0]
    http.delete(f"/v1/allocations/{first['id']}")

    usage = http.get(f"/v1/pools/{pool['name']}/usage").json()

    # Excluded: network, broadcast and gateway, beside the four of the pool's own.
    assert usage == {
        "size": 256,
        "allocated": 1,
        "leased": 0,
        "held": 0,
        "cooling": 1,
        "reserved": 2,
        "excluded": 7,
        "free": 245,
        "prefixes": {},
        "away": 0,
        "waiting": 0,
    }


def test_routes_are_added_told_to_containers_and_removed(new_pool: NewPool, http: httpx.Client) -> None:
    name = new_pool()["name"]
    path = f"/v1/pools/{name}/routes"
    route = {"dst": "192.0.2.0/24", "gw": "10.0.0.9", "mtu": 1400}

    added = http.post(path, json=route)
    again = http.post(path, json=route)
    told = http.post("/v1/cni/add", json=call("routed", ipam={"pools": [name]})).json()["routes"]
    listed = http.get(path).json()
    removed = http.delete(path, params={"dst": "192.0.2.0/24"})
    gone = http.delete(path, params={"dst": "192.0.2.0/24"})

    assert (added.status_code, added.json()) == (201, route)
    assert (again.status_code, again.json()["code"]) == (409, "route-exists")
    assert told == [route]
    assert listed == {"items": [route], "next": None}
    assert (removed.status_code, gone.status_code) == (204, 404)


@pytest.mark.parametrize(
    ("fields", "status", "code", "detail"),
    [
        ({"name": "a b"}, 422, "invalid", "name: "),
        ({"name": "-a"}, 422, "invalid", "name: "),
        ({"name": "a\n"}, 422, "invalid", "name: "),
        ({"name": "a" * 64}, 422, "invalid", "name: "),
        ({"name": "<b>"}, 422, "invalid", "name: "),
        ({"name": 5}, 422, "invalid", "name: Input should be a valid string"),
        ({"subnet": "10.99.0.1/24"}, 422, "invalid", "has host bits set: write 10.99.0.0/24"),
        ({"subnet": "10.99.0.0/33"}, 422, "invalid", "subnet: "),
        ({"subnet": "10.099.0.0/24"}, 422, "invalid", "subnet: "),
        ({"subnet": "10.99.0.0"}, 422, "invalid", "is not a prefix"),
        ({"subnet": "::ffff:10.0.0.0/120"}, 422, "invalid", "IPv4-mapped"),
        ({"subnet": None}, 422, "invalid", "subnet: "),
        ({"ranges": ["10.98.0.1-10.98.0.9"]}, 422, "invalid", "ranges"),
        ({"ranges": ["10.99.0.9-10.99.0.1"]}, 422, "invalid", "the lower address first"),
        ({"exclusions": ["fe80::1%eth0"]}, 422, "invalid", "exclusions[0]: "),
        ({"gateway": "10.98.0.1"}, 422, "invalid", "gateway"),
        ({"gateway": "x"}, 422, "invalid", "gateway: 'x' is not an IPv4 or IPv6 address"),
        ({"block_size": 8}, 422, "invalid", "block_size: a block is a /22 to a /32"),
        ({"block_size": "26"}, 422, "invalid", "block_size: "),
        ({"cooldown": -1}, 422, "invalid", "cooldown: "),
        ({"cooldown": True}, 422, "invalid", "cooldown: "),
        ({"auto_assign": "no"}, 422, "invalid", "auto_assign: "),
        ({"state": "closed"}, 422, "invalid", "state: Input should be 'active' or 'draining'"),
        ({"routes": [{"dst": "x"}]}, 422, "invalid", "routes[0].dst: "),
        (
            {"routes": [{"dst": "0.0.0.0/0", "gw": "fe80::1"}]},
            422,
            "invalid",
            "gw: fe80::1 is not in the address family",
        ),
        (
            {"exclude": ["10.99.0.9"]},
            422,
            "invalid",
            "exclude: unknown field `exclude`; did you mean `exclusions`?",
        ),
        (
            {"selectors": {"node": ["a"]}},
            422,
            "invalid",
            "selectors.node: unknown field `node`; did you mean `nodes`?",
        ),
        (
            {"routes": [{"dst": "::/0", "via": "fd00::1"}]},
            422,
            "invalid",
            "unknown field `via`; known: dst, gw, mtu",
        ),
        ({"selectors": {"nodes": ["a\0"]}}, 422, "invalid", "selectors.nodes[0]: holds a NUL character"),
        ({"selectors": {"nodes": "a"}}, 422, "invalid", "selectors.nodes: "),
        ({"block_length": 26}, 422, "invalid", "unknown field `block_length`; did you mean `block_size`?"),
        ({"name": "taken"}, 409, "pool-exists", "taken"),
        ({"subnet": "172.30.0.128/25"}, 409, "pool-overlaps", "taken"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_with_the_field_and_nothing_changes(
    http: httpx.Client, fields: dict[str, Any], status: int, code: str, detail: str
) -> None:
    http.post("/v1/pools", json={"name": "taken", "subnet": "172.30.0.0/24", "auto_assign": False})
    before = http.get("/v1/pools").json()

    answer = http.post("/v1/pools", json={"name": "wrong", "subnet": "10.99.0.0/24", **fields})

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert detail in problem["detail"]
    assert http.get("/v1/pools").json() == before


@pytest.mark.parametrize(
    ("patch", "status", "code"),
    [
        ({"name": "other"}, 422, "invalid"),
        ({"space": "other"}, 422, "invalid"),
        ({"subnet": None}, 422, "invalid"),
        ({"subnet": "10.201.0.0/25"}, 422, "invalid"),
        ({"block_size": 28}, 422, "invalid"),
        ({"exclusions": ["10.201.0.2"]}, 409, "would-strand"),
        ({"ranges": ["10.201.0.64/26"]}, 409, "would-strand"),
        ({"unknown": 1}, 422, "invalid"),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_nothing_changes(
    http: httpx.Client, patch: dict[str, Any], status: int, code: str
) -> None:
    fixed = {"name": "fixed", "subnet": "10.201.0.0/24", "auto_assign": False}
    if http.post("/v1/pools", json=fixed).status_code == 201:
        held = http.post("/v1/allocations", json={"owner": "vm", "pool": "fixed"}).json()
        assert held["address"] == "10.201.0.2"
    before = http.get("/v1/pools/fixed")

    answer = http.patch("/v1/pools/fixed", json=patch)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    after = http.get("/v1/pools/fixed")
    assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])


@pytest.mark.parametrize(
    "path", ["/v1/pools/none", "/v1/pools/none/usage", "/v1/pools/none/routes", "/v1/pools/%00"]
)
def test_a_pool_that_is_not_there_is_404(http: httpx.Client, path: str) -> None:
    answer = http.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_an_unknown_parameter_is_named_with_the_nearest(http: httpx.Client) -> None:
    refused = http.get("/v1/pools", params={"limits": 1})

    assert refused.status_code == 422
    assert refused.json()["detail"] == "limits: unknown field `limits`; did you mean `limit`?"
