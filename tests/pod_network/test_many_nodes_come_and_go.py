"""Many nodes that start at once, and others that come while some leave: each has the routes of the living."""

from itertools import chain

import pytest

from tests.conftest import TIMES
from tests.pod_network.cluster import Document, Fabric, Node
from tests.service import IpamdProcess
from tests.waiting import eventually

FIRST, LATER, LEAVING = (30, 10, 10) if TIMES > 1 else (5, 2, 2)
"""How many nodes; a short form, and a long one for campaigns."""

SECONDS = 180


@pytest.mark.faults
def test_each_node_ends_with_exactly_the_routes_of_the_living(fabric: Fabric, service: IpamdProcess) -> None:
    switches = [fabric.switch("near", 0), fabric.switch("far", 1)]

    def node(number: int) -> Node:
        prefix = ("192.0.2", "198.51.100")[number % 2]
        return fabric.node(f"node-{number}", switches[number % 2], f"{prefix}.{number}")

    first = [node(number) for number in range(1, FIRST + 1)]
    later = [node(number) for number in range(FIRST + 1, FIRST + LATER + 1)]
    for each in first:
        each.start()
    ends_with_routes_of(first, service)

    leaving, staying = first[:LEAVING], first[LEAVING:]
    for each, gone in zip(later, leaving, strict=True):
        each.start()
        gone.stop()
        assert service.http.delete(f"/v1/nodes/default/{gone.name}").is_success
    ends_with_routes_of(staying + later, service)


def ends_with_routes_of(living: list[Node], service: IpamdProcess) -> None:
    """Each of the living is announced, and has a route to each block of the others, and no other route."""

    def announced() -> dict[str, Document]:
        return {each["name"]: each for each in service.http.get("/v1/network").json()["nodes"]}

    eventually(lambda: announced().keys() == {each.name for each in living}, SECONDS)
    for each in living:
        eventually(lambda each=each: routes(each) == expected(each, announced()), SECONDS)  # type: ignore[misc]


def expected(node: Node, announced: dict[str, Document]) -> set[str]:
    others = [known["blocks"] for name, known in announced.items() if name != node.name]
    return set(chain.from_iterable(others))


def routes(node: Node) -> set[str]:
    """Where the agent's routes lead that lead anywhere."""
    shown = [*node.json("ip", "-j", "route", "show", "proto", "151")]
    shown += node.json("ip", "-j", "-6", "route", "show", "proto", "151")
    return {each["dst"] for each in shown if each.get("type") != "blackhole"}
