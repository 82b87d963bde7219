"""Many clients at once, over kills: what each was told is what the tables say."""

import random
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.clients import NOTHING_FREE, OVERTAKEN, Answer, Caller, Node, Unanswered
from tests.faults.ledger import Ledger, Tables, compare
from tests.service import IpamdProcess

CLIENTS = 32
NODES = 8
CONTAINERS = 4  # of each client
WAIT_SECONDS = 60.0

Body = dict[str, Any]


@dataclass
class Ends:
    """What puts an end to older ADDs of a container: its last DEL, and undos of single ones."""

    last_del: int = 0
    undone: set[int] = field(default_factory=set)

    def overtake(self, add: Body) -> bool:
        issued = add["issued"]["uptime_ns"]
        return issued < self.last_del or issued in self.undone


class Client:
    """Adds, repeats and deletes its containers at random, and keeps a ledger of what it was told.

    Some of its calls reach the service a second time, later, as networks and spools let them.
    """

    def __init__(self, number: int, port: int, node: Node, seed: int) -> None:
        self.ledger = Ledger()
        self._containers = [f"c{number}-{each}" for each in range(CONTAINERS)]
        self._caller = Caller(port, node, ["v4", "v6"])
        self._random = random.Random(seed)
        self._sent: deque[tuple[str, Body]] = deque(maxlen=4 * CONTAINERS)
        self._ends_sent: dict[str, Ends] = defaultdict(Ends)
        self._ends_answered: dict[str, Ends] = defaultdict(Ends)

    def run(self, enough: threading.Event) -> None:
        while not enough.is_set():
            if self._sent and self._random.random() < 0.1:
                self._send_again(*self._random.choice(self._sent))
            else:
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
        body = self._caller.body(container)
        surely_free = container not in self.ledger.held and container not in self.ledger.doubtful
        answer = self._answer("add", body)
        if answer is not None:
            self._note(container, answer)
        elif self._random.random() < 0.5:
            self._undo(container, body, surely_free)

    def _note(self, container: str, answer: Answer) -> None:
        """Write down what an ADD was told."""
        if answer.code == 0:
            self.ledger.granted(container, answer.addresses)
        else:
            assert answer.code == NOTHING_FREE, answer
            assert container not in self.ledger.held, f"{container} lives and is refused: {answer}"
            self.ledger.refused(container)

    def _undo(self, container: str, add: Body, surely_free: bool) -> None:
        """Take back an ADD that had no answer: of a container that lived before it frees nothing."""
        undo = {**self._caller.body(container), "issued": add["issued"], "undo": True}
        issued = add["issued"]["uptime_ns"]
        self._ends_sent[container].undone.add(issued)
        answer = self._answer("del", undo)
        if answer is not None:
            assert answer.code == 0, answer
            self._ends_answered[container].undone.add(issued)
            if surely_free:
                self.ledger.released(container)

    def _delete(self, container: str) -> None:
        body = self._caller.body(container)
        issued = body["issued"]["uptime_ns"]
        self._ends_sent[container].last_del = issued
        self.ledger.giving_up(container)
        answer = self._answer("del", body)
        if answer is not None:
            assert answer.code == 0, answer
            self._ends_answered[container].last_del = issued
            self.ledger.released(container)

    def _send_again(self, verb: str, body: Body) -> None:
        """Let an earlier call arrive once more: what is overtaken by now changes nothing."""
        container = body["container_id"]
        if verb == "del":
            answer = self._answer(verb, body)
            assert answer is None or answer.code == 0, answer
        elif self._ends_answered[container].overtake(body):
            answer = self._answer(verb, body)
            assert answer is None or answer.code == OVERTAKEN, answer
        elif not self._ends_sent[container].overtake(body):
            answer = self._answer(verb, body)
            if answer is not None:
                self._note(container, answer)

    def _answer(self, verb: str, body: Body) -> Answer | None:
        """Make a call; None if nobody knows what became of it."""
        self._sent.append((verb, body))
        try:
            return self._caller.call(verb, body)
        except Unanswered:
            self.ledger.unanswered(body["container_id"])
            time.sleep(0.02)
            return None


def campaign(
    service: IpamdProcess, seed: int, affinity: str, rounds: int, calls: int, end: Callable[[], None]
) -> None:
    """Let all clients call; after each round of so many answered calls the service ends and starts again."""
    scarce = {"ranges": ["10.1.0.20-10.1.0.119"], "block_size": 28}
    service.create_pool("v4", "10.1.0.0/25", cooldown=0, affinity=affinity, **scarce)
    service.create_pool("v6", "fd00:1::/64", cooldown=0, affinity=affinity)
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


def test_nothing_is_given_twice_or_lost_when_ipamd_is_told_to_end(ipamd_process: IpamdProcess) -> None:
    campaign(ipamd_process, seed=2, affinity="node", rounds=1, calls=2_000, end=ipamd_process.stop)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("seed", "affinity"), [(100, "any"), (200, "node")])
def test_nothing_is_given_twice_or_lost_over_eight_kills(
    ipamd_process: IpamdProcess, seed: int, affinity: str
) -> None:
    campaign(ipamd_process, seed, affinity, rounds=8, calls=2_000, end=ipamd_process.kill)
