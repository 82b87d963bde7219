"""Two nodes behind a router that knows no pods and drops what comes from where it should not."""

import pytest

from tests.pod_network.capture import Packet, captured
from tests.pod_network.cluster import Fabric, Node, Pod, answers
from tests.pod_network.talking import PORT, echo, talks

CLUSTER_IP, NODE_PORT = "10.96.0.10", 30080


def stray(seen: list[Packet], *pods: Pod) -> set[str]:
    """What passed with a pod's address outside the tunnel, or with a node's in the pod network."""
    assert any(packet.is_by_tunnel() for packet in seen)
    prefixes = ("10.64.", "fd00:64:")
    outside = [packet for packet in seen if not packet.is_by_tunnel()]
    return {
        str(end) for one in outside for end in (one.source, one.destination) if str(end).startswith(prefixes)
    }


def test_pods_nodes_and_services_reach_each_other(
    fabric: Fabric, nodes: tuple[Node, Node], pods: tuple[Pod, Pod]
) -> None:
    one, two = nodes
    service(one, pods[1].addresses[0])
    with captured(fabric.router, "to0") as seen:
        assert all(pods[0].reaches(address) for address in pods[1].addresses)
        assert all(pods[1].reaches(address) for address in pods[0].addresses)
        assert all(answers(one.prefix(), address) for address in pods[1].addresses)
        assert answers(one.prefix(), pods[1].addresses[0], source=one.address)
        assert pods[0].reaches(two.address)
        assert pods[1].reaches(one.address)
        with echo(pods[1].namespace, pods[1].addresses[0]):
            # From the node by a Service: the source is the uplink's when the destination is changed.
            assert talks(one.namespace, CLUSTER_IP, PORT, source=one.address)
            assert talks(one.namespace, CLUSTER_IP)
            assert talks(pods[0].namespace, CLUSTER_IP)

    assert stray(seen) == set()


def service(node: Node, backend: str) -> None:
    """What kube-proxy in iptables mode would write on a node for a Service with one backend."""
    for chain in ("OUTPUT", "PREROUTING"):
        for protocol in ("tcp", "udp"):
            node.run(
                "iptables", "-w", "-t", "nat", "-A", chain, "-d", f"{CLUSTER_IP}/32", "-p", protocol,
                "--dport", str(PORT), "-j", "DNAT", "--to-destination", f"{backend}:{PORT}",
            )  # fmt: skip


@pytest.mark.parametrize("policy", ["Cluster", "Local"])
def test_a_node_port_answers_a_client_beyond(
    fabric: Fabric, nodes: tuple[Node, Node], pods: tuple[Pod, Pod], policy: str
) -> None:
    """With policy Local the pod sees the client; with Cluster the node, which sends on to any node's pod."""
    backend = pods[0] if policy == "Local" else pods[1]
    mark = ["-j", "MARK", "--set-xmark", "0x4000/0x4000"]
    to = ["-j", "DNAT", "--to-destination", f"{backend.addresses[0]}:{PORT}"]
    for protocol in ("tcp", "udp"):
        match = ["PREROUTING", "-d", nodes[0].address, "-p", protocol, "--dport", str(NODE_PORT)]
        if policy == "Cluster":
            nodes[0].run("iptables", "-w", "-t", "nat", "-A", *match, *mark)
        nodes[0].run("iptables", "-w", "-t", "nat", "-A", *match, *to)
    marked = ["-m", "mark", "--mark", "0x4000/0x4000", "-j", "MASQUERADE", "--random-fully"]
    nodes[0].run("iptables", "-w", "-t", "nat", "-A", "POSTROUTING", *marked)
    client = "198.51.100.254"

    with captured(fabric.router, "to0") as seen, echo(backend.namespace, backend.addresses[0]) as callers:
        assert talks(fabric.router, nodes[0].address, NODE_PORT, source=client)

    if policy == "Local":
        assert set(callers) == {client} | {"192.0.2.254"}  # by UDP the router's own choice
        assert not any(packet.is_by_tunnel() for packet in seen)
    else:
        assert all(caller.startswith("10.64.") for caller in callers)
        assert stray(seen) == set()
