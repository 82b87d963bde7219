"""ipamd's CPU time for what nodes do by themselves and report, against the same calls when ipamd is asked."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import uvloop

from benchmarks import load, processor_time
from benchmarks.filled import check_held
from benchmarks.load import HTTP_OK, NO_CONTENT, Load, Outcome, Pod, request
from benchmarks.pinning import LOAD_CORE, SERVER_CORE, running_ipamd
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.service import IpamdProcess

NAME: Final = "reports"
ABOUT: Final = """\
CPU time of ipamd with SQLite for each container that begins, or ends, on a seat of its node's lease and is
reported, over that for each ADD, or DEL, that ipamd is asked for. Reports have one event, or more. All come
from 256 nodes over 32 connections, in turn with the calls that ask: as fast as they are answered, or at a
fixed rate."""
AT_ONCE: Final = 32
POOL: Final = "bench"
SUBNET: Final = "10.0.0.0/12"
EVENTS: Final = (1, 4, 16)
RATE: Final = 200
"""Calls a second, whether or not those before are answered: each node starts a pod now and then."""

BOOT: Final = "5afbf9ad-2078-45d6-888a-9b7fab4c0d3e"
KEY: Final = "0a" * 16

Kind = tuple[str, int, int | None]
"""What, how many of them in a report, at which rate."""


class Node:
    """What a node with a lease says."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._reported = 0
        self._epoch = 0
        self._seats: list[int] = []

    def asking(self, seats: int) -> bytes:
        """The request for seats."""
        document = {
            **self._document(),
            "machine": f"machine-{self._number}",
            "configurations": [{"key": KEY, "config": _configuration(), "free": seats}],
        }
        return request("/v1/leases", json.dumps(document).encode())

    def take(self, answer: bytes) -> None:
        """Take the seats of an answer."""
        told = json.loads(answer)
        self._epoch = told["epoch"]
        self._seats = [seat["seat"] for seat in told["seats"]]

    def report(self, kind: str, pods: Sequence[Pod]) -> bytes:
        """The report that these pods begin, or end, on the first seats."""
        events = [self._event(kind, *each) for each in zip(self._seats, pods, strict=False)]
        document = {
            **self._document(),
            "epoch": self._epoch,
            "first": self._reported + 1,
            "events": events,
        }
        self._reported += len(events)
        return request("/v1/leases/report", json.dumps(document, separators=(",", ":")).encode())

    def _document(self) -> dict[str, Any]:
        return {"cluster": "default", "node": f"node-{self._number}", "boot": BOOT, "store": "store"}

    def _event(self, kind: str, seat: int, pod: Pod) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(load.body(pod, POOL))
        who = {key: said[key] for key in ("container_id", "ifname")}
        if kind == "begin":
            who |= {key: said[key] for key in ("netns", "netns_id", "args", "path")}
        who["network"] = said["config"]["name"]
        return {"kind": kind, "seat": seat, "issued": said["issued"], "age_ns": 100_000_000, "request": who}


def measure(scale: Scale) -> Table:
    """Run it."""
    table = Table(NAME, "Reports of leases", ABOUT)
    nodes, rounds = (64, 1) if scale is Scale.QUICK else (256, 5)
    os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
    with running_ipamd() as service:
        os.sched_setaffinity(0, {LOAD_CORE})
        load.create_pools(service.port, {POOL: SUBNET})
        asking = [Node(number) for number in range(nodes)]
        _ask(service, asking)
        spent: dict[Kind, list[float]] = defaultdict(list)
        for _ in range(rounds):
            for rate in (None, RATE):
                for kind, seconds in _round(service, asking, rate).items():
                    spent[kind].append(1e6 * seconds)
    for (what, events, rate), found in spent.items():
        if events:
            asked = "ADD" if what == "begin" else "DEL"
            bars = (Bar(0.7, at_least=False),) if rate else ()
            pace = f"{rate} reports a second" if rate else f"{AT_ONCE} reports at once"
            each = f"CPU time for each {what}, {events} in a report, {pace}"
            other = figure("us", spent[asked, 0, rate])
            table.add(Row(each, figure("us", found), asked, other, bars, paired=True))
    return table


def _ask(service: IpamdProcess, nodes: Sequence[Node]) -> None:
    for node in nodes:
        outcome = load.run(service.port, [node.asking(max(EVENTS))], 1)
        assert outcome.statuses == {HTTP_OK: 1}, outcome
        node.take(outcome.bodies[0])


def _round(service: IpamdProcess, nodes: Sequence[Node], rate: int | None) -> dict[Kind, float]:
    """Seconds of CPU time for each ADD, DEL, begin and end."""
    pods = [Pod(each.container, number) for number in range(len(nodes)) for each in load.pods(1)]
    spent: dict[Kind, float] = {}
    for what, held, path in (("ADD", len(pods), "/v1/cni/add"), ("DEL", 0, "/v1/cni/del")):
        calls = [request(path, load.body(pod, POOL)) for pod in pods]
        spent[what, 0, rate] = _spent(service, calls, rate) / len(pods)
        check_held(service, POOL, held)
    for events in EVENTS if rate is None else EVENTS[:1]:
        those = [load.pods(events) for _ in nodes]
        for what, held in (("begin", len(nodes) * events), ("end", 0)):
            reports = [node.report(what, each) for node, each in zip(nodes, those, strict=True)]
            spent[what, events, rate] = _spent(service, reports, rate) / (len(nodes) * events)
            check_held(service, POOL, held)
    return spent


def _spent(service: IpamdProcess, requests: Sequence[bytes], rate: int | None) -> float:
    """Seconds of CPU time for some requests, without their connections. Raises unless each is granted."""

    async def running() -> tuple[Outcome, float]:
        loading = Load(requests)
        await loading.connect(service.port, AT_ONCE)
        assert service.process is not None
        before = processor_time.seconds(service.process.pid)
        return await loading.run(rate), processor_time.seconds(service.process.pid) - before

    outcome, spent = uvloop.run(running())
    assert outcome.statuses.keys() <= {HTTP_OK, NO_CONTENT}, (outcome.statuses, outcome.bodies[:1])
    return spent


def _configuration() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(load.CONFIG % json.dumps([POOL]).encode())
    return document
