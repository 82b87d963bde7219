"""Readers of a pod network's changes that stop and go on at another replica, while all replicas change it."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.api.plugin_call import call
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_replicas

REPLICAS = 4
NODES = 8
ROUNDS = 12
ROUND_SECONDS = 0.15
POOL = "pods"


@pytest.fixture
def replicas(postgres: Postgres) -> Iterator[list[IpamdProcess]]:
    """Replicas on one database, with fewer blocks than all nodes want, so that blocks change hands."""
    with postgres.migrated() as database, running_replicas(postgres.url(database), REPLICAS) as running:
        running[0].create_pool(POOL, "10.64.0.0/25", block_size=29, affinity="node", cooldown=0, gateway=None)
        yield running


def member(number: int, mtu: int = 1500) -> dict[str, Any]:
    return {
        "machine": f"machine-{number}",
        "address": f"192.0.2.{number + 1}",
        "prefixes": ["192.0.2.0/24"],
        "mtu": mtu,
        "mac": f"02:00:00:00:00:{number:02x}",
    }


class Writer:
    """Does to a few nodes whatever changes what is announced, in an order of its own."""

    def __init__(self, http: httpx.Client, nodes: range, seed: int) -> None:
        self._http = http
        self._nodes = nodes
        self._random = random.Random(seed)
        self._held: list[tuple[int, str]] = []
        self._count = seed * 100_000

    def step(self) -> None:
        node = self._random.choice(self._nodes)
        kind = self._random.random()
        if kind < 0.15:
            self._must(self._http.put(self.path(node), json=member(node, self._random.randint(1400, 9000))))
        elif kind < 0.2:
            assert self._http.delete(f"/v1/nodes/default/node-{node}").status_code in (204, 404)
        elif kind < 0.22:
            mode = self._random.choice(["auto", "direct", "vxlan"])
            self._must(self._http.patch("/v1/network", json={"mode": mode}))
        elif kind < 0.6 or not self._held:
            self._count += 1
            name = f"c{self._count}"
            wanted = f"IP=10.64.0.{self._random.randint(1, 126)}" if self._random.random() < 0.3 else ""
            body = call(name, node=f"node-{node}", ipam={"pools": [POOL]}, args=wanted)
            if self._http.post("/v1/cni/add", json=body).is_success:
                self._held.append((node, name))
        else:
            holder, name = self._held.pop(self._random.randrange(len(self._held)))
            self._must(self._http.post("/v1/cni/del", json=call(name, node=f"node-{holder}")))

    @staticmethod
    def path(node: int) -> str:
        return f"/v1/network/nodes/default/node-{node}"

    @staticmethod
    def _must(answer: httpx.Response) -> None:
        assert answer.is_success or answer.json()["code"] == "nothing-free", answer.text


class Reader:
    """Follows the changes: now at this replica, now at that, with pauses."""

    def __init__(self, clients: list[httpx.Client], seed: int) -> None:
        self._clients = clients
        self._random = random.Random(seed)
        self.known = self._whole()
        self.has_seen_borrowed = False

    def _whole(self) -> dict[str, Any]:
        return plain(self._random.choice(self._clients).get("/v1/network").json())

    def step(self) -> None:
        if self._random.random() < 0.2:
            time.sleep(self._random.random() / 2)
        query = {
            "epoch": self.known["epoch"],
            "after": self.known["number"],
            "wait": self._random.choice([0, 0, 0, 1]),
        }
        answer = self._random.choice(self._clients).get("/v1/network/changes", params=query)
        assert answer.status_code == 200, answer.text
        changes = answer.json()
        assert changes["number"] >= self.known["number"]
        self.has_seen_borrowed |= any(each["borrowed"] for each in changes["nodes"])
        nodes = {**self.known["nodes"], **{each["name"]: each for each in changes["nodes"]}}
        self.known = {
            "epoch": changes["epoch"],
            "number": changes["number"],
            "settings": changes["settings"] or self.known["settings"],
            "nodes": {name: bare(node) for name, node in nodes.items() if name not in changes["removed"]},
        }


def plain(network: dict[str, Any]) -> dict[str, Any]:
    """A network by nodes' names, without when they were seen."""
    nodes = {node["name"]: bare(node) for node in network["nodes"]}
    return {key: network[key] for key in ("epoch", "number", "settings")} | {"nodes": nodes}


def bare(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "last_seen"}


def until(ended: threading.Event, step: Callable[[], None]) -> None:
    """Take steps until the end; the last one begins after it."""
    while not ended.is_set():
        step()
    step()


def together(steps: Sequence[Callable[[], None]], seconds: float) -> None:
    """Take all of these steps again and again, side by side."""
    ended = threading.Event()
    with ThreadPoolExecutor(len(steps)) as threads:
        under_way = [threads.submit(until, ended, step) for step in steps]
        time.sleep(seconds)
        ended.set()
    for each in under_way:
        each.result()


def test_a_reader_that_stops_and_goes_on_at_any_replica_misses_nothing(
    replicas: list[IpamdProcess],
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    for number in range(NODES):
        assert replicas[0].http.put(Writer.path(number), json=member(number)).is_success
    with ExitStack() as clients:

        def client(replica: IpamdProcess) -> httpx.Client:
            return clients.enter_context(httpx.Client(base_url=replica.tcp_endpoint, timeout=30))

        share = NODES // REPLICAS
        writers = [
            Writer(client(each), range(at * share, (at + 1) * share), seed + at)
            for at, each in enumerate(replicas)
        ]
        readers = [Reader([client(each) for each in replicas], seed + 100 + at) for at in range(3)]
        steps = [*(writer.step for writer in writers), *(reader.step for reader in readers)]
        for _ in range(ROUNDS):
            together(steps, ROUND_SECONDS)
            # A node that changes again would hide what was missed before, so all stand still for a moment.
            whole = settled(replicas[0].http)
            for reader in readers:
                while reader.known["number"] < whole["number"]:
                    reader.step()
                assert reader.known == whole

    assert whole["number"] > ROUNDS * REPLICAS
    assert any(reader.has_seen_borrowed for reader in readers)


def settled(http: httpx.Client) -> dict[str, Any]:
    """The whole network once nothing is carved ahead any more."""
    known = plain(http.get("/v1/network").json())
    while (later := pause(http)) != known:
        known = later
    return known


def pause(http: httpx.Client) -> dict[str, Any]:
    time.sleep(0.15)
    return plain(http.get("/v1/network").json())
