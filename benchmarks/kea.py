"""Kea, the DHCP server, in a network namespace of its own, and the load that its makers measure it with."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from benchmarks.inside import namespaces
from benchmarks.pinning import LOAD_CORE, SERVER_CORE
from tests.network.namespace import Namespace
from tests.postgres import USER, Postgres
from tests.waiting import eventually

SUBNET: Final = "10.0.0.0/8"
SERVER: Final = "10.0.0.1/8"
CLIENT: Final = "10.0.0.2/8"
POOL: Final = "10.1.0.0 - 10.255.255.254"
CLIENTS: Final = 10_000_000
FIRST_OFFERED: Final = 1_500
MOST_OFFERED: Final = 48_000
"""Exchanges a second that are begun. With more than it can do Kea ends fewer, so that the best one counts."""

KEPT_UP: Final = 0.95
"""Kea keeps up if it completes that much of what is offered: then it may be offered more."""

_RUN: Final = count(1)
"""Each has clients of its own, which nobody has heard of."""

SOME_UNANSWERED: Final = 3
"""How perfdhcp ends if not every exchange was completed."""

RATE: Final = re.compile(r"^Rate: ([0-9.e+]+) 4-way exchanges/second", re.MULTILINE)


class Kea:
    """A server that runs, and who asks it."""

    def __init__(self, client: Namespace) -> None:
        self._client = client

    def rate(self, seconds: float) -> float:
        """Leases a second of clients that are new: each is a discover, an offer, a request and an ack."""
        best, offered = 0.0, FIRST_OFFERED
        while offered <= MOST_OFFERED:
            completed = self._completed(offered, seconds)
            best = max(best, completed)
            if completed < KEPT_UP * offered:
                break
            offered += offered // 2
        return best

    def _completed(self, offered: int, seconds: float) -> float:
        run = next(_RUN)
        asked = ["perfdhcp", "-4", "-l", "kea1", "-r", str(offered), "-R", str(CLIENTS), "-s", str(run)]
        base = ["-b", f"mac=02:{run:02x}:00:00:00:00", "-p", str(max(1, round(seconds)))]
        done = subprocess.run(
            [*self._client.prefix(), "taskset", "-c", str(LOAD_CORE), *asked, *base],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        found = RATE.search(done.stdout)
        assert done.returncode in (0, SOME_UNANSWERED) and found, done.stdout + done.stderr
        return float(found[1])


@contextmanager
def running_kea(folder: Path, leases: Mapping[str, Any]) -> Iterator[Kea]:
    """Kea with its leases in a database, in one thread, on the core of servers."""
    config = folder / "kea.json"
    config.write_text(json.dumps({"Dhcp4": _config(leases)}))
    log = folder / "kea.log"
    with namespaces("kea", "dhcp") as (server, client), log.open("wb") as said:
        server.run("ip", "link", "add", "kea0", "type", "veth", "peer", "name", "kea1", "netns", client.name)
        for namespace, device, address in ((server, "kea0", SERVER), (client, "kea1", CLIENT)):
            namespace.run("ip", "address", "add", address, "dev", device)
            namespace.run("ip", "link", "set", device, "up")
        places = {f"KEA_{name}_DIR": str(folder) for name in ("PIDFILE", "LOCKFILE")}
        command = ["taskset", "-c", str(SERVER_CORE), "kea-dhcp4", "-c", str(config)]
        process = subprocess.Popen(
            [*server.prefix(), "env", *(f"{name}={value}" for name, value in places.items()), *command],
            stdout=said,
            stderr=said,
        )
        try:
            eventually(lambda: "DHCP4_STARTED" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield Kea(client)
        finally:
            process.kill()
            process.wait()


def in_file(folder: Path) -> Mapping[str, Any]:
    """Leases in a file that nothing syncs."""
    return {"type": "memfile", "persist": True, "name": str(folder / "leases.csv"), "lfc-interval": 0}


@contextmanager
def in_postgres(postgres: Postgres) -> Iterator[Mapping[str, Any]]:
    """Leases in a database of a server: each is a commit."""
    with postgres.database() as name:
        host = str(postgres.folder)
        made = ["kea-admin", "db-init", "pgsql", "-u", USER, "-p", "none", "-n", name, "-h", host]
        subprocess.run(made, check=True, capture_output=True, timeout=120)
        yield {"type": "postgresql", "name": name, "user": USER, "password": "none", "host": host}


def _config(leases: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "interfaces-config": {"interfaces": ["kea0"]},
        "lease-database": dict(leases),
        "multi-threading": {"enable-multi-threading": False},
        "valid-lifetime": 86_400,
        "subnet4": [{"id": 1, "subnet": SUBNET, "interface": "kea0", "pools": [{"pool": POOL}]}],
        "loggers": [
            {"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout"}]},
            {"name": "kea-dhcp4.leases", "severity": "WARN"},
        ],
    }
