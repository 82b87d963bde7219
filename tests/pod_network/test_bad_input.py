"""What cannot be is refused in a sentence that names both sides, and the kernel stays as it was."""

import json
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from netlink import message
from netlink.connection import Connection
from netlink.message import ERROR, Request
from node_agent.pod_network import device
from node_agent.pod_network.desired import compute
from tests.api.access.conftest import Caller, token_file
from tests.network.namespace import namespaces
from tests.pod_network.cluster import Fabric, Node, whole
from tests.pod_network.conftest import create_pools
from tests.rules.pods import network, peer
from tests.service import IpamdProcess, scratch_folder
from tests.waiting import eventually

OTHER_MACHINE: Final = """
echo another-machine > /run/ipamd/machine
mount --bind /run/ipamd/machine /etc/machine-id
[ ! -e /sys/class/dmi/id/product_uuid ] || mount -t tmpfs tmpfs /sys/class/dmi/id
"""


@pytest.fixture(scope="module")
def lasting_fabric(lasting_ipamd: IpamdProcess) -> Iterator[Fabric]:
    """A node that lives, node-1 at 192.0.2.1, and room for others that come to it."""
    create_pools(lasting_ipamd)
    with scratch_folder() as folder, namespaces(folder.name) as make:
        fabric = Fabric(make, folder, lasting_ipamd.endpoint)
        one = fabric.node("node-1", fabric.switch("switch-1", 0), "192.0.2.1")
        one.start()
        whole([one])
        yield fabric
        fabric.end()


def of_the_same_name(node: Node) -> None:
    file = node.folder / "node.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"node": "node-1"}))
    node.run("sh", "-ec", OTHER_MACHINE)


def beside_services(node: Node) -> None:
    node.environment = {"KUBERNETES_SERVICE_HOST": "10.64.3.1"}


def as_it_is(node: Node) -> None:
    del node


NEWCOMERS: Final[dict[str, tuple[str, Callable[[Node], None], tuple[str, ...]]]] = {
    "the name of another": ("198.51.100.3", of_the_same_name, ("node-1", "another-machine")),
    "the address of another": ("192.0.2.1", as_it_is, ("192.0.2.1", "node-1")),
    "a network that a pool overlaps": ("10.64.7.7", as_it_is, ("10.64.7.7", "10.64.0.0/16")),
    "Services that a pool overlaps": ("198.51.100.5", beside_services, ("10.64.3.1", "10.64.0.0/16")),
}


@pytest.mark.parametrize("name", NEWCOMERS)
def test_a_node_that_contradicts_what_is_there_changes_nothing(lasting_fabric: Fabric, name: str) -> None:
    address, prepare, sides = NEWCOMERS[name]
    number = list(NEWCOMERS).index(name) + 1
    switch = lasting_fabric.switch(f"elsewhere-{number}", number)
    newcomer = lasting_fabric.node(f"new-{number}", switch, address)
    prepare(newcomer)
    before = kernel(newcomer)

    newcomer.start()
    eventually(lambda: all(side in wrong(newcomer) for side in sides))

    assert newcomer.status().returncode == 1
    assert kernel(newcomer) == before
    assert newcomer.run("sh", "-c", "ls /run/ipamd/network 2>/dev/null || true") == ""
    newcomer.stop()


def test_a_node_with_the_token_of_another_changes_nothing(fabric: Fabric, service: IpamdProcess) -> None:
    admin = Caller(service, Caller(service, None).token_for("admin", name="ann")[1])
    token = admin.token_for("node", cluster="default", node="node-1")[1]
    node = fabric.node("node-2", fabric.switch("switch", 0), "192.0.2.2")
    (node.folder / "state").mkdir()
    token_file(node.folder / "state", token, "token")
    before = kernel(node)

    node.start()
    eventually(lambda: all(side in wrong(node) for side in ("node-1", "node-2")))

    assert node.status().returncode == 1
    assert kernel(node) == before
    assert admin.get("/v1/network").json()["nodes"] == []


def wrong(node: Node) -> str:
    """What `status` says is wrong with the pod network."""
    return "".join(line for line in node.status().stdout.splitlines() if "wrong:" in line)


def kernel(node: Node) -> list[str]:
    """Routes, links and filters."""
    asked = (
        ("ip", "route", "show", "table", "all"),
        ("ip", "-6", "route", "show", "table", "all"),
        ("ip", "-o", "link"),
        ("nft", "list", "ruleset"),
    )
    return [node.run(*command) for command in asked]


class KernelWithoutVxlan:
    """A socket to a kernel that has no device, and can make none of this kind."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:
        del level, option, value

    def send(self, data: bytes) -> int:
        for asked in message.decode(data):
            number = 95 if asked.kind == 16 else 19
            refusal = (0x100000000 - number).to_bytes(4, "little")
            self._waiting.append(message.encode(Request(ERROR, 0, refusal), asked.sequence))
        return len(data)

    def recv(self, size: int) -> bytes:
        del size
        return self._waiting.pop(0)

    def fileno(self) -> int:
        raise AssertionError("nobody waits for this kernel")

    def close(self) -> None:
        self._waiting = []


def test_a_kernel_without_vxlan_is_named_with_what_to_do() -> None:
    wanted = compute(network(peer(1)), "node-1", frozenset()).tunnel
    assert wanted is not None

    with pytest.raises(
        device.Unmade, match=r"this kernel has no vxlan.*install the package.*or set mode direct"
    ):
        device.ensure(Connection(KernelWithoutVxlan()), wanted)
