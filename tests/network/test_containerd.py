"""containerd 1.6 through its Container Runtime Interface, with bridge and ipamd-ipam."""

from typing import Any

import grpc
import pytest

from tests.network.conftest import Ipam, each_executable
from tests.network.containerd import Containerd
from tests.network.cri import Pod
from tests.network.namespace import Namespace
from tests.service import IpamdProcess

pytestmark = each_executable

GATEWAY, GATEWAY6 = "10.62.0.1", "fd00:62::1"
ANNOTATIONS = {"io.kubernetes.cri.pod-annotations": True}


@pytest.fixture
def service(ipamd_process: IpamdProcess) -> IpamdProcess:
    """The service with a dual-stack pair of pools, and a small one that only who names it gets."""
    ipamd_process.create_pool("pods-v4", "10.62.0.0/24", routes=[{"dst": "0.0.0.0/0"}])
    ipamd_process.create_pool("pods-v6", "fd00:62::/64", routes=[{"dst": "::/0"}])
    ipamd_process.create_pool("special", "10.63.0.0/28", auto_assign=False)
    return ipamd_process


@pytest.fixture
def cluster(service: IpamdProcess, ipam: Ipam, containerd: Containerd) -> Containerd:
    """containerd on a network of bridge and ipamd-ipam that passes pod annotations on."""
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "capabilities": ANNOTATIONS,
    }
    containerd.configure_network("1.0.0", {**bridge, "ipam": ipam("pods-v4", "pods-v6")})
    containerd.start()
    return containerd


def on_interface(cluster: Containerd, container: str) -> set[str]:
    """The global addresses that a container sees on its eth0."""
    lines = cluster.cri.execute(
        container, "ip", "address", "show", "dev", "eth0", "scope", "global"
    ).splitlines()
    return {line.split()[1].split("/")[0] for line in lines if line.strip().startswith("inet")}


def ping(cluster: Containerd, container: str, address: str) -> None:
    program = "ping6" if ":" in address else "ping"
    cluster.cri.execute(container, program, "-c", "1", "-W", "5", address)


def test_pods_get_addresses_of_both_families_and_reach_gateway_and_each_other(
    service: IpamdProcess, cluster: Containerd
) -> None:
    web, other = cluster.run_pod("web"), cluster.run_pod("other")
    container = cluster.cri.start_container(web)

    assert on_interface(cluster, container) == set(web.addresses)
    assert len(web.addresses) == 2
    assert service.addresses() == {*web.addresses, *other.addresses}
    for address in (GATEWAY, GATEWAY6, *other.addresses):
        ping(cluster, container, address)


def test_the_service_knows_which_pod_holds_an_address(service: IpamdProcess, cluster: Containerd) -> None:
    web = cluster.run_pod("web")
    cluster.run_pod("other")

    assert service.addresses(namespace="default", name="web") == set(web.addresses)
    assert service.addresses(container_id=web.id) == set(web.addresses)


def test_a_container_that_is_started_again_keeps_its_pods_addresses(
    service: IpamdProcess, cluster: Containerd
) -> None:
    web = cluster.run_pod("web")
    cluster.cri.remove_container(cluster.cri.start_container(web))

    container = cluster.cri.start_container(web, "again")

    assert on_interface(cluster, container) == set(web.addresses)
    assert service.addresses() == set(web.addresses)
    ping(cluster, container, GATEWAY)


def test_pods_keep_their_addresses_when_containerd_is_started_again(
    service: IpamdProcess, cluster: Containerd
) -> None:
    web = cluster.run_pod("web")
    container = cluster.cri.start_container(web)

    cluster.stop()
    cluster.start()

    ping(cluster, container, GATEWAY)
    assert service.addresses() == set(web.addresses)


def test_a_stopped_pod_gives_its_addresses_back_once_however_often_del_comes(
    service: IpamdProcess, cluster: Containerd
) -> None:
    web, other = cluster.run_pod("web"), cluster.run_pod("other")

    cluster.cri.stop_pod(web.id)
    cluster.cri.stop_pod(web.id)
    cluster.cri.remove_pod(web.id)

    assert service.addresses() == set(other.addresses)


def test_del_with_an_empty_netns_gives_the_addresses_back(
    service: IpamdProcess, cluster: Containerd, node: Namespace
) -> None:
    web = cluster.run_pod("web")
    cluster.lose_namespaces()

    cluster.cri.stop_pod(web.id)

    assert service.addresses() == set()


def test_a_pod_is_stopped_while_ipamd_is_down_and_its_release_arrives_with_the_next_pod(
    service: IpamdProcess, cluster: Containerd
) -> None:
    web, other = cluster.run_pod("web"), cluster.run_pod("other")
    service.kill()

    cluster.cri.stop_pod(web.id)
    cluster.cri.remove_pod(web.id)

    service.start()
    assert service.addresses() == {*web.addresses, *other.addresses}
    following = cluster.run_pod("following")
    assert service.addresses() == {*other.addresses, *following.addresses}


def test_a_pod_that_could_not_start_while_ipamd_was_down_leaves_nothing(
    service: IpamdProcess, ipam: Ipam, cluster: Containerd
) -> None:
    # A bridge whose very first ADD failed in its IPAM refuses one more ("could not set bridge's mac").
    first = cluster.run_pod("first")
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True}
    cluster.configure_network("1.0.0", {**bridge, "ipam": ipam("pods-v4", "pods-v6", timeout=1)})
    service.kill()

    with pytest.raises(grpc.RpcError, match="ipamd"):
        cluster.run_pod("web")

    service.start()
    following = cluster.run_pod("following")
    assert service.addresses() == {*first.addresses, *following.addresses}


def test_a_pod_gets_the_addresses_of_its_annotation(service: IpamdProcess, cluster: Containerd) -> None:
    wanted = ("10.62.0.77", "fd00:62::77")

    web = run_annotated(cluster, "ipamd.io/addresses", ",".join(wanted))

    assert web.addresses == wanted
    assert on_interface(cluster, cluster.cri.start_container(web)) == set(wanted)


def test_a_pod_gets_its_address_from_the_pool_of_its_annotation(
    service: IpamdProcess, cluster: Containerd
) -> None:
    web = run_annotated(cluster, "ipamd.io/pools", "special")

    assert len(web.addresses) == 1
    assert service.addresses(pool="special") == set(web.addresses)


def run_annotated(cluster: Containerd, key: str, value: str) -> Pod:
    return cluster.run_pod("web", {key: value})
