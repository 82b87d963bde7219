"""Plugins that are killed at any instruction while they share one store of leases."""

import json
import os
import random
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from ipam_plugin.leases import layout
from tests.cni.node import on_run
from tests.cni.peer import tcp_peer
from tests.lease_store import LeaseStore, answer, key_of
from tests.node_executable import node_plugin
from tests.waiting import eventually

AT_ONCE: Final = 8
LIVES: Final = 15
SEATS: Final = 2 * AT_ONCE * LIVES
CONFIG: Final[dict[str, Any]] = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "ipam": {"type": "ipamd-ipam", "timeout": 20},
}


class Callers:
    """Runtimes that remember what they were told. A DEL gives up its address before it is sent."""

    def __init__(self, run: Path, state: Path, endpoint: str, seed: int) -> None:
        self._before = on_run(run)
        self._spool = state / "spool"
        config = json.loads(json.dumps(CONFIG))
        config["ipam"] |= {"stateDir": str(state), "endpoint": endpoint}
        self.config = config
        self._stdin = json.dumps(config).encode()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.living: dict[str, str] = {}
        self.killed = 0

    def live(self, number: int) -> None:
        """The lives of containers, one after another, each call of which may be killed."""
        for life in range(LIVES):
            container = f"c{number}-{life}"
            if (given := self._call("ADD", container, may_die=True)) is None:
                self._release(container)
                continue
            [entry] = json.loads(given)["ips"]
            with self._lock:
                assert entry["address"] not in self.living.values()
                self.living[container] = entry["address"]
            if life % 4 == 0:  # a few live on
                continue
            self._release(container)

    def _release(self, container: str) -> None:
        with self._lock:
            self.living.pop(container, None)
        self._call("DEL", container, may_die=True)
        assert self._call("DEL", container, may_die=False) is not None

    def _call(self, verb: str, container: str, *, may_die: bool) -> bytes | None:
        """The result; None if the call failed or was killed, so that nobody knows what it did."""
        variables = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": container,
            "CNI_NETNS": "/gone",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/opt/cni/bin",
            "NODE_NAME": "node-a",
        }
        process = subprocess.Popen(
            [*self._before, str(node_plugin())],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        killer = threading.Timer(self._random.uniform(0.0, 0.012), process.kill)
        if may_die and self._random.random() < 0.5:
            killer.start()
        try:
            stdout, stderr = process.communicate(self._stdin, timeout=120)
        finally:
            killer.cancel()
        if process.returncode < 0:
            self.killed += 1
            return None
        if process.returncode != 0:
            assert json.loads(stdout)["code"] == 11, (verb, stdout, stderr)
            return None
        return stdout

    def has_delivered(self) -> bool:
        """Make a call that has time for what waits in the spool, and tell whether nothing does any more."""
        self._call("CHECK", "nobody", may_die=False)
        return not [*self._spool.glob("[!.]*.json")]


def test_plugins_that_are_killed_at_once_give_no_address_twice_and_lose_no_seat(scratch: Path) -> None:
    peer = tcp_peer()  # ipamd, which says yes to each DEL
    store = LeaseStore(scratch / "run" / "ipamd" / "leases" / "store")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    callers = Callers(scratch / "run", scratch / "state", peer.endpoint, seed)
    for first in range(1, SEATS + 1, 100):
        store.fill(key_of(callers.config), range(first, min(first + 100, SEATS + 1)))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(callers.live, number) for number in range(AT_ONCE)]:
            done.result()
    eventually(callers.has_delivered)
    peer.close()

    assert callers.killed > 0
    assert store.names() == ["store"]
    held = {number for number, state in store.states().items() if state == layout.HELD}
    assert {json.loads(answer(number))["ips"][0]["address"] for number in held} == set(
        callers.living.values()
    )
    told: set[int] = set()
    for kind, seat in store.kinds():
        assert (seat in told) is (kind != "begin")
        told.symmetric_difference_update({seat} if kind != "repeat" else set())
    assert told == held
