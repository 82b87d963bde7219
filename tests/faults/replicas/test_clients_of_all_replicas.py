"""32 clients of four replicas: what each was told is what the tables say."""

import random
import threading
import time
from collections import Counter
from functools import partial
from ipaddress import ip_network

import pytest

from tests.faults.at_work import at_work
from tests.faults.clients import NOTHING_FREE, OVERTAKEN, Caller, Node, at_once
from tests.faults.ledger import Ledger, compare
from tests.faults.replicas.cluster import CALL_SECONDS, REPLICAS, Cluster

CLIENTS = 32
CONTAINERS = 4  # of each client


class Client:
    """Adds, repeats and deletes its containers, each time at any of the replicas."""

    def __init__(self, number: int, cluster: Cluster, pools: list[str]) -> None:
        self.ledger = Ledger()
        self.slowest = 0.0
        node = Node(f"node-{number % 8}")
        self._callers = [Caller(port, node, pools) for port in cluster.ports]
        self._containers = [f"c{number}-{each}" for each in range(CONTAINERS)]
        self._random = random.Random(number)

    def run(self, enough: threading.Event) -> None:
        while not enough.is_set():
            begin = time.monotonic()
            self._call(self._random.choice(self._callers), self._random.choice(self._containers))
            self.slowest = max(self.slowest, time.monotonic() - begin)
        for caller in self._callers:
            caller.close()

    def _call(self, caller: Caller, container: str) -> None:
        if self._random.random() < (0.5 if container in self.ledger.held else 0.9):
            answer = caller.add(container)
            if answer.code == 0:
                self.ledger.granted(container, answer.addresses)
            else:
                assert answer.code == NOTHING_FREE, answer
                assert container not in self.ledger.held, f"{container} lives and is refused: {answer}"
                self.ledger.refused(container)
        else:
            self.ledger.giving_up(container)
            assert caller.delete(container).code == 0
            self.ledger.released(container)


def churn(cluster: Cluster, pools: list[str], seconds: float) -> list[Client]:
    """Let all clients call for so long; none of them may fail, nor a call last longer than it may."""
    clients = [Client(number, cluster, pools) for number in range(CLIENTS)]
    with at_work(*(client.run for client in clients)) as working:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not any(each.done() for each in working):
            time.sleep(0.05)
    assert max(client.slowest for client in clients) < CALL_SECONDS
    return clients


@pytest.mark.parametrize("affinity", ["any", "node"])
def test_nothing_is_given_twice_or_lost(cluster: Cluster, affinity: str) -> None:
    scarce = {"ranges": ["10.1.0.20-10.1.0.119"], "block_size": 28}
    cluster.create_pool("v4", "10.1.0.0/25", cooldown=0, affinity=affinity, **scarce)
    cluster.create_pool("v6", "fd00:1::/64", cooldown=0, affinity=affinity)

    clients = churn(cluster, ["v4", "v6"], seconds=2)

    compare([client.ledger for client in clients], cluster.tables)
    assert cluster.complaints() == []


def test_no_deadlock_arises_over_few_blocks(cluster: Cluster) -> None:
    """Two families of which no block has more than four addresses: every call meets another's lock."""
    cluster.create_pool("v4", "10.1.0.0/26", cooldown=0, block_size=30, gateway=None)
    cluster.create_pool("v6", "fd00:1::/122", cooldown=0, block_size=126)

    clients = churn(cluster, ["v4", "v6"], seconds=5)

    compare([client.ledger for client in clients], cluster.tables)
    assert cluster.complaints() == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"subnet": "10.0.0.0/30"}, 1),
        ({"subnet": "10.0.0.0/28", "block_size": 30}, 13),
        ({"subnet": "10.0.0.0/8", "ranges": ["10.63.255.252-10.64.0.5"]}, 10),
        ({"subnet": "2001:db8::/32", "ranges": ["2001:db8:ffff:ffff:ffff:ffff:ffff:fff0/124"]}, 16),
    ],
)
@pytest.mark.parametrize("affinity", ["any", "node"])
def test_as_many_clients_succeed_as_there_are_addresses(
    cluster: Cluster, fields: dict[str, str], expected: int, affinity: str
) -> None:
    cluster.create_pool("pods", cooldown=0, affinity=affinity, **fields)
    callers = cluster.callers(CLIENTS, "pods")

    answers = at_once([partial(caller.add, f"c{number}") for number, caller in enumerate(callers)])

    codes = Counter(answer.code for answer in answers)
    assert codes == {0: expected, NOTHING_FREE: CLIENTS - expected}
    given = {answer.address for answer in answers if answer.code == 0}
    assert len(given) == expected
    assert cluster.tables.held_by_blocks() == given
    assert cluster.complaints() == []


@pytest.mark.parametrize("subnet", ["10.0.0.0/8", "2001:db8::/32", "10.0.0.0/24"])
def test_the_first_blocks_of_a_fresh_pool_are_carved_by_all_at_once(cluster: Cluster, subnet: str) -> None:
    for name in ("any", "node"):
        cluster.create_pool(name, subnet, space=name, affinity=name)
    callers = cluster.callers(CLIENTS, "any") + cluster.callers(CLIENTS, "node")

    answers = at_once([partial(caller.add, f"c{number}") for number, caller in enumerate(callers)])

    for asked in (answers[:CLIENTS], answers[CLIENTS:]):
        assert len({answer.address for answer in asked}) == CLIENTS
    assert cluster.complaints() == []
    for name in ("any", "node"):
        rows = cluster.tables.rows("SELECT encode(first, 'hex') FROM block WHERE pool = ? ORDER BY 1", name)
        numbers = [int(str(first), 16) for (first,) in rows]
        begin = int(ip_network(subnet)[0])
        assert numbers == list(range(begin, begin + 64 * len(numbers), 64)), "a block was passed over"


def test_the_same_container_gets_one_answer_from_all(cluster: Cluster) -> None:
    cluster.create_pool("pods", "10.0.0.0/24", cooldown=0)
    node = Node("node-0")
    callers = [Caller(port, node, ["pods"]) for port in cluster.ports]

    for number in range(50):
        answers = at_once([partial(caller.add, f"c{number}") for caller in callers])
        assert len({answer.addresses for answer in answers}) == 1, answers

    assert len(cluster.tables.live()) == 50
    assert cluster.complaints() == []


def overtaking(cluster: Cluster, number: int, count: int) -> None:
    """An ADD and the DEL that was issued after it, at two replicas at once, many times."""
    node = Node(f"node-{number}")
    add, delete = (Caller(cluster.ports[(number + each) % REPLICAS], node, ["pods"]) for each in (0, 1))
    for each in range(count):
        container = f"c{number}-{each}"
        adding, deleting = add.body(container), delete.body(container)
        if each % 2:
            add.send("add", adding)
            delete.send("del", deleting)
        else:
            delete.send("del", deleting)
            add.send("add", adding)
        assert delete.receive().code == 0
        assert add.receive().code in (0, OVERTAKEN)


def test_nothing_is_held_after_a_del_that_overtakes_its_add(cluster: Cluster) -> None:
    cluster.create_pool("pods", "10.0.0.0/24", cooldown=0)

    at_once([partial(overtaking, cluster, number, 250) for number in range(8)])

    assert cluster.tables.live() == {}
    assert cluster.tables.held_by_blocks() == set()
    assert cluster.complaints() == []
