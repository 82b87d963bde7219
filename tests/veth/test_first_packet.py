"""What ADD promises holds with the first packet, every time: in both modes, families and directions."""

import itertools

import pytest

from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.beyond import BEYOND, NODE, answers
from tests.veth.executable import Document, MainPlugin
from tests.veth.ipam import ThirdParty

pytestmark = pytest.mark.faults

ROUNDS = 40
OWN, OTHER = ("10.5.0.7", "fd05::7"), ("10.5.0.8", "fd05::8")


def answer(own: tuple[str, str]) -> Document:
    return {
        "cniVersion": "1.0.0",
        "ips": [{"address": f"{own[0]}/24"}, {"address": f"{own[1]}/64"}],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    }


@pytest.fixture(params=["routed", "bridge"])
def mode(request: pytest.FixtureRequest) -> Document:
    kinds: dict[str, Document] = {"routed": {}, "bridge": {"mode": "bridge", "isDefaultGateway": True}}
    return {**kinds[request.param], "ipMasq": True}


def test_the_first_packet_after_each_add_is_answered(
    plugin: MainPlugin,
    third_party: ThirdParty,
    node: Namespace,
    container: Namespace,
    beyond: Namespace,
    make_namespace: MakeNamespace,
) -> None:
    other = make_namespace("other")
    third_party.answers("ADD", answer(OTHER))
    plugin.add(CNI_CONTAINERID="other", CNI_NETNS=str(other.path))
    third_party.answers("ADD", answer(OWN))
    packets = [
        (asking, target)
        for asking, targets in ((container, (*NODE, *BEYOND, *OTHER)), (node, OWN), (other, OWN))
        for target in targets
    ]

    silent = []
    for number, (asking, target) in zip(range(ROUNDS), itertools.cycle(packets), strict=False):
        plugin.add(CNI_CONTAINERID=f"web-{number}")
        if not answers(asking, target):
            silent.append((number, asking.name, target))
        assert plugin.call("DEL", CNI_CONTAINERID=f"web-{number}").code == 0

    assert silent == []
