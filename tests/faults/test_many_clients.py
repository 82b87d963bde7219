"""Many clients at once, over kills: what each was told is what the tables say."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults.clients import NOTHING_FREE, Caller, Node, Unanswered
from tests.faults.ledger import Ledger, Tables, compare
from tests.service import IpamdProcess

CLIENTS = 32
NODES = 8
CONTAINERS = 4  # of each client
WAIT_SECONDS = 60.0


class Client:
    """Adds, repeats and deletes its containers at random, and keeps a ledger of what it was told."""

    def __init__(self, number: int, port: int, node: Node, seed: int) -> None:
        self.ledger = Ledger()
        self._containers = [f"c{number}-{each}" for each in range(CONTAINERS)]
        self._caller = Caller(port, node, ["v4", "v6"])
        self._random = random.Random(seed)

    def run(self, enough: threading.Event) -> None:
        while not enough.is_set():
            self._call(self._random.choice(self._containers))
        deadline = time.monotonic() + WAIT_SECONDS
        while self.ledger.doubtful:
            assert time.monotonic() < deadline, f"no answer for {self.ledger.doubtful}"
            self._delete(next(iter(self.ledger.doubtful)))
        self._caller.close()

    def _call(self, container: str) -> None:
        likely = 0.5 if container in self.ledger.held else 0.9
        if self._random.random() < likely:
            self._add(container)
        else:
            self._delete(container)

    def _add(self, container: str) -> None:
        try:
            answer = self._caller.add(container)
        except Unanswered:
            self._wait_after(container)
            return
        if answer.code == 0:
            self.ledger.granted(container, answer.addresses)
        else:
            assert answer.code == NOTHING_FREE, answer
            assert container not in self.ledger.held, f"{container} lives and is refused: {answer}"
            self.ledger.refused(container)

    def _delete(self, container: str) -> None:
        self.ledger.giving_up(container)
        try:
            answer = self._caller.delete(container)
        except Unanswered:
            self._wait_after(container)
            return
        assert answer.code == 0, answer
        self.ledger.released(container)

    def _wait_after(self, container: str) -> None:
        self.ledger.unanswered(container)
        time.sleep(0.02)


def campaign(service: IpamdProcess, seed: int, rounds: int, calls: int, end: Callable[[], None]) -> None:
    """Let all clients call; after each round of so many answered calls the service ends and starts again."""
    service.create_pool("v4", "10.1.0.0/25", ranges=["10.1.0.20-10.1.0.119"], block_size=28, cooldown=0)
    service.create_pool("v6", "fd00:1::/64", cooldown=0)
    nodes = [Node(f"node-{number}") for number in range(NODES)]
    clients = [
        Client(number, service.port, nodes[number % NODES], seed + number) for number in range(CLIENTS)
    ]
    enough = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(client.run, enough) for client in clients]
        try:
            for number in range(rounds + 1):
                await_answers(clients, running, (number + 1) * calls)
                if number < rounds:
                    end()
                    service.start()
        finally:
            enough.set()
    for client in running:
        client.result()
    compare([client.ledger for client in clients], Tables(service.database))


def await_answers(clients: list[Client], running: list["Future[None]"], calls: int) -> None:
    """Wait until so many calls were answered in all, or a client failed."""
    deadline = time.monotonic() + WAIT_SECONDS
    while sum(client.ledger.answered for client in clients) < calls:
        for client in running:
            if client.done():
                client.result()
        assert time.monotonic() < deadline, "the clients get no answers"
        time.sleep(0.005)


def test_nothing_is_given_twice_or_lost_when_ipamd_is_killed(ipamd_process: IpamdProcess) -> None:
    campaign(ipamd_process, seed=1, rounds=1, calls=2_000, end=ipamd_process.kill)


def test_nothing_is_given_twice_or_lost_when_ipamd_is_told_to_end(ipamd_process: IpamdProcess) -> None:
    campaign(ipamd_process, seed=2, rounds=1, calls=2_000, end=ipamd_process.stop)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [100, 200, 300])
def test_nothing_is_given_twice_or_lost_over_eight_kills(ipamd_process: IpamdProcess, seed: int) -> None:
    campaign(ipamd_process, seed=seed, rounds=8, calls=6_000, end=ipamd_process.kill)
