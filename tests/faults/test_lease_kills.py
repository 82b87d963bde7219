"""Plugins, agent and ipamd that are killed at any instruction, while plugins share one store of leases."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx

from ipam_plugin.leases import layout
from tests.agent.leased import leased_node
from tests.cni.executable import Plugin
from tests.cni.node import on_run
from tests.cni.peer import tcp_peer
from tests.faults.lease_callers import Callers
from tests.lease_store import LeaseStore, answer, key_of
from tests.node_executable import node_plugin
from tests.waiting import eventually

AT_ONCE: Final = 32
LIVES: Final = 4
SEATS: Final = 240
KILLS: Final = 4


def test_plugins_that_are_killed_at_once_give_no_address_twice_and_lose_no_seat(scratch: Path) -> None:
    peer = tcp_peer()  # ipamd, which says yes to each DEL
    store = LeaseStore(scratch / "run" / "ipamd" / "leases" / "store")
    plugin = Plugin((str(node_plugin()),), scratch / "state", peer.endpoint, on_run(scratch / "run"))
    config = plugin.config(timeout=20)
    for first in range(1, SEATS + 1, 100):
        store.fill(key_of(config), range(first, min(first + 100, SEATS + 1)))
    callers = Callers(plugin, config, LIVES, _seed())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(callers.live, number) for number in range(AT_ONCE)]:
            done.result()
    eventually(callers.has_delivered)
    peer.close()

    assert callers.killed > 0
    assert store.names() == ["store"]
    held = {number for number, state in store.states().items() if state == layout.HELD}
    assert {f"10.9.0.{number}" for number in held} == set(callers.living.values())
    assert all(f"10.9.0.{number}/".encode() in answer(number) for number in held)
    told: set[int] = set()
    for kind, seat in store.kinds():
        assert (seat in told) is (kind != "begin")
        told.symmetric_difference_update({seat} if kind != "repeat" else set())
    assert told == held


def test_whoever_is_killed_ipamd_has_in_the_end_what_the_runtimes_were_told() -> None:
    with leased_node(64) as node:
        callers = Callers(node.plugin, node.plugin.config(), LIVES, _seed())

        with ThreadPoolExecutor(AT_ONCE) as pool:
            calls = [pool.submit(callers.live, number) for number in range(AT_ONCE)]
            for turn in range(KILLS):
                time.sleep(0.3)
                whom = node.agent if turn % 2 else node.service
                whom.kill()
                whom.start()
            for done in calls:
                done.result()
        eventually(callers.has_delivered)
        eventually(node.is_reported)

        assert node.store.names() == ["agent", "configurations", "store"]
        held = node.held()
        del held["first"]
        assert held == callers.living
        assert set(callers.told) <= _past(node.service.http)
        usage = node.service.http.get("/v1/pools/pods/usage").json()
        assert usage["allocated"] == len(held) + 1
        assert node.service.contradictions() == []


def _past(http: httpx.Client) -> set[tuple[str, str]]:
    """Which containers had which addresses, as ipamd says it. Nobody had an address of another."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 500}
    while True:
        page = http.get("/v1/history", params=query).json()
        found += page["items"]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    rows = [item for item in found if item["container_id"]]
    times = sorted((item["address"], *_span(item)) for item in rows)
    for (address, _, until), (following, since, _) in pairwise(times):
        assert address != following or until <= since, (address, until, since)
    return {(item["container_id"], item["address"].partition("/")[0]) for item in rows}


def _span(item: dict[str, Any]) -> tuple[datetime, datetime]:
    """From when until when somebody had an address."""
    until = (
        datetime.max.replace(tzinfo=UTC) if item["until"] is None else datetime.fromisoformat(item["until"])
    )
    return datetime.fromisoformat(item["since"]), until


def _seed() -> int:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return seed
