"""Which containers the agent says are dead, with real network namespaces, and what ipamd frees by that."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.agent.containers import Kept, Node, namespaces_in_use
from tests.agent.process import AgentProcess
from tests.api.plugin_call import call, issued
from tests.network.conftest import DEBIAN_PLUGINS, plugin_folder
from tests.network.namespace import MakeNamespace, Namespace, run
from tests.network.spare_inodes import spare_inodes
from tests.node_executable import node_plugin
from tests.service import running_service
from tests.veth.executable import MainPlugin, put
from tests.waiting import eventually

LOOKS: str = "1"
"""Seconds between two looks, and between two reports that free an address."""


@pytest.fixture
def node(scratch: Path) -> Iterator[Node]:
    with ExitStack() as stack:
        spare = stack.enter_context(spare_inodes())
        service = stack.enter_context(running_service(None, "--leak-grace", LOOKS))
        service.create_pool("pods", "10.0.0.0/16", cooldown=0)
        agent = AgentProcess(scratch, service.endpoint)
        agent.options = ("--look-every", LOOKS)
        stack.callback(agent.kill)
        yield Node(service, agent, spare, stack)


def test_a_container_without_a_namespace_is_freed_and_the_others_live(
    node: Node, make_namespace: MakeNamespace
) -> None:
    """A runtime that never sends DEL."""
    node.agent.start()
    for name in ("a", "b", "c"):
        node.add(name, make_namespace(name).path)
    doomed = make_namespace("doomed")
    node.add("doomed", doomed.path)

    node.dies(doomed)

    eventually(lambda: node.held() == {"a", "b", "c"})
    eventually(lambda: "3 of containers, 0 of dead ones" in node.agent.status().out)


def test_no_namespace_is_taken_for_dead_wherever_it_is_kept(
    node: Node, scratch: Path, make_namespace: MakeNamespace
) -> None:
    """Each of these is kept in one place alone, and beside each one of the same kind is gone."""
    kept, gone = Kept(node, scratch), Kept(node, scratch)
    for name in Kept.KINDS:
        node.add(f"kept-{name}", kept.make(name))
        node.add(f"gone-{name}", gone.make(name))
    node.add("kept-named", make_namespace("named").path)
    kept.let_go_of_processes()
    gone.let_go()

    node.agent.start()

    living = {f"kept-{name}" for name in Kept.KINDS} | {"kept-named"}
    eventually(lambda: node.held() - living <= used_again(gone), 120)
    node.looks()
    assert living <= node.held()


def used_again(gone: Kept) -> set[str]:
    """Containers whose namespace is gone, and whose inode is that of a stranger's namespace since."""
    in_use = namespaces_in_use()
    return {f"gone-{kind}" for kind, inode in gone.inodes.items() if inode in in_use}


def test_a_container_whose_namespaces_inode_another_one_has_since_is_freed(
    node: Node, make_namespace: MakeNamespace
) -> None:
    """The kernel gives the lowest number that is free, so that this is the rule."""
    for name in ("a", "b", "c"):
        node.add(name, make_namespace(name).path)
    old, new = inode_used_again(node, make_namespace)

    node.agent.start()

    eventually(lambda: old not in node.held())
    node.looks()
    assert node.held() >= {"a", "b", "c", new}


def inode_used_again(node: Node, make: MakeNamespace) -> tuple[str, str]:
    """A container whose namespace has gone, and one in a namespace of the same inode."""
    for attempt in range(5):  # somebody else may be the first to take the number
        doomed = make(f"old{attempt}")
        inode = doomed.path.stat().st_ino
        address = node.add(f"old{attempt}", doomed.path)
        run("umount", str(doomed.path))
        for number in range(40):  # the kernel frees the number some time after the namespace is gone
            again = make(f"new{attempt}-{number}")
            if again.path.stat().st_ino == inode:
                assert node.add("new", again.path) != address
                return f"old{attempt}", "new"
            time.sleep(0.05)
        node.delete(f"old{attempt}")
    raise AssertionError("no inode was used again")


def test_a_container_that_starts_again_in_another_namespace_lives(
    node: Node, make_namespace: MakeNamespace
) -> None:
    """Its runtime sends no DEL, and the same container ID again."""
    node.agent.start()
    first, others = make_namespace("first"), [make_namespace(name) for name in ("a", "b")]
    for other in others:
        node.add(other.name, other.path)
    address = node.add("again", first.path)
    node.looks(2)

    again = node.add("again", make_namespace("second").path)
    run("umount", str(first.path))

    node.looks(5)
    assert again == address
    assert "again" in node.held()


def test_what_lived_while_the_agent_was_away_lives_on(node: Node, make_namespace: MakeNamespace) -> None:
    node.agent.start()
    node.looks(1)
    node.agent.kill()
    living, doomed, other = (make_namespace(name) for name in ("living", "doomed", "other"))
    for namespace in (living, doomed, other):
        node.add(namespace.name, namespace.path)
    node.dies(doomed)

    node.agent.start()

    eventually(lambda: node.held() == {living.name, other.name})
    node.looks()
    assert node.held() == {living.name, other.name}


def test_after_a_reboot_a_hundred_containers_of_the_former_boot_are_freed(
    node: Node, make_namespace: MakeNamespace
) -> None:
    """One container has started in this boot before its agent."""
    for number in range(100):
        body = call(f"old-{number}", node=node.agent.node, issued=issued(number + 1))
        assert node.service.http.post("/v1/cni/add", json=body).status_code == 200
    node.add("early", make_namespace("early").path)

    node.agent.start()

    eventually(lambda: node.held() == {"early"})
    node.looks()
    assert node.held() == {"early"}


def test_who_does_not_see_all_processes_calls_nothing_of_this_boot_dead() -> None:
    """An agent in a PID namespace of its own, as in a pod without hostPID."""
    code = """
import json
from node_agent.watching.dead import Held
from node_agent.watching.looking import look
from node_agent.watching.namespaces import own_device
rows = [
    Held(number, 1, 5, 5, boot, (own_device(), 1), "pods", f"c{number}", "eth0", "10.0.0.1")
    for number, boot in enumerate(["this", "former"])
]
seen = look(rows, "this")
print(json.dumps([[row.id for row in seen.dead], seen.unseen]))
"""
    before = ("unshare", "--pid", "--fork", "--mount-proc")

    told = subprocess.run([*before, sys.executable, "-c", code], capture_output=True, text=True, check=True)

    dead, unseen = json.loads(told.stdout)
    assert dead == [1]
    assert "PID namespace" in unseen


def veth_plugin(
    node: Node, scratch: Path, machine: Namespace, container: Namespace, container_id: str, **keys: Any
) -> MainPlugin:
    """`ipamd-veth` for a container of a node, with more keys in its network's configuration."""
    plugins = plugin_folder(scratch / "bin", DEBIAN_PLUGINS, node_plugin())
    put(plugins, "static")
    ipam = {
        "type": "ipamd-ipam",
        "endpoint": node.service.endpoint,
        "node": node.agent.node,
        "stateDir": str(node.agent.state),
    }
    network = {"cniVersion": "1.0.0", "name": "pods", "type": "ipamd-veth", "ipam": ipam, **keys}
    return MainPlugin(
        machine, plugins, network, {"CNI_CONTAINERID": container_id, "CNI_NETNS": str(container.path)}
    )


def test_what_lives_and_is_not_in_the_tables_is_adopted(
    node: Node, scratch: Path, make_namespace: MakeNamespace
) -> None:
    """The row is gone as in a database that was put back; the main plugin's link tells of the container."""
    machine, container = make_namespace("machine"), make_namespace("container")
    veth_plugin(node, scratch, machine, container, "web").add()
    [before] = node.service.allocations()
    node.service.http.delete(f"/v1/allocations/{before['id']}")
    assert node.held() == set()

    node.agent.machine = machine
    node.agent.start()

    eventually(lambda: node.held() == {"web"})
    [after] = node.service.allocations()
    assert after["address"] == before["address"]


def test_what_lives_is_adopted_with_its_prefix(
    node: Node, scratch: Path, make_namespace: MakeNamespace
) -> None:
    """No runtime keeps which prefix a container has: ipamd-ipam does."""
    machine, container = make_namespace("machine"), make_namespace("container")
    name = f"nesting-{machine.name}"
    plugin = veth_plugin(node, scratch, machine, container, name, args={"cni": {"prefix": 28}})
    plugin.add()
    before = {(row["address"], row["prefix_length"]) for row in node.service.allocations()}
    for row in node.service.allocations():
        node.service.http.delete(f"/v1/allocations/{row['id']}")
    assert node.held() == set()

    node.agent.machine = machine
    node.agent.start()

    eventually(lambda: node.held() == {name})
    after = {(row["address"], row["prefix_length"]) for row in node.service.allocations()}
    assert after == before
    assert [length for _, length in after if length] == [28]
    record = Path("/run/ipamd/prefixes") / f"pods-{name}-eth0"
    assert record.exists()
    assert plugin.call("DEL").code == 0
    assert not record.exists()
