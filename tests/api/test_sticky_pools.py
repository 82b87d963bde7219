"""Sticky pools over REST and the plugin's calls: a pod that comes back has its address, on whichever node."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.plugin_call import call
from tests.service import IpamdProcess


def pod(
    container: str, name: str, node: str = "n1", address: str | None = None, **more: Any
) -> dict[str, Any]:
    """A call for a pod of namespace `shop`, from the pools of this test."""
    named = f"K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name}" + (f";IP={address}" if address else "")
    return call(container, args=named, node=node, ipam={"pools": [["sticky"], ["sticky6"]]}, **more)


def add(http: httpx.Client, *asked: Any, **more: Any) -> list[str]:
    answer = http.post("/v1/cni/add", json=pod(*asked, **more))
    assert answer.status_code == 200, answer.text
    return [each["address"] for each in answer.json()["ips"]]


def delete(http: httpx.Client, *asked: Any) -> None:
    assert http.post("/v1/cni/del", json=pod(*asked)).status_code in (200, 204)


@pytest.fixture(scope="module", autouse=True)
def pools(lasting_ipamd: IpamdProcess) -> None:
    for name, subnet in (("sticky", "10.9.0.0/24"), ("sticky6", "fd09::/120")):
        body = {"name": name, "subnet": subnet, "sticky": True, "auto_assign": False}
        assert lasting_ipamd.http.post("/v1/pools", json=body).status_code == 201


def test_pods_of_a_statefulset_keep_their_addresses_over_a_restart_on_other_nodes(http: httpx.Client) -> None:
    had = {f"db-{number}": add(http, f"db-old{number}", f"db-{number}") for number in range(3)}
    for number in range(3):
        delete(http, f"db-old{number}", f"db-{number}")

    again = {
        f"db-{number}": add(http, f"db-new{number}", f"db-{number}", f"n{number}") for number in (2, 0, 1)
    }

    assert again == had
    assert all(len(addresses) == 2 for addresses in had.values())


def test_an_explanation_says_that_a_pod_would_have_its_address_again(http: httpx.Client) -> None:
    def explained(name: str) -> list[str]:
        found = http.post("/v1/explain", json=pod("explained-new", name)).json()
        return [each["why"] for each in found["pools"] if each["standing"] == "gives"]

    add(http, "explained-old", "explained-0")
    delete(http, "explained-old", "explained-0")

    assert all(why.endswith(", which this workload had") for why in explained("explained-0"))
    assert len(explained("explained-0")) == 2
    assert not any("which" in why for why in explained("explained-1"))


def test_an_interface_has_an_address_of_its_own_again(http: httpx.Client) -> None:
    had = [add(http, "two-old", "two-0", ifname=ifname) for ifname in ("eth0", "eth1")]
    for ifname in ("eth0", "eth1"):
        http.post("/v1/cni/del", json=pod("two-old", "two-0", ifname=ifname))

    assert [add(http, "two-new", "two-0", ifname=ifname) for ifname in ("eth1", "eth0")] == had[::-1]


def test_a_pod_that_came_before_the_old_one_was_gone_keeps_what_it_has(http: httpx.Client) -> None:
    first = add(http, "roll-old", "roll-0")
    second = add(http, "roll-new", "roll-0", "n2")
    delete(http, "roll-old", "roll-0")
    delete(http, "roll-new", "roll-0", "n2")

    assert first != second
    assert add(http, "roll-newer", "roll-0") == second


def test_nobody_else_gets_it_meanwhile(http: httpx.Client) -> None:
    four, _ = add(http, "kept-old", "kept-0")
    delete(http, "kept-old", "kept-0")
    address = four.partition("/")[0]

    refused = http.post("/v1/cni/add", json=pod("other", "web-0", address=address))

    assert refused.status_code == 409
    assert refused.json()["code"] == 102
    assert "is sticky and keeps it until" in refused.text
    assert add(http, "kept-new", "kept-0", address=address)[0] == four


def test_a_sticky_pool_without_a_cooldown_is_refused(http: httpx.Client) -> None:
    refused = http.patch("/v1/pools/sticky", json={"cooldown": 0})

    assert refused.status_code == 422
    assert "a sticky pool keeps an address for its cooldown, which is 0 seconds" in refused.text
