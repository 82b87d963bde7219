"""Agents that lie or are broken, in a loop: other nodes keep what is theirs, and are served."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.api.test_census import Agent
from tests.service import IpamdProcess
from tests.waiting import eventually

Lie = dict[str, list[dict[str, Any]]]

PODS = 40
"""Containers that start and end on an honest node meanwhile."""
LIARS = 4


def all_is_dead(liar: Agent, _: Agent) -> Lie:
    return {"dead": liar.dead(*liar.containers())}


def random_ids(_: Agent, __: Agent) -> Lie:
    return {"dead": [{"id": 7 * number + 1, "generation": 1, "taken": number} for number in range(5000)]}


def ids_of_another_node(_: Agent, honest: Agent) -> Lie:
    return {"dead": honest.dead(*honest.containers())}


def addresses_of_another_node_live_here(_: Agent, honest: Agent) -> Lie:
    interface = {"network": "pods", "ifname": "eth0"}
    return {
        "living": [
            {**interface, "container_id": f"lie-{row['id']}", "addresses": [row["address"]]}
            for row in honest.held()
        ]
    }


@contextmanager
def said_in_a_loop(service: IpamdProcess, liar: Agent, lie: Lie) -> Iterator[Counter[int]]:
    """Several connections of a liar's say a lie again and again; the answers by status."""
    over, answers = threading.Event(), Counter[int]()

    def speak(number: int) -> None:
        transport = httpx.HTTPTransport(uds=str(service.socket))
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=60) as http:
            agent = Agent(http, name=liar.node)
            agent.uptime = 1000 * (number + 1)
            while not over.is_set():
                answers[agent.post(lie.get("dead", []), living=lie.get("living", [])).status_code] += 1

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(LIARS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    "make", [all_is_dead, random_ids, ids_of_another_node, addresses_of_another_node_live_here]
)
def test_what_an_agent_says_in_a_loop_touches_no_other_node(
    ipamd: IpamdProcess, make: Callable[[Agent, Agent], Lie]
) -> None:
    honest, liar = Agent(ipamd.http, 10), Agent(ipamd.http, 10)
    for agent in (honest, liar):
        agent.speaks()
    before = {row["container_id"]: row["address"] for row in honest.held()}
    own = liar.containers()

    with said_in_a_loop(ipamd, liar, make(liar, honest)) as answers:
        eventually(lambda: answers.total() >= 2 * LIARS)
        for number in range(PODS):
            honest.add(f"pod-{number}")
            honest.delete(f"pod-{number}")
        honest.speaks()
        eventually(lambda: answers[httpx.codes.TOO_MANY_REQUESTS] > answers[httpx.codes.OK])

    assert answers.keys() <= {httpx.codes.OK, httpx.codes.TOO_MANY_REQUESTS}
    assert {row["container_id"]: row["address"] for row in honest.held()} == before
    assert {row["container_id"] for row in held_by(ipamd, liar)} == own
    conflicts = [finding for finding in ipamd.contradictions() if finding["kind"] == "living-conflict"]
    assert bool(conflicts) == (make is addresses_of_another_node_live_here)
    eventually(lambda: liar.post([]).status_code == httpx.codes.OK)


def held_by(service: IpamdProcess, agent: Agent) -> list[dict[str, Any]]:
    """What a node's containers hold, as an admin reads it: its agent has had its share of the answers."""
    return service.allocations(node=agent.node)
