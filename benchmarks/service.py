"""Durable ADDs a second over HTTP, with ipamd on one core and the load on the other.

Beside each figure stands the rate of the same server's answer to /healthz, which decides and stores nothing.
Before a figure is printed the answers are checked: every call was granted, and no address came twice.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.load import Outcome, add_body, closed_loop, request
from tests.service import IpamdProcess

ROUNDS: Final = 3
ADDS: Final = 10_000
CONNECTIONS: Final = (1, 32, 128)
IPAMD_CORE, LOAD_CORE = 0, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", help="default: a SQLite file in a scratch folder")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--adds", type=int, default=ADDS, help="calls of each round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ipamd-") as folder:
        service = IpamdProcess(Path(folder), database_url=options.database_url)
        service.start()
        try:
            for row in measured(service, options.rounds, options.adds):
                print(json.dumps(row), flush=True)
        finally:
            service.kill()


def measured(service: IpamdProcess, rounds: int, adds: int) -> list[dict[str, Any]]:
    """One row for each number of connections: medians over rounds, the two kinds of call in turn."""
    assert service.process is not None
    for thread in Path(f"/proc/{service.process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {IPAMD_CORE})
    os.sched_setaffinity(0, {LOAD_CORE})
    service.create_pool("bench", "10.0.0.0/8", cooldown=0)
    rows = []
    for connections in CONNECTIONS:
        calls = adds if connections > 1 else adds // 10
        durable = [add(service, calls, connections) for _ in range(rounds)]
        empty = [healthz(service, calls, connections) for _ in range(rounds)]
        rates = [outcome.rate for outcome in durable]
        rows.append(
            {
                "connections": connections,
                "adds_per_second": [round(statistics.median(rates)), round(min(rates)), round(max(rates))],
                "healthz_per_second": round(statistics.median(outcome.rate for outcome in empty)),
                "p50_ms": round(statistics.median(outcome.percentile(0.5) for outcome in durable), 2),
                "p99_ms": round(statistics.median(outcome.percentile(0.99) for outcome in durable), 2),
            }
        )
    return rows


def add(service: IpamdProcess, calls: int, connections: int) -> Outcome:
    """Addresses for containers that nobody has heard of."""
    requests = [request("/v1/cni/add", add_body(number, "bench")) for number in range(calls)]
    outcome: Outcome = uvloop.run(closed_loop(service.port, requests, connections))
    assert outcome.statuses == {200: calls}, outcome.statuses
    assert len(set(outcome.bodies)) == calls, "an address came twice"
    return outcome


def healthz(service: IpamdProcess, calls: int, connections: int) -> Outcome:
    """The same server, with nothing to decide and nothing to store."""
    requests = [request("/healthz", b"", "GET")] * calls
    outcome: Outcome = uvloop.run(closed_loop(service.port, requests, connections))
    return outcome


if __name__ == "__main__":
    main()
