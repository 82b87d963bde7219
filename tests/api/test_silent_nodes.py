"""Nodes of which nothing was heard, and what nodes hold, over REST and in metrics."""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.lease_holder import LeaseHolder
from tests.api.plugin_call import BOOT, call
from tests.service import IpamdProcess, running_service

MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def service() -> Iterator[IpamdProcess]:
    """A service with a pool in which blocks belong to nodes."""
    with running_service() as service:
        service.create_pool("pods", "10.0.0.0/16", affinity="node")
        yield service


@pytest.fixture
def http(service: IpamdProcess) -> httpx.Client:
    return service.http


def add(http: httpx.Client, node: str, container_id: str) -> None:
    answer = http.post("/v1/cni/add", json=call(container_id, node=node))
    assert answer.status_code == httpx.codes.OK, answer.text


def speak(http: httpx.Client, node: str) -> None:
    """A node's agent says that nothing is wrong."""
    body: dict[str, Any] = {"cluster": "default", "node": node, "machine": "m", "dead": []}
    body["issued"] = {"boot": BOOT, "uptime_ns": 10}
    assert http.post("/v1/census", json=body).is_success


def shown(http: httpx.Client, node: str) -> dict[str, Any]:
    answer = http.get(f"/v1/nodes/default/{node}")
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


def last_heard(service: IpamdProcess, **minutes: int) -> None:
    """Have a service find in its database that nodes last called so many minutes ago."""
    service.stop()
    with contextlib.closing(sqlite3.connect(service.database)) as database, database:
        for node, ago in minutes.items():
            changed = database.execute(
                "UPDATE contact SET heard = heard - ? WHERE node = ?", (ago * MINUTE_US, node)
            )
            assert changed.rowcount == 1
    service.start()


def test_a_node_shows_what_it_holds(http: httpx.Client) -> None:
    holder = LeaseHolder(http, "pods", free=3)
    add(http, holder.node, "c1")
    holder.ask()

    node = shown(http, holder.node)
    listed = http.get("/v1/nodes", params={"cluster": "default"}).json()["items"]

    assert node["holds"] == {"addresses": 1, "more_addresses": False, "seats": 3, "blocks": {"pods": 1}}
    assert next(each for each in listed if each["name"] == holder.node) == node


def test_a_node_is_silent_if_its_agent_was_not_heard_from(service: IpamdProcess, http: httpx.Client) -> None:
    for node in ("quiet", "loud", "bare"):
        add(http, node, f"{node}-1")
        if node != "bare":
            speak(http, node)
    assert [shown(http, node)["silent"] for node in ("quiet", "loud", "bare")] == [False, False, None]

    last_heard(service, quiet=6, bare=6, loud=4)

    assert [shown(http, node)["silent"] for node in ("quiet", "loud", "bare")] == [True, False, None]
    metrics = http.get("/metrics").text
    assert "ipamd_silent_nodes 1.0" in metrics
    assert 'ipamd_silent_nodes_held{kind="addresses"} 1.0' in metrics
    speak(http, "quiet")
    assert shown(http, "quiet")["silent"] is False
