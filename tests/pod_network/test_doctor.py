"""`ipamd-agent doctor` says what is wrong on a node that is well but for one fault, and what to do."""

import contextlib
import json
import platform
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest

from tests.network.namespace import Namespace, namespaces
from tests.pod_network.cluster import Fabric, Node
from tests.pod_network.conftest import create_pools, ipam_section, two_nodes
from tests.pod_network.inside import inside
from tests.service import IpamdProcess, scratch_folder
from tests.waiting import eventually

KUBE_PROXY: Final = ("127.0.0.1", 10249)


@pytest.fixture(scope="module")
def lasting_fabric(lasting_ipamd: IpamdProcess) -> Iterator[Fabric]:
    """Switches and a router for all tests of this module."""
    create_pools(lasting_ipamd)
    with scratch_folder() as folder, namespaces(folder.name) as make:
        fabric = Fabric(make, folder, lasting_ipamd.endpoint)
        yield fabric
        fabric.end()


@pytest.fixture(scope="module")
def node(lasting_fabric: Fabric) -> Node:
    """A node with a pod, and a peer behind a router. Each test leaves it as it was."""
    one, _ = two_nodes(lasting_fabric)
    lasting_fabric.pod("pod-1", one, ipam_section)
    return one


@contextlib.contextmanager
def fault(namespace: Namespace | Node, done: str, undone: str) -> Iterator[None]:
    namespace.run("sh", "-ec", done)
    try:
        yield
    finally:
        namespace.run("sh", "-ec", undone)


def told(node: Node, root: Path, *before: str) -> str:
    """What it says where something is wrong."""
    done = node.doctor(root, *before)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_a_node_that_is_well_has_nothing_wrong(node: Node, tmp_path: Path) -> None:
    done = node.doctor(tmp_path)

    assert done.stdout == (
        "nothing that would break pods was found on this node, "
        "and all other nodes that it knows (1) answer packets as large as those of pods\n"
    )
    assert (done.stderr, done.returncode) == ("", 0)


SYSCTL: Final = "echo {1} > /proc/sys/net/{0}"
HOST_SIDE: Final = "$(ip -o link | grep -o 'ipamd[a-z2-7]\\{10\\}' | head -1)"
FAULTS: Final[dict[str, tuple[str, str, str]]] = {
    "a firewall's policy": (
        "iptables-nft -P FORWARD DROP",
        "iptables-nft -P FORWARD ACCEPT",
        "chain FORWARD of table ip filter drops forwarded packets by its policy: give `ipamd-agent install` "
        "the flag --allow-forwarding",
    ),
    "the older iptables": (
        "ip6tables-legacy -A FORWARD -j REJECT",
        "ip6tables-legacy -F FORWARD",
        "chain FORWARD of ip6tables-legacy drops forwarded packets by its last rule",
    ),
    "the tunnel's port": (
        "nft 'table inet admin { chain in { type filter hook input priority 0; policy drop; ct state "
        "established accept; }; }'",
        "nft delete table inet admin",
        "chain in of table inet admin drops packets of the tunnel by its policy",
    ),
    "no forwarding": (
        SYSCTL.format("ipv4/ip_forward", 0),
        SYSCTL.format("ipv4/ip_forward", 1),
        "net.ipv4.ip_forward is 0, so packets of pods are dropped: `sysctl -w net.ipv4.ip_forward=1`",
    ),
    "no forwarding of IPv6": (
        SYSCTL.format("ipv6/conf/all/forwarding", 0),
        SYSCTL.format("ipv6/conf/all/forwarding", 1),
        "net.ipv6.conf.all.forwarding is 0",
    ),
    "no forwarding from the uplink": (
        SYSCTL.format("ipv4/conf/eth0/forwarding", 0),
        SYSCTL.format("ipv4/conf/eth0/forwarding", 1),
        "net.ipv4.conf.eth0.forwarding is 0",
    ),
    "a way back by another link": (
        "ip link add other type bridge; ip link set other up; ip route add 198.51.100.2 dev other",
        "ip link delete other",
        "rp_filter of eth0 is strict, and the way to node node-2 at 198.51.100.2 is by other",
    ),
    "routes of advertisements": (
        "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra; "
        "ip -6 route add default via fe80::1 dev eth0 proto ra",
        "ip -6 route delete default via fe80::1 dev eth0",
        "eth0 has its routes from a router's advertisements, and will lose them",
    ),
    "a pod of another MTU": (
        f"ip link set {HOST_SIDE} mtu 1500",
        f"ip link set {HOST_SIDE} mtu 1450",
        "(pods/pod-1/eth0) has an MTU of 1500, and packets of pods have room for 1450 bytes",
    ),
    "a network of the node's own": (
        "ip link add cni0 type bridge; ip address add 10.64.99.1/24 dev cni0",
        "ip link delete cni0",
        "pool pods-v4 (10.64.0.0/16) overlaps 10.64.99.0/24, the network of cni0: give the pool another",
    ),
    "a route of others": (
        "ip route add 10.64.200.0/24 via 192.0.2.254",
        "ip route delete 10.64.200.0/24 via 192.0.2.254",
        "a route of others to 10.64.200.0/24 by eth0 takes packets for pods of pool pods-v4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_node_is_named(node: Node, tmp_path: Path, name: str) -> None:
    done, undone, expected = FAULTS[name]
    with fault(node, done, undone):
        assert expected in told(node, tmp_path)


def test_a_wrong_mark_of_the_mtu_is_named(node: Node, tmp_path: Path) -> None:
    def is_named() -> bool:
        """The agent may have something to do, and then writes it anew."""
        with fault(node, "echo 9000 > /run/ipamd/network/mtu", "echo 1450 > /run/ipamd/network/mtu"):
            return (
                "mtu says 9000, and packets of pods have room for 1450 bytes" in node.doctor(tmp_path).stdout
            )

    eventually(is_named)


@pytest.mark.parametrize(
    ("dropped", "expected"),
    [
        ("meta length > 1400", "node node-2 answers small packets at {0}, and none of 1450 bytes"),
        ("udp dport 8751", "node node-2 does not answer at {0} (no answer)"),
    ],
    ids=["large packets vanish", "all packets vanish"],
)
def test_a_hole_between_nodes_is_named(
    node: Node, lasting_fabric: Fabric, tmp_path: Path, dropped: str, expected: str
) -> None:
    document = node.document()
    assert document is not None
    [peer] = document["peers"]
    chain = "chain forward { type filter hook forward priority 0; %s drop; }; "
    with fault(
        lasting_fabric.router, f"nft 'table ip hole {{ {chain % dropped} }}'", "nft delete table ip hole"
    ):
        said = told(node, tmp_path)

    assert len(peer["pod_addresses"]) == 2
    assert all(expected.format(address) in said for address in peer["pod_addresses"])


BRIDGED: Final = {"type": "ipamd-veth", "mode": "bridge"}
ROUTED: Final = {"type": "ipamd-veth", "podNetwork": True}


@pytest.mark.parametrize(
    ("plugin", "pools", "expected"),
    [
        (BRIDGED, ["pods-v4"], "puts pods of pool pods-v4 on a bridge, and all nodes route this pool"),
        ({"type": "bridge"}, [["pods-v6"]], "puts pods of pool pods-v6 on a bridge"),
        (ROUTED, ["pods-v4", "lan"], "uses pool lan, which is not announced"),
        ({"type": "ipamd-veth"}, ["pods-v4"], 'uses pool pods-v4 without "podNetwork": true'),
        (
            {**ROUTED, "mtu": 1500},
            ["pods-v4"],
            "gives pods an MTU of 1500, and their packets have room for 1450",
        ),
    ],
    ids=["bridge mode", "bridge plugin", "any pool", "no wait for the network", "MTU"],
)
def test_a_network_that_does_not_go_with_the_pod_network_is_named(
    node: Node, tmp_path: Path, plugin: dict[str, Any], pools: list[Any], expected: str
) -> None:
    folder = tmp_path / "etc/cni/net.d"
    folder.mkdir(parents=True)
    section = {"type": "ipamd-ipam", "pools": pools}
    network = {"cniVersion": "1.1.0", "name": "pods", "plugins": [{**plugin, "ipam": section}]}
    (folder / "10-pods.conflist").write_text(json.dumps(network))

    assert f"/etc/cni/net.d/10-pods.conflist {expected}" in told(node, tmp_path)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ("run/systemd/netif/state", "so a restart of systemd-networkd removes routes to pods"),
        ("run/NetworkManager/devices", "so NetworkManager takes links of pods under its rule"),
    ],
)
def test_a_manager_that_was_told_nothing_is_named(
    node: Node, tmp_path: Path, runs: str, expected: str
) -> None:
    (tmp_path / runs).mkdir(parents=True)

    assert expected in told(node, tmp_path)

    (tmp_path / "etc").mkdir()
    executables = Path(__file__).parents[2] / "dist/node"
    node.agent(
        "install", "--root", str(tmp_path), "--endpoint", node.endpoint, "--executables", str(executables)
    )
    assert node.doctor(tmp_path).returncode == 0


def test_a_kernel_without_vxlan_is_named(node: Node, tmp_path: Path) -> None:
    modules = tmp_path / "lib/modules" / platform.release()
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text("kernel/drivers/net/veth.ko:\n")
    hiding = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /sys/module; exec "$@"', "sh")

    assert f"this kernel ({platform.release()}) has no vxlan: install" in told(node, tmp_path, *hiding)
    (modules / "modules.builtin").write_text("kernel/drivers/net/vxlan/vxlan.ko\n")
    assert node.doctor(tmp_path, *hiding).returncode == 0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"DetectLocalMode": "NodeCIDR"}, "kube-proxy takes the podCIDR of its Node for its pods"),
        (
            {"ClusterCIDR": "10.96.0.0/16"},
            "takes 10.96.0.0/16 for the pods', and pool pods-v4 is 10.64.0.0/16",
        ),
        (
            {
                "DetectLocalMode": "ClusterCIDR",
                "DetectLocal": {"ClusterCIDRs": ["10.64.0.0/16", "fd00:65::/64"]},
            },
            "takes fd00:65::/64 for the pods', and pool pods-v6 is fd00:64::/64",
        ),
        (
            {"DetectLocalMode": "InterfaceNamePrefix", "DetectLocal": {"InterfaceNamePrefix": "cali"}},
            "kube-proxy takes interfaces cali… for those of pods: set its detectLocalMode",
        ),
        ({"DetectLocalMode": "InterfaceNamePrefix", "DetectLocal": {"InterfaceNamePrefix": "ipamd"}}, None),
        ({"ClusterCIDR": "10.64.0.0/16,fd00:64::/56"}, None),
    ],
    ids=["by Node", "by prefix", "by prefixes", "by another name", "by our name", "by our prefixes"],
)
def test_a_kube_proxy_that_takes_pods_for_strangers_is_named(
    node: Node, tmp_path: Path, settings: dict[str, Any], expected: str | None
) -> None:
    with kube_proxy(node.namespace, settings):
        done = node.doctor(tmp_path)

    assert done.returncode == (0 if expected is None else 1), done.stdout
    assert (expected or "nothing that would break pods") in done.stdout


@contextlib.contextmanager
def kube_proxy(namespace: Namespace, settings: dict[str, Any]) -> Iterator[None]:
    """Answer on a node as kube-proxy does to who asks for its settings."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"kubeproxy.config.k8s.io": settings}).encode()
            self.send_response(200 if self.path == "/configz" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *told: Any) -> None:
            del told

    server = inside(namespace, lambda: HTTPServer(KUBE_PROXY, Answer))
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_agent_that_is_away_is_named_and_the_rest_is_looked_at(node: Node, tmp_path: Path) -> None:
    node.stop()
    try:
        with fault(node, "iptables-nft -P FORWARD DROP", "iptables-nft -P FORWARD ACCEPT"):
            said = told(node, tmp_path)
    finally:
        node.start()

    assert "no agent answers at" in said
    assert "chain FORWARD of table ip filter drops forwarded packets by its policy" in said
    eventually(lambda: node.is_whole(1))
