"""Which containers the agent says are dead, with real network namespaces, and what ipamd frees by that."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agent.process import AgentProcess
from tests.api.plugin_call import call, issued
from tests.network.conftest import DEBIAN_PLUGINS, plugin_folder
from tests.network.namespace import MakeNamespace, run
from tests.node_executable import node_plugin
from tests.service import IpamdProcess, running_service
from tests.veth.executable import MainPlugin, put
from tests.waiting import eventually

LOOKS: str = "1"
"""Seconds between two looks, and between two reports that free an address."""


class Node:
    """A node with an agent, whose containers are namespaces and processes."""

    def __init__(self, service: IpamdProcess, agent: AgentProcess, stack: ExitStack) -> None:
        self.service = service
        self.agent = agent
        self.plugin = agent.plugin(endpoints=[service.endpoint])  # whether the agent runs or not
        self._stack = stack

    def add(self, container: str, netns: Path | str) -> str:
        """A container begins; its address."""
        ended = self.plugin.call("ADD", CNI_CONTAINERID=container, CNI_NETNS=str(netns))
        assert ended.code == 0, ended
        address: str = ended.json["ips"][0]["address"]
        return address.partition("/")[0]

    def process(self, *before: str, code: str = "pass") -> subprocess.Popen[bytes]:
        """A process that does something, says so, and lives on."""
        done = f"import os, time; {code}; print('done', flush=True); time.sleep(600)"
        python = [sys.executable, "-I", "-S", "-c", done]
        process = subprocess.Popen([*before, *python], stdout=subprocess.PIPE)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    def unmounts(self, file: Path) -> None:
        """Unmount a file at the end, if it is mounted still."""
        self._stack.callback(subprocess.run, ["umount", str(file)], capture_output=True, check=False)

    def held(self) -> set[str]:
        return {item["container_id"] for item in self.service.allocations()}

    def looks(self, times: int = 4) -> None:
        """Wait until the agent has told of so many further looks: two of them free what is dead."""
        first = self.told()
        eventually(lambda: self.told() >= first + times)

    def told(self) -> int:
        found: int = self.agent.ask("GET", "/status").json()["containers"]["looks"]
        return found


@pytest.fixture
def node(scratch: Path) -> Iterator[Node]:
    with ExitStack() as stack:
        service = stack.enter_context(running_service(None, "--leak-grace", LOOKS))
        service.create_pool("pods", "10.0.0.0/16", cooldown=0)
        agent = AgentProcess(scratch, service.endpoint)
        agent.options = ("--look-every", LOOKS)
        stack.callback(agent.kill)
        yield Node(service, agent, stack)


def test_a_container_without_a_namespace_is_freed_and_the_others_live(
    node: Node, make_namespace: MakeNamespace
) -> None:
    """A runtime that never sends DEL."""
    node.agent.start()
    for name in ("a", "b", "c"):
        node.add(name, make_namespace(name).path)
    doomed = make_namespace("doomed")
    node.add("doomed", doomed.path)

    run("umount", str(doomed.path))

    eventually(lambda: node.held() == {"a", "b", "c"})
    eventually(lambda: "3 of containers, 0 of dead ones" in node.agent.status().out)


class Kept:
    """Namespaces that are each kept in one way alone."""

    KINDS = ("by-a-process", "by-a-stopped-process", "by-a-mount-elsewhere", "by-an-open-file", "by-a-mount")
    """The mount comes last: a mount namespace that is made later would have a copy of it."""

    def __init__(self, node: Node, folder: Path) -> None:
        self._node = node
        self._folder = folder
        self._made: list[tuple[str, subprocess.Popen[bytes], Path, subprocess.Popen[bytes] | None]] = []

    def make(self, kind: str) -> str:
        """A namespace in which a process is, and what will keep it."""
        inside = self._node.process("unshare", "--net")
        netns = f"/proc/{inside.pid}/ns/net"
        file = self._folder / f"{kind}-{inside.pid}"
        file.touch()
        keeper = None
        if kind == "by-a-mount":
            run("mount", "--bind", netns, str(file))
            self._node.unmounts(file)
        elif kind == "by-a-mount-elsewhere":
            mount = f"os.system('mount --bind {netns} {file}')"
            keeper = self._node.process("unshare", "--mount", code=mount)
        elif kind == "by-an-open-file":
            keeper = self._node.process(code=f"kept = open({netns!r})")
        self._made.append((kind, inside, file, keeper))
        return netns

    def let_go_of_processes(self) -> None:
        """Leave each namespace only what is to keep it."""
        for kind, inside, _, _ in self._made:
            if kind == "by-a-stopped-process":
                os.kill(inside.pid, signal.SIGSTOP)
            elif kind != "by-a-process":
                end(inside)

    def let_go(self) -> None:
        """Keep none."""
        for kind, inside, file, keeper in self._made:
            end(inside)
            if kind == "by-a-mount":
                run("umount", str(file))
            if keeper is not None:
                end(keeper)


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


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
    eventually(lambda: node.held() == living, 120)
    node.looks()
    assert node.held() == living


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
    run("umount", str(doomed.path))

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


def test_what_lives_and_is_not_in_the_tables_is_adopted(
    node: Node, scratch: Path, make_namespace: MakeNamespace
) -> None:
    """The row is gone as in a database that was put back; the main plugin's link tells of the container."""
    machine, container = make_namespace("machine"), make_namespace("container")
    plugins = plugin_folder(scratch / "bin", DEBIAN_PLUGINS, node_plugin())
    put(plugins, "static")
    ipam = {
        "type": "ipamd-ipam",
        "endpoint": node.service.endpoint,
        "node": node.agent.node,
        "stateDir": str(node.agent.state),
    }
    network = {"cniVersion": "1.0.0", "name": "pods", "type": "ipamd-veth", "ipam": ipam}
    given = {"CNI_CONTAINERID": "web", "CNI_NETNS": str(container.path)}
    MainPlugin(machine, plugins, network, given).add()
    [before] = node.service.allocations()
    node.service.http.delete(f"/v1/allocations/{before['id']}")
    assert node.held() == set()

    node.agent.machine = machine
    node.agent.start()

    eventually(lambda: node.held() == {"web"})
    [after] = node.service.allocations()
    assert after["address"] == before["address"]
