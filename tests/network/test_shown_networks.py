"""The documentation's configurations, by the calls of runtimes that cannot be had here.

What each runtime says in CNI_ARGS, hands on by capabilities, asks and repeats is in docs/runtimes.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ctl.conftest import Ipamctl
from tests.network import shown
from tests.network.conftest import DEBIAN_PLUGINS
from tests.network.installed import BINARIES, NODE, InstalledNode, installed_node
from tests.network.libcni import NetworkList
from tests.network.namespace import MakeNamespace, Namespace
from tests.network.plugin import Attachment, PluginRefused, Runtime
from tests.service import IpamdProcess

GATEWAYS = ("10.64.0.1", "fd00:64::1")
ALLOCATION = "6b235529-8111-4bbe-520b-d639b1d2a94e"
NOMAD_ARGS = (
    "IgnoreUnknown=true;NOMAD_REGION=global;NOMAD_NAMESPACE=default;NOMAD_JOB_ID=docs;NOMAD_GROUP_NAME=example;"
    f"NOMAD_ALLOC_ID={ALLOCATION}"
)
ID = "7b5ac0e1d2f34a5b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b"


@pytest.fixture(scope="module")
def installed(lasting_ipamd: IpamdProcess) -> Iterator[InstalledNode]:
    """One node for all tests, each of which has a bridge or containers of its own."""
    network = Namespace(f"{lasting_ipamd.folder.name}-shown")
    network.create()
    try:
        with installed_node(network, DEBIAN_PLUGINS) as node:
            node.install(lasting_ipamd.endpoint)
            yield node
    finally:
        network.delete()


@dataclass(frozen=True)
class Site:
    """The node with its service, and one container on it."""

    service: IpamdProcess
    runtime: Runtime
    container: Namespace

    def network(self, name: str) -> NetworkList:
        return NetworkList(self.runtime, shown.network(name))

    def attachment(self, container_id: str, netns: str | None = None) -> Attachment:
        return Attachment(container_id, str(self.container.path) if netns is None else netns)

    def inside(self) -> set[str]:
        """The addresses of the container's eth0, without prefix length."""
        return {address.split("/")[0] for address in self.container.addresses("eth0")}

    def held(self, **filters: str) -> set[str]:
        return self.service.addresses(node=NODE, **filters)


@pytest.fixture
def ipamctl(scratch: Path, lasting_ipamd: IpamdProcess) -> Ipamctl:
    return Ipamctl(scratch, {"IPAMD_ENDPOINT": lasting_ipamd.endpoint})


@pytest.fixture
def site(
    lasting_ipamd: IpamdProcess, installed: InstalledNode, make_namespace: MakeNamespace, ipamctl: Ipamctl
) -> Iterator[Site]:
    lasting_ipamd.empty()
    for command in shown.commands("runtimes.md", "pool create"):
        ipamctl(*command)
    yield Site(lasting_ipamd, Runtime(installed, BINARIES), make_namespace("container"))
    for bridge in installed.run("ip", "-brief", "link", "show", "type", "bridge").splitlines():
        installed.run("ip", "link", "delete", bridge.split()[0])


def pod_args(*, uid: bool = True) -> str:
    """What says in Kubernetes that the pod `web` is meant; older kubelets leave its UID out."""
    pod = f"K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID={ID}"
    more = ";K8S_POD_UID=d8d2b7f4-6a0c-4f0e-9c55-1b0f0d8d9c11" if uid else ""
    return f"IgnoreUnknown=1;{pod}{more}"


def test_cri_o_gives_a_pod_the_addresses_of_its_annotation_and_checks_them_at_once(
    site: Site, ipamctl: Ipamctl
) -> None:
    # As its section says: CHECK of the reference plugins before 1.2 fails on a route without gateway.
    for pool, route in (("pods-v4", "0.0.0.0/0,10.64.0.1"), ("pods-v6", "::/0,fd00:64::1")):
        ipamctl("pool", "edit", pool, "--route", route)
    network, args = site.network("cri-o.conflist"), pod_args()
    annotations = {"ipamd.io/addresses": "10.64.0.77,fd00:64::77", "kubernetes.io/config.source": "api"}
    pod = site.attachment(ID)

    network.add(pod, args, {"io.kubernetes.cri.pod-annotations": annotations, "cgroupPath": "/kubepods/web"})
    network.check(pod, args)

    assert site.inside() == site.held(namespace="default", name="web") == {"10.64.0.77", "fd00:64::77"}
    for gateway in GATEWAYS:
        site.container.ping(gateway)
    network.delete(pod, args)
    network.delete(site.attachment(ID, netns=""), args)
    assert site.held() == set()


def test_a_kubelet_that_calls_cni_itself_names_the_pod_without_its_uid_and_repeats_del(site: Site) -> None:
    network, args = site.network("kubelet.conflist"), pod_args(uid=False)
    # A kubelet hands on ipRanges too, where a configuration declares it; ours must not.
    values = {"portMappings": [], "ipRanges": [[{"subnet": "10.244.3.0/24"}]]}
    pod = site.attachment(ID)

    network.add(pod, args, values)

    assert len(site.inside()) == 2
    assert site.inside() == site.held(namespace="default", name="web")
    site.container.ping(GATEWAYS[0])
    for netns in (None, "", "", ""):
        network.delete(site.attachment(ID, netns), args, values)
    assert site.held() == set()


def test_nerdctl_clears_away_before_add_and_asks_by_ip_and_by_ip6(site: Site) -> None:
    network = site.network("nerdctl.conflist")
    container, gone = site.attachment(f"default-{ID}"), site.attachment(f"default-{ID}", netns="")
    args = "IgnoreUnknown=1;NERDCTL_CNI_DHCP_HOSTNAME=web"
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "0.0.0.0"}]

    for asked, values, wanted in (
        (f"{args};IP=10.64.0.60", {"portMappings": ports}, "10.64.0.60"),
        (args, {"portMappings": ports, "ips": ["fd00:64::60"]}, "fd00:64::60"),
    ):
        network.delete(gone, asked, values)
        network.add(container, asked, values)
        assert wanted in site.inside()
        assert site.inside() == site.held(container_id=f"default-{ID}")
        site.container.ping(GATEWAYS[0])
        network.delete(gone, asked, values)
        site.container.run("ip", "link", "delete", "eth0")
        assert site.held() == set()


def test_nomads_job_names_address_and_workload(site: Site) -> None:
    network, allocation = site.network("nomad.conflist"), site.attachment(ALLOCATION)

    network.add(allocation, f"{NOMAD_ARGS};IP=10.64.0.60;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web")

    assert "10.64.0.60" in site.inside()
    assert site.inside() == site.held(namespace="default", name="web") == site.held(container_id=ALLOCATION)
    site.container.ping(GATEWAYS[0])
    network.delete(allocation)
    assert site.held() == set()


def test_an_add_that_nomad_tries_three_times_in_vain_leaves_nothing(
    site: Site, make_namespace: MakeNamespace
) -> None:
    network, allocation = site.network("nomad.conflist"), site.attachment(ALLOCATION)
    owner = Attachment("owner", str(make_namespace("owner").path))
    network.add(owner, "IgnoreUnknown=true;IP=10.64.0.60")
    held = site.held()

    codes = []
    for _ in range(3):
        with pytest.raises(PluginRefused) as refusal:
            network.add(allocation, f"{NOMAD_ARGS};IP=10.64.0.60")
        codes.append(refusal.value.code)
    network.delete(allocation)

    # The first error is the one that Nomad shows. Then bridge 1.1 finds the interface that it left behind.
    assert codes == [101, 999, 999]
    assert site.held() == held


def test_beside_flannel_a_node_gives_addresses_of_its_own_subnet_alone(
    site: Site, make_namespace: MakeNamespace
) -> None:
    site.service.empty()
    [of_the_page] = shown.pools("networks.md")
    site.service.create_pool(**of_the_page)
    for node, subnet in (("worker-0", "10.244.0.0/24"), ("worker-4", "10.244.4.0/24")):
        site.service.create_pool(node, subnet, selectors={"nodes": [node]})
    network, pod = site.network("flannel.conflist"), site.attachment(ID)
    asking = Attachment("asking", str(make_namespace("asking").path))

    network.add(pod, pod_args())
    network.add(
        asking, pod_args(), {"io.kubernetes.cri.pod-annotations": {"ipamd.io/addresses": "10.244.3.77"}}
    )

    assert site.inside() == {"10.244.3.2"}
    assert site.held(pool=NODE) == site.held() == {"10.244.3.2", "10.244.3.77"}
    site.container.ping("10.244.3.1")
    routes = site.container.run("ip", "route")
    assert routes.count("default via 10.244.3.1") == 1
    assert "10.244.0.0/16 via 10.244.3.1" in routes
    assert "mtu 1450" in site.container.run("ip", "link", "show", "eth0")
    for attachment in (pod, asking):
        network.delete(attachment, pod_args())
    assert site.held() == set()


@pytest.mark.parametrize("page", ["kubernetes.md", "networks.md"])
@pytest.mark.parametrize(
    "asks", [{"isGateway": True}, {"isDefaultGateway": True}], ids=["isGateway", "isDefaultGateway"]
)
@pytest.mark.parametrize("version", ["0.2.0", "0.4.0", "1.0.0"])
def test_the_pools_of_a_page_serve_a_bridge_that_makes_the_default_route_and_one_that_does_not(
    page: str, asks: dict[str, bool], version: str, site: Site
) -> None:
    site.service.empty()
    for pool in shown.pools(page):
        site.service.create_pool(**pool)
    bridge = {"type": "bridge", "bridge": "cni0", **asks, "ipam": {"type": "ipamd-ipam"}}
    network, pod = (
        NetworkList(site.runtime, {"cniVersion": version, "name": "pods", **bridge}),
        site.attachment(ID),
    )

    network.add(pod, pod_args())

    assert site.container.run("ip", "-4", "route").count("default via") == 1
    [address] = site.inside()
    site.container.ping(f"{address.rpartition('.')[0]}.1")
    network.delete(pod, pod_args())


def test_flannels_own_delegate_is_refused_and_the_message_names_the_key(site: Site) -> None:
    # The flannel plugin writes `ranges` into whatever `ipam` it is given.
    plugin = {**shown.network("flannel.conflist")["plugins"][0]}
    plugin["ipam"] = {"type": "ipamd-ipam", "ranges": [[{"subnet": "10.244.3.0/24"}]], "routes": []}

    with pytest.raises(PluginRefused, match="ranges") as refusal:
        NetworkList(site.runtime, {"cniVersion": "1.0.0", "name": "pods", **plugin}).add(site.attachment(ID))

    assert refusal.value.code == 2
