"""Clients that call without pause while replicas and databases come and go, and keep account."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.faults.at_work import at_work
from tests.faults.clients import NOTHING_FREE, TRY_AGAIN, Caller, Node, Unanswered
from tests.faults.ledger import Ledger
from tests.waiting import eventually

WAIT_SECONDS = 60.0
ENOUGH = 200  # answers between one fault and the next
PAUSE_SECONDS = 0.02  # after a call that was told to try again, or nothing


class Client:
    """Adds, repeats and deletes its containers at one replica, and finds out what became of its calls."""

    def __init__(self, number: int, port: int) -> None:
        self.ledger = Ledger()
        self._caller = Caller(port, Node(f"victim-{number}"), ["pods"])
        self._containers = [f"v{number}-{each}" for each in range(3)]
        self._random = random.Random(number)

    def run(self, enough: threading.Event) -> None:
        while not enough.is_set():
            container = self._random.choice(self._containers)
            again = self._random.random() < 0.3
            self._delete(container) if container in self.ledger.held and not again else self._add(container)
        deadline = time.monotonic() + WAIT_SECONDS
        while self.ledger.doubtful:
            assert time.monotonic() < deadline, f"no answer for {self.ledger.doubtful}"
            self._delete(next(iter(self.ledger.doubtful)))
        self._caller.close()

    def _add(self, container: str) -> None:
        try:
            answer = self._caller.add(container)
        except Unanswered:
            self.ledger.unanswered(container)
            time.sleep(PAUSE_SECONDS)
            return
        if answer.code == 0:
            self.ledger.granted(container, answer.addresses)
        elif answer.code == NOTHING_FREE:
            self.ledger.refused(container)
        else:
            # This ADD took nothing; what a DEL in doubt left is as doubtful as before.
            assert answer.code == TRY_AGAIN, answer
            time.sleep(PAUSE_SECONDS)

    def _delete(self, container: str) -> None:
        self.ledger.giving_up(container)
        try:
            answer = self._caller.delete(container)
        except Unanswered:
            self.ledger.unanswered(container)
            time.sleep(PAUSE_SECONDS)
            return
        if answer.code == 0:
            self.ledger.released(container)
        else:
            assert answer.code == TRY_AGAIN, answer
            self.ledger.unanswered(container)
            time.sleep(PAUSE_SECONDS)


@contextmanager
def clients_at(*ports: int) -> Iterator[list[Client]]:
    """Eight clients that call without pause for as long as the block lasts, and settle what is in doubt."""
    clients = [Client(number, ports[number % len(ports)]) for number in range(8)]
    with at_work(*(client.run for client in clients)):
        yield clients


def await_answers(clients: Sequence[Client], more: int = ENOUGH) -> None:
    """Wait until the clients were answered so many times more."""

    def answered() -> int:
        return sum(client.ledger.answered for client in clients)

    wanted = answered() + more
    eventually(lambda: answered() >= wanted)
