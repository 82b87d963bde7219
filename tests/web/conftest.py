"""A service with something to look at, and browsers as HTTP sees them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import sync_playwright

from tests.api.plugin_call import call
from tests.service import IpamdProcess, running_service

HOSTILE = "<script>alert(1)</script>&'\""
HOSTILE_WORD = "<b>bold&'\""
"""Without a slash, so that it can be a part of a path."""


@dataclass(frozen=True)
class Browser:
    """Requests as a browser sends them from a page of ipamd, with its cookies."""

    http: httpx.Client

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=headers)

    def send(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        """Send a form of a page."""
        kind = "application/x-www-form-urlencoded"
        ours = (
            {"Sec-Fetch-Site": "same-origin", "Content-Type": kind, "Content-Length": "0"} if not form else {}
        )
        return self.http.post(path, data=form, headers={"Sec-Fetch-Site": "same-origin", **ours, **headers})

    def send_fields(self, path: str, fields: list[tuple[str, str]]) -> str:
        """Send a form whose fields come several times; the text of the answer."""
        headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
        return self.http.post(path, content=urlencode(fields), headers=headers).text


def browser(service: IpamdProcess) -> Browser:
    return Browser(httpx.Client(base_url=service.tcp_endpoint, timeout=60))


def fill(http: httpx.Client) -> None:
    """Pools of both families, containers and owners whose names are hostile, reservations, labels."""

    def post(path: str, body: dict[str, Any]) -> Any:
        answer = http.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    post("/v1/pools", {"name": "pods", "subnet": "10.64.0.0/24"})
    post("/v1/pools", {"name": "six", "subnet": "fd00::/64"})
    post("/v1/pools", {"name": "wide", "subnet": "11.0.0.0/8"})
    post("/v1/reservations", {"address": "10.64.0.64/29", "owner": HOSTILE, "note": f"{HOSTILE}\u202e\n"})
    post("/v1/allocations", {"owner": HOSTILE, "pool": "pods", "address": "10.64.0.9", "node": HOSTILE})
    post("/v1/allocations", {"owner": "vm-1", "pool": "six", "namespace": "web", "name": "front"})
    post("/v1/allocations", {"owner": "far", "pool": "wide", "address": "11.200.3.4"})
    pod = f"K8S_POD_NAMESPACE={HOSTILE};K8S_POD_NAME={HOSTILE};K8S_POD_UID={HOSTILE}"
    post("/v1/cni/add", call("hostile", ipam={"pools": ["pods"]}, node=HOSTILE, args=pod))
    far = call(
        "far-1", ipam={"pools": ["six"]}, node="afar", cluster=HOSTILE_WORD, ifname="<b>&'\"", args=pod
    )
    post("/v1/cni/add", far)
    post("/v1/cni/add", call("far-2", ipam={"pools": ["six"]}, node="burnt", args=pod))
    post("/v1/nodes/default/burnt/release", {"why": HOSTILE, "even_if_alive": True})
    pod = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=orders-db-0"
    owned = {"args": {"cni": {"owner": "orders-db"}}}
    post("/v1/cni/add", call("owned", ipam={"pools": ["six"]}, config=owned, node="n1", args=pod))
    pod = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=a-pod-of-an-operator-that-gives-it-a-long-name-0"
    post("/v1/cni/add", call("owned-too", ipam={"pools": ["six"]}, config=owned, node="n2", args=pod))
    asked = post("/v1/requests", {"allocation": {"owner": HOSTILE, "pool": "pods"}, "note": HOSTILE})
    post(f"/v1/requests/{asked['id']}/refuse", {"reason": HOSTILE})
    post("/v1/reservations", {"address": "10.64.0.78", "owner": "\U0001f980 crab", "note": HOSTILE})
    post("/v1/quotas", {"name": "web", "limit": 50, "namespaces": ["web"], "pool": "pods"})
    post("/v1/holds", {"name": "eve", "size": 3, "pool": "pods", "namespaces": ["web"], "seconds": 86400})
    post("/v1/requests", {"reservation": {"address": "10.64.0.77", "owner": "\U0001f980 crab"}})
    labels = {"zone": HOSTILE, "kubernetes.io/hostname": f"ip-10-0-113-204.{'eu-central-1.' * 4}internal"}
    assert http.put("/v1/nodes/default/n1", json={"labels": labels}).is_success


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests of a module."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def filled() -> Iterator[IpamdProcess]:
    with running_service() as service:
        fill(service.http)
        yield service


@pytest.fixture
def page(filled: IpamdProcess) -> Browser:
    return browser(filled)


VIEWS = {
    "/": "pods",
    "/?q=po&space=default": "10.64.0.0/24",
    "/ui/pools/pods": "Free ranges",
    "/ui/pools/six": "2^64",
    "/ui/pools/wide": "11.200.0.0/16",
    "/ui/pools/pods/map?at=10.64.0.0/24": "10.64.0.9, allocated",
    "/ui/pools/wide/map?at=11.200.0.0/16": "11.200.3.0/24: 1 of 256 taken",
    "/ui/map": "11.200.0.0/15",
    "/ui/map?at=10.0.0.0/7": "pool pods",
    "/ui/map?at=fd00::/8": "pool six",
    "/ui/map?space=empty": "There is no pool in this space",
    "/ui/pools/pods/samples": "times",
    "/ui/addresses/10.64.0.9": "Who had it",
    "/ui/addresses/10.64.0.65": "reserved for",
    "/ui/addresses/10.64.0.255": "Nobody can have it",
    "/ui/addresses/192.0.2.1": "outside",
    "/ui/addresses/fd00::3": "Interface",
    "/ui/addresses/fd00::5": "for the owner orders-db",
    "/ui/history?node=burnt": "admin: &lt;script",
    "/ui/search?q=front": "Workloads",
    "/ui/search?q=vm-1": "Owners",
    "/ui/search?q=%F0%9F%A6%80%20crab": "10.64.0.78",
    "/ui/search?q=shop/orders-db": "Owners of its namespace",
    "/ui/search?q=n1": "Nodes",
    "/ui/search?q=%3Cb%3E%E2%80%AEnonsense": "Nothing is called that",
    "/ui/explain?node=n1&pools=pods": "It would get",
    "/ui/explain?pools=none": "Refused with code",
    "/ui/tree?open=wide&at=11.200.0.0/16": "11.200.3.0/24",
    "/ui/tree?free=100000": "wide",
    f"/ui/tree?free={'9' * 5000}": "pods",
    "/ui/allocations?pool=pods": "10.64.0.9",
    "/ui/allocations?pool=six&name=front": "vm-1",
    "/ui/allocations?network=nowhere": "Nobody has such an address",
    "/ui/history": "10.64.0.9",
    "/ui/history?namespace=web": "vm-1",
    "/ui/nodes": "n1",
    "/ui/nodes/default/n1": "zone",
    f"/ui/nodes/{quote(HOSTILE_WORD, safe='')}/afar": "Who lives there",
    "/ui/reservations": "10.64.0.64/29",
    "/ui/quotas": "each of web",
    "/ui/new/quota": "They share the limit",
    "/ui/edit/quota/web": "Only in clusters",
    "/ui/delete/quota/web": "The limit of 50 ends",
    "/ui/holds": "3</a>",
    "/ui/new/hold": "Only for pods",
    "/ui/edit/hold/eve": "Only in clusters",
    "/ui/delete/hold/eve": "Free again: 3 addresses of pool pods",
    "/ui/allocations?owner=hold:eve": "kept by hold",
    "/ui/waiters": "Nobody waits",
    "/ui/owners": "shop/orders-db",
    "/ui/release/owner/default/shop/orders-db": "Held by containers now: 2.",
    "/ui/tokens": "There is no token yet",
    "/ui/log": "create pool",
    "/ui/requests": "Ask for an address",
    "/ui/tables": "Apply a table",
    "/ui/new/pool": "Exclusions",
    "/ui/new/token": "Role",
    "/ui/new/node": "Labels",
    "/ui/requests?pool=pods": 'value="pods"',
    "/ui/edit/pool/pods": "10.64.0.0/24",
    "/ui/edit/node/default/n1": "zone",
    "/ui/delete/pool/pods": "256 addresses",
    "/ui/release/node/default/n1": "Release what node n1 holds",
    "/ui/remove/node/default/n1": "Remove node n1",
}
"""Each view, and words that it says."""
