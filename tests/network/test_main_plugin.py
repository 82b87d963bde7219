"""Runtimes with ipamd-veth as their only main plugin, on a node that is strict about ARP and sources."""

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.network.conftest import DEBIAN_PLUGINS, Ipam
from tests.network.containerd import Containerd
from tests.network.kernel import socket_in
from tests.network.libcni import NetworkList
from tests.network.namespace import MakeNamespace, Namespace
from tests.network.plugin import Attachment, Document, Runtime
from tests.network.podman import Podman
from tests.service import IpamdProcess
from tests.veth.beyond import BEYOND, NODE, answers, everything, wire
from tests.veth.executable import kinds, put

OTHERS: Final = ("portmap", "bandwidth", "tuning", "firewall", "loopback")
PORTMAP: Final[Document] = {"type": "portmap", "capabilities": {"portMappings": True}}
MODES: Final[dict[str, Document]] = {
    "routed": {},
    "bridge": {"mode": "bridge", "isGateway": True, "hairpinMode": True},
}
NAME: Final = "service.example"
ADDRESS: Final = "198.51.100.7"


@pytest.fixture
def node(node: Namespace) -> Namespace:
    """A node as kube-proxy and hardening leave it."""
    for key, value in (("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "1")):
        for scope in ("all", "default"):
            node.sysctl(f"net/ipv4/conf/{scope}/{key}", value)
    return node


@pytest.fixture(autouse=True)
def beyond(node: Namespace, make_namespace: MakeNamespace) -> Namespace:
    """A host beyond the node, without routes to containers."""
    host = make_namespace("beyond")
    wire(node, host)
    return host


@pytest.fixture(params=kinds())
def reference_plugins(request: pytest.FixtureRequest, scratch: Path) -> Path:
    """A folder of executables with ipamd-veth and what may follow in a chain: nobody else makes a pair."""
    folder = scratch / "bin"
    folder.mkdir()
    for name in OTHERS:
        (folder / name).symlink_to(DEBIAN_PLUGINS / name)
    put(folder, request.param)
    return folder


@pytest.fixture
def service(ipamd_process: IpamdProcess) -> IpamdProcess:
    dns = {"nameservers": [BEYOND[0]]}
    ipamd_process.create_pool("pods-v4", "10.64.0.0/24", routes=[{"dst": "0.0.0.0/0"}], dns=dns)
    ipamd_process.create_pool("pods-v6", "fd00:64::/64", routes=[{"dst": "::/0"}])
    return ipamd_process


@pytest.fixture(params=MODES)
def veth(request: pytest.FixtureRequest, service: IpamdProcess, ipam: Ipam) -> Document:
    mode = MODES[request.param]
    return {"type": "ipamd-veth", **mode, "ipMasq": True, "ipam": ipam("pods-v4", "pods-v6")}


def serve_web(number: int) -> tuple[str, ...]:
    """The command of a container that answers at a port."""
    return ("httpd", "-p", str(number), "-h", "/etc")


def connects(client: Namespace, host: str, port: int) -> bool:
    """Whether somebody listens there."""
    with socket_in(client, socket.AF_INET6 if ":" in host else socket.AF_INET) as connection:
        connection.settimeout(5)
        try:
            connection.connect((host, port))
        except OSError:
            return False
        return True


@pytest.fixture
def name_server(beyond: Namespace) -> Iterator[None]:
    """A server of names beyond the node that knows one address."""
    listening = socket_in(beyond, socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind((BEYOND[0], 53))

    def serve() -> None:
        while True:
            question, client = listening.recvfrom(512)
            if not question:
                return
            end = question.index(0, 12) + 5
            is_a = question[end - 4 : end - 2] == b"\0\1"
            head = question[:2] + b"\x85\x80" + struct.pack("!HHHH", 1, int(is_a), 0, 0)
            record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(ADDRESS) if is_a else b""
            listening.sendto(head + question[12:end] + record, client)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    with socket_in(beyond, socket.AF_INET, socket.SOCK_DGRAM) as ending:
        ending.sendto(b"", (BEYOND[0], 53))
    thread.join()
    listening.close()


def ping(address: str) -> tuple[str, ...]:
    return ("ping6" if ":" in address else "ping", "-c", "1", "-W", "5", address)


def test_pods_of_containerd_reach_each_other_the_node_and_what_is_beyond(
    veth: Document, service: IpamdProcess, containerd: Containerd, node: Namespace, beyond: Namespace
) -> None:
    containerd.configure_network("1.0.0", veth, PORTMAP, {"type": "bandwidth"})
    containerd.start()
    empty = everything(node)

    web, other = containerd.run_pod("web", ports={8080: 80}), containerd.run_pod("other")
    container = containerd.cri.start_container(web)
    containerd.cri.execute(container, *serve_web(80))

    assert service.addresses() == {*web.addresses, *other.addresses}
    assert len(web.addresses) == 2
    for address in (*other.addresses, *NODE, *BEYOND):
        containerd.cri.execute(container, *ping(address))
    for address in web.addresses:
        assert answers(node, address)
    assert connects(beyond, NODE[0], 8080)
    assert connects(node, NODE[0], 8080)
    for pod in (web, other, web):
        containerd.cri.stop_pod(pod.id)
    assert not connects(beyond, NODE[0], 8080)
    assert service.addresses() == set()
    left = everything(node)
    assert [one for one in left["links"] if one[0].startswith("ipamd")] == []
    assert left["routes"] == empty["routes"]


def test_pods_whose_namespaces_are_lost_or_whose_ipamd_is_down_end(
    veth: Document, service: IpamdProcess, containerd: Containerd, node: Namespace
) -> None:
    containerd.configure_network("1.0.0", veth)
    containerd.start()
    web, other = containerd.run_pod("web"), containerd.run_pod("other")
    service.kill()
    containerd.cri.stop_pod(other.id)
    containerd.lose_namespaces()

    containerd.cri.stop_pod(web.id)
    containerd.cri.remove_pod(web.id)

    service.start()
    following = containerd.run_pod("following")
    assert service.addresses() == set(following.addresses)
    links = [one[0] for one in everything(node)["links"] if one[0].startswith("ipamd")]
    assert len(links) == 1


def test_containers_of_podman_reach_each_other_names_and_what_is_beyond(
    veth: Document,
    service: IpamdProcess,
    podman: Podman,
    node: Namespace,
    beyond: Namespace,
    name_server: None,
) -> None:
    podman.configure_network("1.0.0", veth, PORTMAP)
    podman.load_image()
    podman.run("web", "--publish", "8080:80")
    podman.run("other", "--ip", "10.64.0.60")
    podman.execute("web", *serve_web(80))

    assert "10.64.0.60" in service.addresses()
    others = service.addresses(container_id=podman.container_id("other"))
    assert len(others) == 2
    for address in (*others, *NODE, *BEYOND):
        podman.execute("web", *ping(address))
    assert ADDRESS in podman.execute("web", "nslookup", "-type=a", NAME)
    assert connects(beyond, NODE[0], 8080)

    podman("restart", "web")
    podman.execute("web", *ping(BEYOND[1]))
    podman("stop", "web")
    assert service.addresses() == others
    podman("start", "web")
    podman.execute("web", *serve_web(80))
    assert connects(beyond, NODE[0], 8080)
    podman("rm", "--all", "--force", "--time", "0")
    assert service.addresses() == set()
    assert [one for one in everything(node)["links"] if one[0].startswith("ipamd")] == []


def test_a_chain_of_everything_answers_at_its_port_and_passes_its_check(
    veth: Document,
    service: IpamdProcess,
    node: Namespace,
    beyond: Namespace,
    reference_plugins: Path,
    make_namespace: MakeNamespace,
) -> None:
    mac = "02:00:00:00:00:77"
    # A bridge learns another MAC; without an agent a routed pair has the neighbour that ADD wrote.
    main = veth if "mode" in veth else {**veth, "mac": mac}
    rates = {"ingressRate": 10**9, "ingressBurst": 10**9, "egressRate": 10**9, "egressBurst": 10**9}
    checked = [main, {"type": "bandwidth", **rates}, {"type": "tuning", "mac": mac}, {"type": "firewall"}]
    common: Document = {"cniVersion": "1.0.0", "name": "pods"}
    runtime = Runtime(node, reference_plugins)
    network = NetworkList(runtime, {**common, "plugins": [*checked, PORTMAP]})
    container = make_namespace("container")
    attachment = Attachment("web", str(container.path))
    published = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}

    result = network.add(attachment, capabilities=published)

    assert f"link/ether {mac}" in container.run("ip", "link", "show", "eth0")
    for address in (*NODE, *BEYOND):
        assert answers(container, address), address
    with socket_in(container, socket.AF_INET) as listening:
        listening.bind(("", 80))
        listening.listen()
        assert connects(beyond, NODE[0], 8080)
    for plugin in checked:  # Debian's portmap looks for the rules of IPv4 among those of IPv6, and fails
        runtime.check({**common, **plugin}, attachment, result)
    network.delete(attachment, capabilities=published)
    assert service.addresses() == set()
    assert not connects(beyond, NODE[0], 8080)


def test_a_meta_plugin_attaches_one_pod_to_a_network_of_each_mode(
    service: IpamdProcess,
    ipam: Ipam,
    node: Namespace,
    reference_plugins: Path,
    make_namespace: MakeNamespace,
) -> None:
    """As Multus does: the same container ID, an interface for each network, what is asked for in `ips`."""
    service.create_pool("storage", "10.80.0.0/24", gateway=None, auto_assign=False)
    runtime = Runtime(node, reference_plugins)
    common: Document = {"cniVersion": "1.0.0", "type": "ipamd-veth"}
    own = NetworkList(runtime, {**common, "name": "pods", "ipMasq": True, "ipam": ipam("pods-v4", "pods-v6")})
    on_bridge = {"mode": "bridge", "bridge": "storage0", "capabilities": {"ips": True}}
    storage = NetworkList(runtime, {**common, "name": "storage", **on_bridge, "ipam": ipam("storage")})
    pods = [make_namespace("db-0"), make_namespace("db-1")]

    for number, pod in enumerate(pods):
        own.add(Attachment(f"pod{number}", str(pod.path)))
        wanted = {"ips": [f"10.80.0.3{number}/24"]}
        storage.add(Attachment(f"pod{number}", str(pod.path), "net1"), capabilities=wanted)

    assert pods[0].addresses("net1") == {"10.80.0.30/24"}
    others = [address.split("/")[0] for address in pods[1].addresses("eth0")]
    for address in ("10.80.0.31", *others, *NODE, *BEYOND):
        assert answers(pods[0], address), address
    assert "dev net1" in pods[0].run("ip", "route", "get", "10.80.0.31")
    storage.check(Attachment("pod0", str(pods[0].path), "net1"))
    own.check(Attachment("pod0", str(pods[0].path)))
    storage.delete(Attachment("pod0", str(pods[0].path), "net1"))
    assert answers(pods[0], BEYOND[0])
    own.delete(Attachment("pod0", str(pods[0].path)))
    assert service.addresses() == {"10.80.0.31", *others}
