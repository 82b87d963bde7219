"""Runtimes whose plugins are killed at any instruction, and which remember what they were told."""

import json
import random
import threading
from typing import Any

from tests.cni.executable import Plugin

SECONDS = 120


class Callers:
    """Runtimes on one node. A DEL gives up its container's address before it is sent."""

    def __init__(self, plugin: Plugin, config: dict[str, Any], lives: int, seed: int) -> None:
        self._plugin = plugin
        self._stdin = json.dumps(config).encode()
        self._lives = lives
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.living: dict[str, str] = {}
        self.told: list[tuple[str, str]] = []
        """Each container that got an address, and the address."""
        self.killed = 0

    def live(self, number: int) -> None:
        """The lives of containers, one after another, each call of which may be killed."""
        for life in range(self._lives):
            container = f"c{number}-{life}"
            if (given := self._call("ADD", container, may_die=True)) is None:
                self._release(container)
                continue
            [entry] = json.loads(given)["ips"]
            address = entry["address"].partition("/")[0]
            with self._lock:
                assert address not in self.living.values()
                self.living[container] = address
                self.told.append((container, address))
            if life % 4:  # the others live on
                self._release(container)

    def has_delivered(self) -> bool:
        """Make a call that has time for what waits in the spool, and tell whether nothing does any more."""
        self._call("CHECK", "nobody", may_die=False)
        return not self._plugin.waiting()

    def _release(self, container: str) -> None:
        with self._lock:
            self.living.pop(container, None)
        self._call("DEL", container, may_die=True)
        assert self._call("DEL", container, may_die=False) is not None

    def _call(self, verb: str, container: str, *, may_die: bool) -> bytes | None:
        """The result; None if the call failed or was killed, so that nobody knows what it did."""
        process = self._plugin.start(verb, self._stdin, CNI_CONTAINERID=container)
        killer = threading.Timer(self._random.uniform(0.0, 0.012), process.kill)
        if may_die and self._random.random() < 0.5:
            killer.start()
        try:
            stdout, stderr = process.communicate(timeout=SECONDS)
        finally:
            killer.cancel()
        if process.returncode < 0:
            self.killed += 1
            return None
        if process.returncode != 0:
            known = verb == "CHECK" or json.loads(stdout)["code"] == 11
            assert known, (verb, stdout, stderr)
            return None
        return stdout
