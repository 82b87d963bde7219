"""DEL and GC take away what is theirs, all of it, and nothing of others."""

import time

import pytest

from netlink import conntrack
from netlink.connection import NETFILTER, Connection
from tests.network.kernel import connect
from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.beyond import answers, everything, shown, wire
from tests.veth.executable import Document, MainPlugin
from tests.veth.ipam import ThirdParty
from tests.waiting import eventually

POD, POD_SIX = bytes([10, 5, 0, 7]), bytes.fromhex("fd05" + 13 * "00" + "07")
SECONDS = 5


def answer(last: int) -> Document:
    return {
        "cniVersion": "1.0.0",
        "ips": [{"address": f"10.5.0.{last}/24"}, {"address": f"fd05::{last}/64"}],
        "routes": [{"dst": "0.0.0.0/0"}],
    }


@pytest.fixture(params=["routed", "bridge"])
def mode(request: pytest.FixtureRequest) -> Document:
    kinds: dict[str, Document] = {
        "routed": {},
        "bridge": {"mode": "bridge", "isGateway": True, "macspoofchk": True},
    }
    return {**kinds[request.param], "ipMasq": True}


@pytest.fixture(autouse=True)
def dual(third_party: ThirdParty, node: Namespace, make_namespace: MakeNamespace) -> None:
    wire(node, make_namespace("beyond"))
    third_party.answers("ADD", answer(7))


@pytest.fixture
def second(
    plugin: MainPlugin, third_party: ThirdParty, make_namespace: MakeNamespace, dual: None
) -> Namespace:
    """A second container in the same network, which lives on; it makes what a network needs once."""
    namespace = make_namespace("second")
    third_party.answers("ADD", answer(8))
    plugin.add(CNI_CONTAINERID="second", CNI_NETNS=str(namespace.path))
    third_party.answers("ADD", answer(7))
    return namespace


@pytest.mark.parametrize("netns", ["there", "empty", "gone"])
def test_del_leaves_nothing_with_and_without_the_namespace_and_twice(
    plugin: MainPlugin, node: Namespace, container: Namespace, second: Namespace, netns: str
) -> None:
    before = everything(node), everything(container)
    plugin.add()
    given = {"there": str(container.path), "empty": "", "gone": "/run/netns/nowhere"}[netns]

    for _ in range(2):
        ended = plugin.call("DEL", CNI_NETNS=given)
        assert (ended.code, ended.stdout) == (0, b""), ended

    assert (everything(node), everything(container)) == before
    assert answers(node, "10.5.0.8")


def test_a_late_del_of_an_old_container_takes_nothing_of_the_next(
    plugin: MainPlugin,
    node: Namespace,
    container: Namespace,
    second: Namespace,
    make_namespace: MakeNamespace,
) -> None:
    old = make_namespace("old")
    plugin.add(CNI_CONTAINERID="old", CNI_NETNS=str(old.path))
    assert plugin.call("DEL", CNI_CONTAINERID="old", CNI_NETNS=str(old.path)).code == 0
    plugin.add()

    for netns in (str(old.path), ""):
        assert plugin.call("DEL", CNI_CONTAINERID="old", CNI_NETNS=netns).code == 0

    for target in ("10.5.0.7", "fd05::7"):
        assert answers(node, target)


def test_the_del_after_an_add_that_found_the_name_taken_takes_nothing_of_the_other_network(
    plugin: MainPlugin, node: Namespace, container: Namespace, make_namespace: MakeNamespace
) -> None:
    plugin.add()
    elsewhere = str(make_namespace("elsewhere").path)
    other = plugin.config(name="others")

    error = plugin.call("ADD", other, CNI_NETNS=elsewhere).error
    assert plugin.call("DEL", other, CNI_NETNS=elsewhere).code == 0

    assert error["code"] == 4
    assert "pods/web/eth0" in error["msg"]
    assert answers(node, "10.5.0.7")


def test_gc_spares_what_it_is_told_and_other_networks(
    plugin: MainPlugin,
    third_party: ThirdParty,
    node: Namespace,
    second: Namespace,
    make_namespace: MakeNamespace,
) -> None:
    newest = plugin.config(cniVersion="1.1.0")
    third_party.answers("ADD", answer(9))
    other = make_namespace("other")
    others = plugin.config(name="others", ipMasq=False)
    plugin.add(others, CNI_CONTAINERID="other", CNI_NETNS=str(other.path))
    before = everything(node)
    third_party.answers("ADD", answer(7))
    plugin.add()
    living = [{"containerID": "second", "ifname": "eth0"}]

    assert plugin.call("GC", newest | {"cni.dev/valid-attachments": living}).code == 0

    assert everything(node) == before
    assert answers(node, "10.5.0.8")
    assert answers(node, "10.5.0.9")


def held(filters: Connection, one: bytes) -> int:
    told = [each for asked in conntrack.lists(one) for each in filters.each(asked)]
    return sum(conntrack.concerns(each, one) for each in told)


def test_connections_of_an_address_do_not_pass_to_its_next_holder(
    plugin: MainPlugin, node: Namespace, container: Namespace, second: Namespace
) -> None:
    plugin.add()
    for target in ("10.5.0.7", "fd05::7", "10.5.0.8"):
        assert answers(node, target)
    filters = connect(node, NETFILTER)
    assert held(filters, POD) == held(filters, POD_SIX) == 1
    kept = held(filters, bytes([10, 5, 0, 8]))

    assert plugin.call("DEL").code == 0

    end = time.monotonic() + SECONDS  # they go after the answer
    while held(filters, POD) or held(filters, POD_SIX):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert held(filters, bytes([10, 5, 0, 8])) == kept
    filters.close()


SEND_TO_MANY_PORTS = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for port in range(20000, 30000):
        sender.sendto(b"", ("10.5.0.7", port))
"""


def test_ten_thousand_connections_of_an_address_go_too(plugin: MainPlugin, node: Namespace) -> None:
    plugin.add()
    node.run("python3", "-c", SEND_TO_MANY_PORTS)
    filters = connect(node, NETFILTER)
    assert held(filters, POD) > 9_000

    assert plugin.call("DEL").code == 0

    eventually(lambda: held(filters, POD) == 0)
    filters.close()


def test_a_mac_that_is_not_the_containers_is_dropped_and_the_check_goes_with_the_container(
    plugin: MainPlugin, node: Namespace, container: Namespace
) -> None:
    if plugin.network.get("mode") != "bridge":
        plugin.network |= {"mode": "bridge", "isGateway": True, "macspoofchk": True}
    plugin.add()
    assert answers(container, "10.5.0.1")

    container.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:66")
    assert not answers(container, "10.5.0.1", within=1)

    assert plugin.call("DEL").code == 0
    plugin.add()
    assert answers(container, "10.5.0.1")
    [eth0] = shown(container, "link", "show", "eth0")
    assert eth0["address"] != "02:00:00:00:00:66"
