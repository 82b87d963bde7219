"""containerd 2.1 with the reference plugins 1.9: the specification 1.1.0 with STATUS."""

from pathlib import Path
from typing import Any

import pytest

from tests.network import shown
from tests.network.conftest import Ipam
from tests.network.containerd import Containerd
from tests.network.installed import NODE, InstalledNode
from tests.network.namespace import MakeNamespace, Namespace
from tests.network.plugin import Attachment, PluginRefused, Runtime, addresses, supported_versions
from tests.node_executable import node_main_plugin
from tests.service import IpamdProcess
from tests.veth.beyond import BEYOND, wire
from tests.veth.beyond import NODE as NODE_ADDRESSES

pytestmark = [pytest.mark.runtimes, pytest.mark.timeout(600)]

BRIDGE: dict[str, Any] = {"type": "bridge", "bridge": "cni0", "isGateway": True}


@pytest.fixture
def service(ipamd_process: IpamdProcess) -> IpamdProcess:
    ipamd_process.create_pool("pods-v4", "10.62.0.0/24", routes=[{"dst": "0.0.0.0/0"}])
    ipamd_process.create_pool("pods-v6", "fd00:62::/64", routes=[{"dst": "::/0"}])
    return ipamd_process


def start(containerd: Containerd, ipam: dict[str, Any]) -> Containerd:
    containerd.configure_network("1.1.0", {**BRIDGE, "ipam": ipam})
    containerd.start()
    return containerd


def test_pods_get_addresses_and_give_them_back(
    service: IpamdProcess, ipam: Ipam, containerd: Containerd
) -> None:
    cluster = start(containerd, ipam("pods-v4", "pods-v6"))

    web, other = cluster.run_pod("web"), cluster.run_pod("other")
    container = cluster.cri.start_container(web)

    assert service.addresses() == {*web.addresses, *other.addresses}
    for address in ("10.62.0.1", other.addresses[0]):
        cluster.cri.execute(container, "ping", "-c", "1", "-W", "5", address)
    cluster.cri.stop_pod(web.id)
    cluster.cri.stop_pod(web.id)
    assert service.addresses() == set(other.addresses)


@pytest.mark.parametrize("mode", [{}, {"mode": "bridge", "isGateway": True}], ids=["routed", "bridge"])
def test_pods_need_no_main_plugin_but_ipamd_veth(
    mode: dict[str, Any],
    service: IpamdProcess,
    ipam: Ipam,
    containerd: Containerd,
    node: Namespace,
    make_namespace: MakeNamespace,
    reference_plugins: Path,
) -> None:
    wire(node, make_namespace("beyond"))
    (reference_plugins / "ipamd-veth").symlink_to(node_main_plugin())
    (reference_plugins / "ipamd-ipam").unlink()
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    veth = {"type": "ipamd-veth", **mode, "ipMasq": True, "ipam": ipam("pods-v4", "pods-v6")}
    containerd.configure_network("1.1.0", veth, portmap)
    containerd.start()

    web, other = containerd.run_pod("web"), containerd.run_pod("other")
    container = containerd.cri.start_container(web)

    assert containerd.cri.network_ready()
    assert service.addresses() == {*web.addresses, *other.addresses}
    for address in (*other.addresses, *NODE_ADDRESSES, *BEYOND):
        program = "ping6" if ":" in address else "ping"
        containerd.cri.execute(container, program, "-c", "1", "-W", "5", address)
    containerd.cri.stop_pod(web.id)
    containerd.cri.stop_pod(web.id)
    assert service.addresses() == set(other.addresses)
    # What running pods do without makes the node unfit for more.
    node.sysctl("net/ipv4/ip_forward", "0")
    assert not containerd.cri.network_ready()
    node.sysctl("net/ipv4/ip_forward", "1")
    assert containerd.cri.network_ready()


def test_a_node_stays_ready_while_ipamd_is_down(
    service: IpamdProcess, ipam: Ipam, containerd: Containerd
) -> None:
    cluster = start(containerd, ipam("pods-v4", "pods-v6"))
    web = cluster.run_pod("web")
    service.kill()

    assert cluster.cri.network_ready()

    cluster.cri.stop_pod(web.id)
    service.start()
    following = cluster.run_pod("following")
    assert service.addresses() == set(following.addresses)


def test_a_node_whose_operator_wants_it_is_not_ready_while_ipamd_is_down(
    service: IpamdProcess, ipam: Ipam, containerd: Containerd
) -> None:
    cluster = start(containerd, ipam("pods-v4", "pods-v6", status="service", timeout=2))
    assert cluster.cri.network_ready()

    service.kill()
    assert not cluster.cri.network_ready()

    service.start()
    assert cluster.cri.network_ready()


@pytest.mark.parametrize("main_plugin", [BRIDGE, {"type": "ptp"}], ids=["bridge", "ptp"])
def test_the_plugins_of_1_1_0_add_check_and_delete(
    main_plugin: dict[str, Any],
    service: IpamdProcess,
    ipam: Ipam,
    runtime: Runtime,
    make_namespace: MakeNamespace,
) -> None:
    container = make_namespace("container")
    config = {"cniVersion": "1.1.0", "name": "pods", **main_plugin, "ipam": ipam("pods-v4", "pods-v6")}
    attachment = Attachment("web", str(container.path))

    result = runtime.add(config, attachment)

    assert "1.1.0" in supported_versions(runtime.plugins / main_plugin["type"])
    assert container.addresses("eth0") == addresses(result)
    runtime.check(config, attachment, result)
    for gateway in ("10.62.0.1", "fd00:62::1"):
        container.ping(gateway)
    runtime.delete(config, attachment)
    assert service.addresses() == set()


@pytest.mark.parametrize("version", ["0.2.0", "0.4.0", "1.0.0", "1.1.0"])
def test_a_gateway_of_ipv4_that_is_on_the_link_and_outside_the_subnet_serves_containers(
    version: str,
    service: IpamdProcess,
    ipam: Ipam,
    runtime: Runtime,
    node: Namespace,
    make_namespace: MakeNamespace,
) -> None:
    container = make_namespace("container")
    node.run("ip", "link", "add", "link0", "type", "bridge")
    node.run("ip", "link", "set", "link0", "up")
    node.run("ip", "address", "add", "192.0.2.1/32", "dev", "link0")
    node.run("ip", "route", "add", "198.51.100.77/32", "dev", "link0")
    fields = {"gateway": "192.0.2.1", "gateway_on_link": True, "routes": [{"dst": "0.0.0.0/0"}]}
    service.create_pool("provider", "198.51.100.77/32", **fields)
    config = {
        "cniVersion": version,
        "name": "out",
        "type": "bridge",
        "bridge": "link0",
        "ipam": ipam("provider"),
    }
    attachment = Attachment("web", str(container.path))

    runtime.add(config, attachment)

    assert "default via 192.0.2.1 dev eth0" in container.run("ip", "route")
    container.ping("192.0.2.1")
    runtime.delete(config, attachment)


def test_status_is_handed_on_and_by_default_asks_nobody(
    service: IpamdProcess, ipam: Ipam, runtime: Runtime
) -> None:
    network = {"cniVersion": "1.1.0", "name": "pods", **BRIDGE}
    service.kill()

    runtime.status({**network, "ipam": ipam("pods-v4")})
    with pytest.raises(PluginRefused) as refusal:
        runtime.status({**network, "ipam": ipam("pods-v4", status="service", timeout=2)})

    assert refusal.value.code == 50


def test_containerd_by_cri_runs_pods_with_only_the_built_executable(
    ipamd_process: IpamdProcess, installed: InstalledNode, installed_containerd: Containerd
) -> None:
    ipamd_process.create_pool("pods-v4", "10.64.0.0/16", routes=[{"dst": "0.0.0.0/0"}])
    ipamd_process.create_pool("pods-v6", "fd00:64::/64", routes=[{"dst": "::/0"}])
    installed.install(ipamd_process.endpoint, "--conflist", str(shown.path("containerd.conflist")))
    installed.take_all_else_away()
    installed_containerd.start()

    web = installed_containerd.run_pod("web", {"ipamd.io/addresses": "10.64.0.77,fd00:64::77"})
    other = installed_containerd.run_pod("other")
    container = installed_containerd.cri.start_container(web)

    installed.assert_only_the_executable()
    assert web.addresses == ("10.64.0.77", "fd00:64::77")
    assert ipamd_process.addresses(node=NODE) == {*web.addresses, *other.addresses}
    for address in ("10.64.0.1", other.addresses[0]):
        installed_containerd.cri.execute(container, "ping", "-c", "1", "-W", "5", address)
    for pod in (web, other):
        installed_containerd.cri.stop_pod(pod.id)
    assert ipamd_process.addresses() == set()
