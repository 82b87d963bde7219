"""A node that reboots with many containers, each of which is a process in a network namespace of its own."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agent.sandboxes import sandboxes
from tests.faults.living_nodes import LOOKS, LivingNode
from tests.network.namespace import MakeNamespace
from tests.service import IpamdProcess, running_service
from tests.waiting import eventually

pytestmark = pytest.mark.faults

CONTAINERS = 100
BEGIN_ANEW = 10
KEPT = 3
"""So many of those that begin anew have their old container IDs, as with a runtime that keeps containers."""

AGAIN = [f"c{number}" for number in range(KEPT)] + [f"n{number}" for number in range(BEGIN_ANEW - KEPT)]


@pytest.fixture
def service(scratch: Path) -> Iterator[IpamdProcess]:
    with running_service(scratch, "--leak-grace", LOOKS) as started:
        started.create_pool("pods", "10.0.0.0/24", cooldown=0)
        yield started


def test_after_a_reboot_a_hundred_are_freed_within_two_reports_and_who_began_before_the_agent_lives(
    service: IpamdProcess, scratch: Path, memory: Path, make_namespace: MakeNamespace
) -> None:
    """All namespaces go at once, and no runtime says a word."""
    with ExitStack() as stack:
        node = LivingNode("worker-1", scratch / "node", service.endpoint, make_namespace)
        stack.callback(node.agent.kill)
        node.agent.start()
        former = stack.enter_context(sandboxes(CONTAINERS))
        node.make = former.make
        for number in range(CONTAINERS):
            node.starts(f"c{number}", "pods")
        before = dict(node.addresses)
        node.looks()
        assert held(service) == before

        former.end()
        node.reboots(make_namespace("after"), memory, scratch / "boot_id")
        node.make = stack.enter_context(sandboxes(BEGIN_ANEW)).make
        for container in AGAIN:
            node.starts(container, "pods")
        living = {container: node.addresses[container] for container in AGAIN}
        assert held(service) == before | living

        node.agent.start()
        eventually(lambda: node.told() >= 2)
        assert held(service) == living
        eventually(lambda: node.told() >= 5)
        assert held(service) == living
        assert service.contradictions() == []


def held(service: IpamdProcess) -> dict[str, str]:
    """The address of each container."""
    return {row["container_id"]: row["address"].partition("/")[0] for row in service.allocations()}
