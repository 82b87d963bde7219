"""The very first packets of a pod arrive, both ways, though its block is new, or was another node's."""

import signal
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import Final

import pytest

from tests.conftest import TIMES
from tests.pod_network.cluster import Document, Fabric, Node, Pod, network_of, whole
from tests.pod_network.conftest import Ipam, create_pools
from tests.service import IpamdProcess
from tests.waiting import eventually

LONG: Final = TIMES > 1
PEERS, TURNS, BLOCKS = (31, 10, 4) if LONG else (3, 2, 1)
"""How many other nodes have a pod, how often a block changes hands, how many blocks are used up."""

FEW: Final = {
    "subnets": ("10.64.0.0/21", "fd00:64::/117") if LONG else ("10.64.0.0/24", "fd00:64::/120"),
    "cooldown": 0,
}
"""As many blocks as there are nodes at a time, so that who joins takes the one of who left."""

SMALL: Final = {"block_sizes": (27, 123)}
SIZE: Final = 32
SPARE: Final = 8
"""With so many addresses left of a block the next is carved."""

TINY: Final = {"block_sizes": (29, 125)}

SECONDS: Final = 60


@pytest.fixture
def service(ipamd_process: IpamdProcess, request: pytest.FixtureRequest) -> IpamdProcess:
    """The service with pools of such a kind."""
    create_pools(ipamd_process, **request.param)
    return ipamd_process


@pytest.fixture
def guests(fabric: Fabric) -> list[Node]:
    """Two nodes on a switch, without an agent."""
    near = fabric.switch("near", 0)
    return [fabric.node(f"guest-{number}", near, f"192.0.2.{number}") for number in (1, 2)]


@pytest.fixture
def pods(fabric: Fabric, guests: list[Node], ipam: Ipam) -> list[Pod]:
    """A pod on each of the other nodes, which are on the guests' switch and behind the router in turn."""
    del guests  # their switch is there
    places = [(fabric.switches[0], "192.0.2"), (fabric.switch("far", 1), "198.51.100")]
    nodes = []
    for number in range(PEERS):
        switch, network = places[number % 2]
        nodes.append(fabric.node(f"node-{number}", switch, f"{network}.{100 + number}"))
    for node in nodes:
        node.start()
    whole(nodes)
    return [fabric.pod(f"pod-{node.name}", node, ipam) for node in nodes]


@pytest.mark.faults
@pytest.mark.parametrize("service", [FEW], indirect=True)
def test_of_a_pod_on_a_node_that_joined_with_the_block_of_another(
    fabric: Fabric, guests: list[Node], pods: list[Pod], service: IpamdProcess, ipam: Ipam
) -> None:
    made = [fabric.unborn_pod(f"pod-{guest.name}", guest, ipam) for guest in guests]
    former: set[str] = set()
    for turn in range(TURNS + 1):
        guest, pod = guests[turn % 2], made[turn % 2]
        guest.start()
        pod.add_as_soon_as_it_may()
        blocks = set(announced(service, guest.name)["blocks"])

        assert not former or blocks == former
        assert lost(pod, pods) == [], guest.log.read_text()[-3000:]

        assert pod.call("DEL") == {}
        guest.stop()
        guest.run("rm", "-r", "/run/ipamd/network")  # it will come with another boot
        assert service.http.delete(f"/v1/nodes/default/{guest.name}").is_success
        former = blocks


@pytest.mark.faults
@pytest.mark.parametrize("service", [SMALL], indirect=True)
def test_of_a_pod_in_a_block_that_is_new(
    fabric: Fabric, guests: list[Node], pods: list[Pod], ipam: Ipam
) -> None:
    """Most of them get what the node holds in advance; its blocks are announced no later for that."""
    guest = guests[0]
    guest.start()
    eventually(lambda: guest.is_whole(PEERS), SECONDS)
    made = [
        fabric.unborn_pod(f"pod-{number}", guest, lambda node: by_agent(node, ipam))
        for number in range(BLOCKS * SIZE)
    ]
    for number, pod in enumerate(made):
        pod.add()
        if number == 0:
            eventually(guest.holds_addresses, SECONDS)
        if number % SIZE > SIZE - 2 * SPARE:
            assert lost(pod, pods) == [], guest.log.read_text()[-3000:]
    assert len({block_of(pod, 27) for pod in made}) == BLOCKS + 1


@pytest.mark.parametrize("service", [TINY], indirect=True)
@pytest.mark.parametrize("most_seats", [0, 64])
def test_of_a_pod_in_a_block_of_which_a_peer_hears_late(
    fabric: Fabric, ipam: Ipam, service: IpamdProcess, most_seats: int
) -> None:
    """More pods begin at once than the node's block has room for, while the agent of a peer stands still."""
    guest, peer = (
        fabric.node(name, fabric.switch(f"switch-{number}", number), f"{network_of(number)}.1")
        for number, name in enumerate(("guest", "peer"))
    )
    guest.set_most_seats(most_seats)
    for node in (guest, peer):
        node.start()
    whole([guest, peer])
    far = fabric.pod("far", peer, ipam)
    made = [
        fabric.unborn_pod(f"pod-{number}", guest, lambda node: by_agent(node, ipam)) for number in range(10)
    ]
    made[0].add()
    if most_seats:
        eventually(guest.holds_addresses, SECONDS)
    blocks = set(announced(service, guest.name)["blocks"])

    peer.signal(signal.SIGSTOP)
    with ThreadPoolExecutor(len(made)) as threads:
        waiting = [threads.submit(begins, pod, far) for pod in made[1:]]
        eventually(lambda: len(set(announced(service, guest.name)["blocks"]) - blocks) > 1, SECONDS)
        peer.signal(signal.SIGCONT)
        assert [each.result() for each in waiting] == [[]] * len(waiting), guest.log.read_text()[-3000:]
    assert len({block_of(pod, 29) for pod in made}) > 1


def begins(pod: Pod, far: Pod) -> list[tuple[str, str]]:
    """Make a pod; which of its first packets are lost."""
    pod.add()
    return lost(pod, [far])


def by_agent(node: Node, ipam: Ipam) -> Document:
    """What pods need to ask the agent of their node, and ipamd if it does not answer."""
    return ipam(node) | {"endpoint": [f"unix://{node.folder}/agent.sock", node.endpoint]}


def announced(service: IpamdProcess, name: str) -> Document:
    """What ipamd tells of a node."""
    nodes = service.http.get("/v1/network").json()["nodes"]
    return next(node for node in nodes if node["name"] == name)


def block_of(pod: Pod, length: int) -> str:
    """The block of its IPv4 address, of a prefix so long."""
    return str(ip_network(f"{pod.addresses[0]}/{length}", strict=False))


def lost(pod: Pod, others: list[Pod]) -> list[tuple[str, str]]:
    """From which pod to which address the first packet was not answered, of all ways at once."""
    ways = [(pod, address) for other in others for address in other.addresses]
    ways += [(other, address) for other in others for address in pod.addresses]
    with ThreadPoolExecutor(len(ways)) as threads:
        answered = list(threads.map(lambda way: way[0].sends(way[1]), ways))
    return [
        (sender.name, address) for (sender, address), came in zip(ways, answered, strict=True) if not came
    ]
