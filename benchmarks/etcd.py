"""etcd, and writes as an IPAM that keeps its blocks there makes them: one compare-and-swap each."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import httpx

from benchmarks import load
from benchmarks.load import HTTP_OK
from benchmarks.pinning import SERVER_CORE
from tests.ports import free_port
from tests.waiting import eventually

VALUE: Final = 1_024
"""Bytes of a block with its allocations."""

_NUMBER: Final = count()


@contextmanager
def running_etcd(folder: Path) -> Iterator[int]:
    """One member on the core of servers; its port. Each write is synced before it is answered."""
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    options = {
        "data-dir": str(folder),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "quota-backend-bytes": str(4 << 30),
    }
    command = ["etcd", *(f"--{name}={value}" for name, value in options.items())]
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _answers(client))
        yield int(client.rpartition(":")[2])
    finally:
        process.kill()
        process.wait()


def _answers(endpoint: str) -> bool:
    try:
        return httpx.get(f"{endpoint}/health").is_success
    except httpx.TransportError:
        return False


def writes(port: int, number: int, connections: int) -> float:
    """Writes a second, each of a key that must not be there yet; raises unless each was made."""
    outcome = load.run(port, [_write() for _ in range(number)], connections)
    made = sum(b'"succeeded":true' in body for body in outcome.bodies)
    assert outcome.statuses == {HTTP_OK: number}, outcome.statuses
    assert made == number, f"{number - made} keys were there already"
    return outcome.rate


def _write() -> bytes:
    key = b64encode(f"/ipam/block/{next(_NUMBER)}".encode()).decode()
    value = b64encode(os.urandom(VALUE)).decode()
    body = {
        "compare": [{"target": "VERSION", "key": key, "version": "0"}],
        "success": [{"request_put": {"key": key, "value": value}}],
    }
    return load.request("/v3/kv/txn", json.dumps(body).encode())
