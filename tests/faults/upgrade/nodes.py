"""Nodes whose runtimes add, check and delete containers without pause while versions change under them."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event

from tests.cni.executable import Document, Finished, Plugin
from tests.faults.ledger import Ledger
from tests.faults.upgrade.version import Version

LIVING = 3
SECONDS = 60.0
PAUSE_SECONDS = 0.03  # after a container, so that starting replicas get a processor too


class WorkingNode:
    """A node that has a few containers at a time, and keeps account of what it was told."""

    def __init__(self, name: str, folder: Path, endpoints: Sequence[str]) -> None:
        self.name = name
        self.ledger = Ledger()
        self.failures: list[tuple[str, Finished]] = []
        self.plugin = Plugin((), folder / name, list(endpoints), more={"NODE_NAME": name})
        self._living: deque[tuple[str, Document]] = deque()

    def use(self, version: Version) -> None:
        """Put another version of the plugin in the place of the one that is there."""
        self.plugin.command = (str(version.plugin),)

    def run(self, ended: Event) -> None:
        """Call until told to end, or until a call fails; what lives then lives on."""
        for number in count():
            if ended.is_set() or not self._turn(f"{self.name}-c{number}"):
                return
            time.sleep(PAUSE_SECONDS)

    def _turn(self, container: str) -> bool:
        result = self._add(container)
        if result is None:
            return False
        self._living.append((container, result))
        oldest, told = self._living[0]
        return self.check(oldest, told) and (len(self._living) <= LIVING or self._delete())

    def _add(self, container: str) -> Document | None:
        done = self.plugin.call("ADD", CNI_CONTAINERID=container)
        if not self._succeeded("ADD", done):
            return None
        self.ledger.granted(container, tuple(each["address"].partition("/")[0] for each in done.json["ips"]))
        return done.json

    def check(self, container: str, told: Document) -> bool:
        """Whether CHECK agrees with what a container was told."""
        config = {**self.plugin.config(), "prevResult": told}
        return self._succeeded("CHECK", self.plugin.call("CHECK", config, CNI_CONTAINERID=container))

    def _delete(self) -> bool:
        container, _ = self._living.popleft()
        self.ledger.giving_up(container)
        if not self._succeeded("DEL", self.plugin.call("DEL", CNI_CONTAINERID=container)):
            return False
        self.ledger.released(container)
        return True

    def _succeeded(self, verb: str, done: Finished) -> bool:
        if done.code != 0:
            self.failures.append((verb, done))
        return done.code == 0


@contextmanager
def working(nodes: Sequence[WorkingNode]) -> Iterator[None]:
    """Have the nodes work as long as the block lasts."""
    ended = Event()
    with ThreadPoolExecutor(len(nodes)) as threads:
        running: list[Future[None]] = [threads.submit(node.run, ended) for node in nodes]
        try:
            yield
        finally:
            ended.set()
            for each in running:
                each.result()  # what a node's thread died of says more than what was waited for


def await_calls(nodes: Sequence[WorkingNode], more: int) -> None:
    """Wait until each node was answered so many times more; raise if a call has failed."""
    wanted = {node.name: node.ledger.answered + more for node in nodes}
    deadline = time.monotonic() + SECONDS
    while any(node.ledger.answered < wanted[node.name] for node in nodes):
        failures = [failure for node in nodes for failure in node.failures]
        assert failures == [], failures
        assert time.monotonic() < deadline, "the nodes do not go on"
        time.sleep(0.01)
