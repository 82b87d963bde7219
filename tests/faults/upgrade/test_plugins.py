"""The plugin of one version with the service of another, in both ways: all that a node asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cni.executable import Document, Finished, Plugin
from tests.faults.proxy import Proxy
from tests.faults.upgrade.conftest import POOLS
from tests.faults.upgrade.version import BEFORE, FIRST, Version
from tests.service import IpamdProcess

TAKEN = 101


PAIRS = [
    ("first", "cpython", "now"),
    ("before", "cpython", "now"),
    ("now", "node", "first"),
    ("now", "node", "before"),
    ("now", "cpython", "before"),
]


class Node:
    """A node with one version's plugin, a proxy before the other version's service, and that service."""

    def __init__(self, folder: Path, command: Path, service: IpamdProcess) -> None:
        self.service = service
        self.name = folder.name
        self.proxy = Proxy(service.port)
        self.plugin = Plugin(
            (str(command),), folder / "state", self.proxy.endpoint, more={"NODE_NAME": self.name}
        )

    def call(self, verb: str, config: Document | None = None, container: str = "c1", **more: Any) -> Finished:
        given = config or self.plugin.config(pools=list(POOLS))
        return self.plugin.call(verb, given, CNI_CONTAINERID=container, **more)

    def config(self, **more: Any) -> Document:
        return {**self.plugin.config(pools=list(POOLS)), **more}

    def held(self) -> set[str]:
        """The containers of this node that hold addresses."""
        return {item["container_id"] for item in self.service.allocations(node=self.name)}


@contextmanager
def node_of(folder: Path, command: Path, service: IpamdProcess) -> Iterator[Node]:
    """A node that holds nothing afterwards."""
    node = Node(folder, command, service)
    try:
        yield node
    finally:
        node.proxy.close()
        for held in service.allocations(node=node.name):
            assert service.http.delete(f"/v1/allocations/{held['id']}").is_success


@pytest.fixture(params=PAIRS, ids=[f"{plugin} {kind} at {service}" for plugin, kind, service in PAIRS])
def node(request: pytest.FixtureRequest, scratch: Path, services: dict[str, IpamdProcess]) -> Iterator[Node]:
    name, kind, service = request.param
    version: Version = request.getfixturevalue(name)
    with node_of(scratch, version.plugins[kind], services[service]) as made:
        yield made


def test_a_containers_life(node: Node) -> None:
    added = node.call("ADD")
    again = node.call("ADD")
    checked = node.call("CHECK", node.config(prevResult=added.json))
    held = node.held()
    deleted = [node.call("DEL").code for _ in range(2)]

    assert [done.code for done in (added, again, checked)] == [0, 0, 0]
    assert added.json["ips"] == again.json["ips"]
    assert len(added.json["ips"]) == len(added.json["routes"]) == 2
    assert (held, deleted, node.held()) == ({"c1"}, [0, 0], set())


def test_an_address_that_is_asked_for_and_one_that_is_taken(node: Node) -> None:
    wish = node.config()
    wish["ipam"]["pools"] = ["pods-v4"]
    wish["args"] = {"cni": {"ips": ["10.0.0.77"]}}

    asked = node.call("ADD", wish)
    refused = node.call("ADD", wish, container="c2")

    assert asked.json["ips"][0]["address"] == "10.0.0.77/24"
    assert refused.error["code"] == TAKEN
    assert "c1" in refused.error["msg"] + refused.error.get("details", "")


def test_check_finds_that_a_container_holds_nothing(node: Node) -> None:
    told = node.call("ADD").json
    assert node.call("DEL").code == 0

    assert node.call("CHECK", node.config(prevResult=told)).error["msg"]


def test_status_asks_the_service(node: Node) -> None:
    asking = node.config(cniVersion="1.1.0")
    asking["ipam"]["status"] = "capacity"
    nothing = {"CNI_NETNS": "", "CNI_IFNAME": "", "CNI_ARGS": ""}

    assert node.call("STATUS", asking, container="", **nothing).code == 0


def test_gc_frees_what_is_not_in_its_list(node: Node) -> None:
    assert [node.call("ADD", container=name).code for name in ("c1", "c2")] == [0, 0]
    valid = [{"containerID": "c1", "ifname": "eth0"}]

    done = node.call(
        "GC", {**node.config(cniVersion="1.1.0"), "cni.dev/valid-attachments": valid}, container=""
    )

    assert done.code == 0
    assert node.held() == {"c1"}


def test_what_waits_in_the_spool_is_delivered(node: Node) -> None:
    assert node.call("ADD").code == 0
    node.proxy.lose("del")
    assert node.call("DEL").code == 0
    waiting, held = len(node.plugin.waiting()), node.held()
    node.proxy.let_through("del")

    assert node.call("ADD", container="c2").code == 0

    assert (waiting, held) == (1, {"c1"})
    assert node.plugin.waiting() + node.plugin.set_aside() == []
    assert node.held() == {"c2"}


def test_an_add_of_which_the_answer_was_lost_is_undone(node: Node) -> None:
    node.proxy.lose_answers("add")
    node.proxy.lose("del")
    asked = node.config()
    asked["ipam"]["timeout"] = 0.5
    assert node.call("ADD", asked).code == 1
    waiting, held = [entry["request"]["undo"] for entry in node.plugin.waiting()], node.held()
    for verb in ("add", "del"):
        node.proxy.let_through(verb)

    assert node.call("ADD", container="c2").code == 0

    assert (waiting, held) == ([True], {"c1"})
    assert node.plugin.waiting() + node.plugin.set_aside() == []
    assert node.held() == {"c2"}


@pytest.mark.parametrize("way", ["up", "back"])
def test_a_spool_is_delivered_by_the_plugin_that_takes_the_others_place(
    way: str, earlier: Version, now: Version, scratch: Path, services: dict[str, IpamdProcess]
) -> None:
    spooling, delivering = (earlier, now) if way == "up" else (now, earlier)
    with node_of(scratch, spooling.plugin, services["now"]) as node:
        assert node.call("ADD").code == 0
        node.proxy.lose("del")
        assert node.call("DEL").code == 0
        assert len(node.plugin.waiting()) == 1
        node.proxy.let_through("del")

        node.plugin.command = (str(delivering.plugin),)
        assert node.call("ADD", container="c2").code == 0

        assert node.plugin.waiting() + node.plugin.set_aside() == []
        assert node.held() == {"c2"}


def test_each_service_is_of_the_version_that_is_meant(services: dict[str, IpamdProcess]) -> None:
    said = {name: each.http.get("/openapi.json").json()["info"]["version"] for name, each in services.items()}

    assert (said["first"], said["before"]) == (FIRST, BEFORE)
    assert said["now"] not in (FIRST, BEFORE)
