"""Whatever step of ADD fails, and wherever the process is killed, nothing stays but what the living have."""

from pathlib import Path

import pytest

from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.beyond import answers, everything, wire
from tests.veth.executable import Document, MainPlugin
from tests.veth.injecting import Injecting
from tests.veth.ipam import ThirdParty

DUAL: Document = {
    "cniVersion": "1.0.0",
    "ips": [{"address": "10.5.0.7/24"}, {"address": "fd05::7/64"}],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}


@pytest.fixture(params=["routed", "bridge"])
def mode(request: pytest.FixtureRequest) -> Document:
    kinds: dict[str, Document] = {
        "routed": {},
        "bridge": {"mode": "bridge", "isGateway": True, "macspoofchk": True, "hairpinMode": True},
    }
    return {**kinds[request.param], "ipMasq": True}


@pytest.fixture(autouse=True)
def neighbour(
    plugin: MainPlugin, third_party: ThirdParty, node: Namespace, make_namespace: MakeNamespace
) -> Namespace:
    """A container that lives; it also made what a network makes once."""
    wire(node, make_namespace("beyond"))
    namespace = make_namespace("neighbour")
    third_party.answers("ADD", {**DUAL, "ips": [{"address": "10.5.0.8/24"}, {"address": "fd05::8/64"}]})
    plugin.add(CNI_CONTAINERID="neighbour", CNI_NETNS=str(namespace.path))
    third_party.answers("ADD", DUAL)
    return namespace


@pytest.fixture
def injecting(plugin: MainPlugin, scratch: Path, neighbour: Namespace) -> Injecting:
    return Injecting(plugin, scratch)


@pytest.mark.parametrize("call", ["sendto", "recvfrom", "setns", "socket"])
def test_a_step_that_fails_leaves_nothing(
    plugin: MainPlugin,
    injecting: Injecting,
    node: Namespace,
    container: Namespace,
    third_party: ThirdParty,
    call: str,
) -> None:
    before = everything(node), everything(container)
    injecting.at(call, "", 0)
    plugin.add()
    steps = injecting.counted(call)
    assert plugin.call("DEL").code == 0
    assert steps > 1

    for number in range(1, steps + 1):
        injecting.at(call, "error=ENOMEM", number)
        ended = plugin.call("ADD")
        injecting.at(call, "", 0)
        if ended.code != 0:
            assert ended.error["msg"], ended
        else:
            assert plugin.call("DEL").code == 0
        assert everything(node) == before[0], (number, ended)
        assert everything(container) == before[1], (number, ended)

    asked = third_party.calls
    assert asked.count("ADD") <= asked.count("DEL") + 1, "what was given was given back"


@pytest.mark.parametrize("call", ["sendto", "setns"])
def test_a_process_that_is_killed_leaves_nothing_that_del_does_not_take(
    plugin: MainPlugin,
    injecting: Injecting,
    node: Namespace,
    container: Namespace,
    neighbour: Namespace,
    call: str,
) -> None:
    before = everything(node), everything(container)
    injecting.at(call, "", 0)
    plugin.add()
    steps = injecting.counted(call)
    assert plugin.call("DEL").code == 0

    for number in range(1, steps + 1):
        injecting.at(call, "signal=KILL", number)
        killed = plugin.call("ADD").code != 0
        injecting.at(call, "", 0)
        assert killed or number > steps / 2, "it waits for the kernel once more or less often"
        assert plugin.call("DEL").code == 0
        assert everything(node) == before[0], number
        assert everything(container) == before[1], number
        plugin.add(CNI_CONTAINERID=f"again-{number}")
        for target in ("10.5.0.7", "fd05::7"):
            assert answers(neighbour, target), (number, target)
        assert plugin.call("DEL", CNI_CONTAINERID=f"again-{number}").code == 0
