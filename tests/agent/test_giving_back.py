"""Before its agent is uninstalled a node gives up its lease, or says what it could not give back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipam_plugin.leases import layout
from tests.agent.leased import Leased, leased_node
from tests.agent.process import NODE
from tests.agent.runs import Ended, run_agent_after
from tests.cni.node import on_run
from tests.node_executable import node_plugin
from tests.waiting import eventually


@pytest.fixture(scope="module")
def leased() -> Iterator[Leased]:
    """One node for all tests, with the one container that was there first, and its agent."""
    with leased_node(None) as node:
        yield node


def run(leased: Leased, *arguments: str | Path) -> Ended:
    """Run a command of the agent on the node."""
    return run_agent_after(on_run(leased.store.path.parents[2]), *arguments)


def give_back(leased: Leased) -> Ended:
    return run(leased, "give-back", "--node-json", leased.agent.node_json)


def lease(leased: Leased) -> dict[str, Any]:
    """The lease as ipamd has it."""
    found: dict[str, Any]
    [found] = leased.service.http.get("/v1/leases").json()["items"]
    return found


def test_while_the_agent_runs_nothing_is_given_back(leased: Leased) -> None:
    eventually(leased.is_open)

    ended = give_back(leased)

    assert (ended.code, "stop it first" in ended.complaint) == (1, True), ended
    assert leased.is_open()


def test_what_a_container_has_is_named_and_goes_back_when_it_ends(leased: Leased) -> None:
    eventually(leased.is_open)
    leased.add("a1")
    leased.agent.stop()

    ended = give_back(leased)

    assert ended.code == 1
    assert "1 of its addresses are containers' that did not end" in ended.complaint
    assert "ipamctl node release node-a" in ended.complaint
    assert (lease(leased)["seats"], lease(leased)["taken"]) == (1, 1)
    assert list(leased.store.states().values()) == [layout.HELD]
    leased.delete("a1")
    assert give_back(leased).code == 0
    assert lease(leased)["seats"] == 0
    leased.agent.start()


def test_without_ipamd_the_store_is_closed_and_what_is_left_is_named(leased: Leased) -> None:
    eventually(lambda: leased.add("b1") != "" and leased.is_open())
    leased.agent.stop()
    leased.service.kill()
    leased.delete("b1")

    ended = give_back(leased)

    assert ended.code == 1
    assert "free ones are still its own" in ended.complaint
    assert "ipamd does not answer" in ended.complaint
    assert layout.FREE not in leased.store.states().values()
    leased.service.start()
    leased.agent.start()


def test_uninstall_gives_back_first(leased: Leased, scratch: Path) -> None:
    eventually(leased.is_open)
    leased.agent.stop()
    root = scratch / "root"
    root.mkdir()
    where = ("--root", root, "--executables", node_plugin().parents[1])
    assert run(leased, "install", *where, "--endpoint", leased.service.endpoint, "--node", NODE).code == 0

    ended = run(leased, "uninstall", "--root", root)

    assert ended.code == 0, ended
    assert ended.out.splitlines()[0] == "the lease of this node is given back"
    assert lease(leased)["seats"] == 0
    assert not leased.store.path.parent.exists()
    assert give_back(leased).code == 0
    assert give_back(leased).out == "this node has no lease\n"
