"""Firewalls that take no packets in: the tunnel's port is named, and opened where an admin allows it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.agent.firewalls import Firewall, Iptables, Nftables, Ufw
from tests.network.namespace import Namespace
from tests.node_executable import node_plugin
from tests.pod_network.cluster import Node, Pod
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


@pytest.fixture(params=list(KINDS))
def firewall(request: pytest.FixtureRequest, nodes: tuple[Node, Node], scratch: Path) -> Iterator[Firewall]:
    folder = scratch / "firewall"
    folder.mkdir()
    made = KINDS[request.param](nodes[1].namespace, folder)
    yield made
    made.end()


def test_the_tunnel_is_let_in_where_it_is_allowed_and_again_after_a_reload(
    nodes: tuple[Node, Node], pods: tuple[Pod, Pod], firewall: Firewall, scratch: Path
) -> None:
    node, (pod, other) = nodes[1], pods
    firewall.load()
    eventually(lambda: not pod.reaches(other.addresses[0]))
    eventually(lambda: "drops packets of the tunnel" in node.status().stdout)
    before = rules(node.namespace)

    root = scratch / "root"
    root.mkdir()
    own = ("--endpoint", node.endpoint, "--executables", str(node_plugin().parents[1]))
    node.agent("install", "--root", str(root), *own, "--allow-forwarding")
    shutil.copy(root / "etc/ipamd/allow-forwarding", node.folder)

    eventually(lambda: all(pod.reaches(address) for address in other.addresses))
    assert "drops packets of the tunnel" not in node.status().stdout
    firewall.load()
    eventually(lambda: all(pod.reaches(address) for address in other.addresses))
    node.stop()
    node.agent("uninstall", "--root", str(root))
    assert rules(node.namespace) == before


def rules(node: Namespace) -> list[str]:
    """The rules of the filter tables, all of which the commands of both kinds of iptables can tell."""
    saved = "".join(
        node.run(f"{family}-{kind}-save", "-t", "filter") for family in FAMILIES for kind in TYPES
    )
    assert "incompatible" not in saved
    return [line for line in saved.splitlines() if line.startswith("-A")]
