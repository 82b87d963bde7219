"""Clients of all replicas, which are killed one after another, while somebody watches the database."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

from tests.faults.at_work import at_work
from tests.faults.clients import Caller, Node, Unanswered
from tests.faults.replicas.cluster import PostgresTables
from tests.service import IpamdProcess
from tests.waiting import eventually

ANSWERS = 150  # between two kills


class RandomClient:
    """Adds and deletes a few containers in random order, each time at any of the replicas."""

    def __init__(self, number: int, ports: Sequence[int]) -> None:
        self.answered = 0
        node = Node(f"node-{number}")
        self._callers = [Caller(port, node, ["pods"]) for port in ports]
        self.random = random.Random(number)
        self.names = [f"c{number}-{each}" for each in range(4)]

    def run(self, enough: threading.Event) -> None:
        """Work until it is enough."""
        while not enough.is_set():
            name = self.random.choice(self.names)
            try:
                self.call(self.random.choice(self._callers), name)
            except Unanswered:
                time.sleep(0.02)
            else:
                self.answered += 1

    def call(self, caller: Caller, name: str) -> None:
        """Add or delete a container."""
        raise NotImplementedError


class Watch:
    """Looks at the tables again and again, as PostgreSQL says; `looks` counts."""

    def __init__(self, tables: PostgresTables) -> None:
        self.tables = tables
        self.looks = 0

    def run(self, enough: threading.Event) -> None:
        """Look until it is enough."""
        while not enough.is_set():
            self.look()
            self.looks += 1
            time.sleep(0.05)

    def look(self) -> None:
        """Raise if anything is wrong."""
        raise NotImplementedError


def run_while_replicas_are_killed(
    replicas: Sequence[IpamdProcess], clients: Sequence[RandomClient], watch: Watch, kills: int
) -> None:
    """Let all clients work, and kill replicas one after another. Raises what any of them raised."""
    with at_work(watch.run, *(client.run for client in clients)):
        for number in range(kills):
            wanted = sum(client.answered for client in clients) + ANSWERS
            eventually(lambda: sum(client.answered for client in clients) >= wanted)  # noqa: B023
            replicas[number].kill()
            replicas[number].start()
