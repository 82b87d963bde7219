"""The drills of docs/drills.md with real agents, plugins and namespaces: what they print is what happens."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.agent.drills import Drill
from tests.cni.executable import Finished, Plugin
from tests.faults.living_nodes import LivingNode, living_nodes
from tests.faults.replicas.relay import relay
from tests.network.namespace import MakeNamespace, run
from tests.network.spare_inodes import SpareInodes, spare_inodes
from tests.node_executable import node_plugin
from tests.postgres import Postgres
from tests.service import IpamdProcess, running_service, scratch_folder
from tests.waiting import eventually

pytestmark = pytest.mark.faults

GRACE = "2"


@dataclass
class Stage:
    """A service, and two nodes with three pods each. The second one's way to ipamd can be cut."""

    service: IpamdProcess
    first: LivingNode
    second: LivingNode
    way: Path
    spare: SpareInodes

    def cut(self) -> None:
        self.way.unlink()

    def mend(self) -> None:
        self.way.symlink_to(self.service.socket)

    def held(self, node: LivingNode) -> set[str]:
        return {row["container_id"] for row in self.service.allocations(node=node.name)}

    def dies(self, node: LivingNode, container: str) -> None:
        """A container is gone, and its runtime says nothing."""
        self.spare.free()
        run("umount", str(node.namespaces[container].path))

    def time_passes(self, node: LivingNode, seconds: int) -> None:
        """ipamd has heard nothing of a node for so long."""
        self.service.stop()
        with closing(sqlite3.connect(self.service.database)) as database, database:
            database.execute(
                "UPDATE contact SET heard = heard - ? WHERE node = ?", (seconds * 10**6, node.name)
            )
        self.service.start()


@pytest.fixture
def stage(scratch: Path, make_namespace: MakeNamespace) -> Iterator[Stage]:
    with ExitStack() as stack:
        spare = stack.enter_context(spare_inodes())
        service = stack.enter_context(running_service(scratch, "--leak-grace", GRACE))
        service.create_pool("pods", "10.42.0.0/24", cooldown=0)
        way = scratch / "way" / "ipamd.sock"
        way.parent.mkdir()
        way.symlink_to(service.socket)
        endpoints = {"worker-1": service.endpoint, "worker-2": f"unix://{way}"}
        nodes = stack.enter_context(living_nodes(scratch, make_namespace, **endpoints))
        for node, short in zip(nodes, ("w1", "w2"), strict=True):
            for number in (1, 2, 3):
                node.starts(f"{short}-{number}", "pods")
            node.looks()
        first, second = nodes
        yield Stage(service, first, second, way, spare)


def test_a_node_is_lost(stage: Stage) -> None:
    drill = Drill("A node is lost", stage.service)
    stage.second.agent.kill()
    stage.time_passes(stage.second, 700)
    stage.first.looks()

    for _ in range(6):
        drill.goes_on()
    given = stage.service.http.post("/v1/allocations", json={"owner": "vm-1", "address": "10.42.0.5"})
    assert given.is_success, given.text
    stage.second.agent.start()
    drill.agent = stage.second.agent
    eventually(lambda: stage.held(stage.second) == {"w2-2", "w2-3"})
    eventually(lambda: "2 of containers" in stage.second.agent.status().out)
    drill.goes_on()
    drill.ends()


def test_a_machine_is_cloned(stage: Stage, scratch: Path, make_namespace: MakeNamespace) -> None:
    drill = Drill("A machine is cloned", stage.service)
    clone = LivingNode(
        "worker-1", scratch / "clone", stage.service.endpoint, lambda _: make_namespace("clone")
    )
    clone.agent.run = scratch / "clone" / "run"
    clone.agent.boot_id = scratch / "clone" / "boot_id"
    clone.agent.boot_id.write_text(f"{uuid4()}\n")
    (scratch / "clone" / "run").mkdir()
    try:
        clone.agent.start()
        stage.service.logged("outcome=refused")
        for _ in range(2):
            drill.goes_on()
        drill.ends()
        stage.first.looks()
        assert stage.held(stage.first) == {"w1-1", "w1-2", "w1-3"}
    finally:
        clone.agent.kill()


def test_an_agent_says_that_everything_is_dead(stage: Stage) -> None:
    drill = Drill("An agent says that everything is dead", stage.service)
    for container in ("w1-1", "w1-2", "w1-3"):
        stage.dies(stage.first, container)
    stage.service.logged("waiting=3")
    assert stage.held(stage.first) == {"w1-1", "w1-2", "w1-3"}

    for _ in range(3):
        drill.goes_on()
    drill.ends()


@pytest.mark.parametrize("somebody_says_so", [True, False])
def test_the_database_is_lost(stage: Stage, somebody_says_so: bool) -> None:
    title = (
        "The database is lost, and a backup put back" if somebody_says_so else "Nobody says --after-restore"
    )
    drill = Drill(title, stage.service)
    service, node = stage.service, stage.first
    node.starts("web-1", "pods")
    for _ in range(2):  # the first may have begun before
        node.looks()
    with (
        closing(sqlite3.connect(service.database)) as source,
        closing(sqlite3.connect(service.folder / "backup-ipamd.sqlite")) as target,
    ):
        source.backup(target)
    node.starts("web-2", "pods")
    for _ in range(2):
        node.looks()
    stage.second.agent.kill()
    node.agent.kill()

    service.stop()
    drill.goes_on()
    options = service.options
    if somebody_says_so:
        drill.until("ipamd serve --after-restore")
        service.options = (*options, "--after-restore")
    service.start()
    service.options = options
    if somebody_says_so:
        drill.goes_on()
        drill.answers(node.tries("web-3", "pods").stdout.decode())
    node.agent.start()
    eventually(lambda: "web-2" in stage.held(node))
    for _ in range(4 if somebody_says_so else 3):
        drill.goes_on()
    drill.ends()


def test_a_network_is_cut(stage: Stage) -> None:
    drill = Drill("A network is cut", stage.service)
    node = stage.second
    stage.cut()
    stage.first.starts("w1-4", "pods")
    assert node.ends("w2-1", "pods").code == 0
    stage.dies(node, "w2-2")
    drill.answers(node.tries("w2-4", "pods").stdout.decode())
    drill.goes_on()

    stage.mend()
    node.starts("w2-5", "pods")
    eventually(lambda: stage.held(node) == {"w2-3", "w2-5"})
    for _ in range(3):
        drill.goes_on()
    drill.ends()


def test_postgresql_is_cut_off(postgres: Postgres) -> None:
    with ExitStack() as stack:
        database = stack.enter_context(postgres.migrated())
        way = stack.enter_context(relay(postgres.folder))
        url = f"{way.url(database)}?connect_timeout=2"
        first = stack.enter_context(running_service(database_url=url))
        second = stack.enter_context(running_service(database_url=postgres.url(database)))
        first.create_pool("pods", "10.42.0.0/24", cooldown=0)
        worker_1 = Caller(stack.enter_context(scratch_folder()), "worker-1", first, second)
        worker_2 = Caller(stack.enter_context(scratch_folder()), "worker-2", first)
        drill = Drill("PostgreSQL is cut off", second, ipamd_1=first, ipamd_2=second)
        for caller, pod in ((worker_1, "w1-1"), (worker_2, "w2-1"), (worker_2, "w2-2")):
            assert caller("ADD", pod).code == 0

        way.cut()
        eventually(lambda: "cannot be reached" in first.http.get("/readyz").text)
        for _ in range(2):
            drill.goes_on()
        assert worker_1("ADD", "w1-2").code == 0
        drill.answers(worker_2("ADD", "w2-3").stdout.decode())
        assert worker_2("DEL", "w2-1").code == 0
        drill.goes_on()

        way.mend()
        drill.goes_on()
        assert worker_2("ADD", "w2-3").code == 0
        for _ in range(2):
            drill.goes_on()
        drill.ends()


class Caller:
    """The plugin of a node that knows some of the replicas."""

    def __init__(self, state: Path, node: str, *replicas: IpamdProcess) -> None:
        endpoints = [replica.tcp_endpoint for replica in replicas]
        self._plugin = Plugin((str(node_plugin()),), state, endpoints, more={"NODE_NAME": node})

    def __call__(self, verb: str, pod: str) -> Finished:
        named = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={pod}"
        config = self._plugin.config(pools=["pods"], timeout=3)
        return self._plugin.call(verb, config, CNI_CONTAINERID=pod, CNI_ARGS=named)


def test_ipamd_is_away(stage: Stage) -> None:
    drill = Drill("ipamd is away", stage.service)
    node = stage.first
    stage.service.kill()
    assert node.ends("w1-1", "pods").code == 0
    drill.answers(node.tries("w1-4", "pods").stdout.decode())

    stage.service.start()
    node.starts("w1-5", "pods")
    eventually(lambda: stage.held(node) == {"w1-2", "w1-3", "w1-5"})
    drill.goes_on()
    drill.ends()


def test_an_agent_is_away_for_a_week(stage: Stage) -> None:
    drill = Drill("An agent is away for a week", stage.service)
    node = stage.first
    node.agent.kill()
    stage.dies(node, "w1-1")
    stage.time_passes(node, 8 * 86400)
    drill.goes_on()

    node.agent.start()
    eventually(lambda: stage.held(node) == {"w1-2", "w1-3"})
    for _ in range(2):
        drill.goes_on()
    drill.ends()
