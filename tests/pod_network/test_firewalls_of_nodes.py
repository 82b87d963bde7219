"""Firewalls that take no packets in: the tunnel's port is named, and opened where an admin allows it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.agent.firewalls import Firewall, Iptables, Nftables, Ufw
from tests.network.namespace import Namespace
from tests.node_executable import node_plugin
from tests.pod_network.cluster import Fabric, Node, Pod, whole
from tests.pod_network.conftest import Ipam
from tests.waiting import eventually

DENYING: Final = """*filter
:INPUT DROP [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
COMMIT
"""
REJECTING: Final = """*filter
:INPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A INPUT -j REJECT
COMMIT
"""
NFTABLES: Final = """
table inet filter
delete table inet filter
table inet filter {
    chain input {
        type filter hook input priority 0; policy drop;
        iifname "lo" accept; ct state established accept;
    }
}
"""
FAMILIES: Final = ("iptables", "ip6tables")
TYPES: Final = ("legacy", "nft")
KINDS: Final[dict[str, Callable[[Namespace, Path], Firewall]]] = {
    "iptables-nft that rejects": lambda node, scratch: Iptables(node, scratch, "nft", REJECTING),
    "iptables-legacy that denies": lambda node, scratch: Iptables(node, scratch, "legacy", DENYING),
    "a table of nftables": lambda node, scratch: Nftables(node, scratch, NFTABLES),
    "ufw": lambda node, scratch: Ufw(node, scratch, "allow"),
}
"""UFW denies what comes in, unless it is told otherwise."""


@pytest.fixture
def nodes(fabric: Fabric) -> tuple[Node, dict[str, Node]]:
    """A node without a firewall, and one for each kind, behind a router."""
    near, far = fabric.switch("near", 0), fabric.switch("far", 1)
    plain = fabric.node("node-1", near, "192.0.2.1")
    others = {
        kind: fabric.node(f"node-{number}", far, f"198.51.100.{number}")
        for number, kind in enumerate(KINDS, 2)
    }
    for node in (plain, *others.values()):
        node.start()
    whole([plain, *others.values()])
    return plain, others


@pytest.fixture
def firewalls(nodes: tuple[Node, dict[str, Node]], scratch: Path) -> Iterator[dict[str, Firewall]]:
    made: dict[str, Firewall] = {}
    for kind, node in nodes[1].items():
        folder = scratch / f"firewall-of-{node.name}"
        folder.mkdir()
        made[kind] = KINDS[kind](node.namespace, folder)
    yield made
    for firewall in made.values():
        firewall.end()


def test_the_tunnel_is_let_in_where_it_is_allowed_and_again_after_a_reload(
    nodes: tuple[Node, dict[str, Node]],
    firewalls: dict[str, Firewall],
    fabric: Fabric,
    ipam: Ipam,
    scratch: Path,
) -> None:
    """All kinds at once: agents look after firewalls at leisure, and what takes long is their waiting."""
    plain, others = nodes
    pod = fabric.pod("pod", plain, ipam)
    pods = {kind: fabric.pod(f"pod-{node.name}", node, ipam) for kind, node in others.items()}
    for firewall in firewalls.values():
        firewall.load()
    for kind, node in others.items():
        becomes(kind, lambda kind=kind: not pod.reaches(pods[kind].addresses[0]))  # type: ignore[misc]
        becomes(kind, lambda node=node: "drops packets of the tunnel" in node.status().stdout)  # type: ignore[misc]
    before = {kind: rules(node.namespace) for kind, node in others.items()}

    roots = {kind: scratch / f"root-of-{node.name}" for kind, node in others.items()}
    for kind, node in others.items():
        roots[kind].mkdir()
        own = ("--endpoint", node.endpoint, "--executables", str(node_plugin().parents[1]))
        node.agent("install", "--root", str(roots[kind]), *own, "--allow-forwarding")
        shutil.copy(roots[kind] / "etc/ipamd/allow-forwarding", node.folder)

    all_are_reached(pod, pods)
    for node in others.values():
        assert "drops packets of the tunnel" not in node.status().stdout
    for firewall in firewalls.values():
        firewall.load()
    all_are_reached(pod, pods)
    for kind, node in others.items():
        node.stop()
        node.agent("uninstall", "--root", str(roots[kind]))
        assert rules(node.namespace) == before[kind], kind


def all_are_reached(pod: Pod, pods: dict[str, Pod]) -> None:
    """Wait until a pod reaches all addresses of the others."""
    for kind, other in pods.items():
        becomes(kind, lambda other=other: all(pod.reaches(one) for one in other.addresses))  # type: ignore[misc]


def becomes(kind: str, seen: Callable[[], bool]) -> None:
    """Wait until something of a kind of firewall is so."""
    try:
        eventually(seen)
    except AssertionError as error:
        raise AssertionError(f"{kind}: {error}") from error


def rules(node: Namespace) -> list[str]:
    """The rules of the filter tables, all of which the commands of both kinds of iptables can tell."""
    saved = "".join(
        node.run(f"{family}-{kind}-save", "-t", "filter") for family in FAMILIES for kind in TYPES
    )
    assert "incompatible" not in saved
    return [line for line in saved.splitlines() if line.startswith("-A")]
