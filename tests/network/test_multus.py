"""Two networks in one pod, by the calls of Multus: the cluster's own on eth0, then macvlan on net1.

Multus runs each network's configuration as a container runtime does, with the pod's container ID, its own
CNI_ARGS and an interface for each; what an annotation wants comes as the capability `ips` or in `args.cni`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from tests.ctl.conftest import Ipamctl
from tests.network import shown
from tests.network.conftest import DEBIAN_PLUGINS
from tests.network.installed import BINARIES, InstalledNode, installed_node
from tests.network.libcni import NetworkList
from tests.network.namespace import MakeNamespace, Namespace
from tests.network.plugin import Attachment, Document, PluginRefused, Runtime
from tests.service import IpamdProcess

ID = "0c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f50617283940a1b2c3d4e5f60718293a4b"
ARGS = (
    "IgnoreUnknown=true;K8S_POD_NAMESPACE=default;K8S_POD_NAME=db-0;"
    f"K8S_POD_INFRA_CONTAINER_ID={ID};K8S_POD_UID=1f0a6c1e-3c55-4a53-8e0d-0d5a4b6f7e21"
)
ROUTER = "10.80.0.1"


@pytest.fixture
def service(lasting_ipamd: IpamdProcess) -> IpamdProcess:
    lasting_ipamd.empty()
    lasting_ipamd.create_pool("pods-v4", "10.64.0.0/16", routes=[{"dst": "0.0.0.0/0"}])
    lasting_ipamd.create_pool("pods-v6", "fd00:64::/64", routes=[{"dst": "::/0"}])
    lasting_ipamd.create_pool("storage", "10.80.0.0/24", gateway=None, exclusions=[ROUTER])
    return lasting_ipamd


@pytest.fixture
def installed(service: IpamdProcess, node: Namespace) -> Iterator[InstalledNode]:
    """A node with a second interface, eth1, and a router in the network behind it."""
    node.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "switch")
    node.run("ip", "link", "add", "link", "eth1", "name", "router", "type", "macvlan", "mode", "bridge")
    for interface in ("eth1", "switch", "router"):
        node.run("ip", "link", "set", interface, "up")
    node.run("ip", "address", "add", f"{ROUTER}/24", "dev", "router")
    with installed_node(node, DEBIAN_PLUGINS) as made:
        made.install(service.endpoint)
        yield made


@dataclass(frozen=True)
class Multus:
    """Attaches one pod to the networks of its annotation."""

    cluster: NetworkList
    storage: NetworkList
    pod: Namespace

    def attachment(self, ifname: str) -> Attachment:
        return Attachment(ID, str(self.pod.path), ifname)

    def attach(self, selection: Document) -> None:
        """Have the pod join both; the selection is that of its annotation `k8s.v1.cni.cncf.io/networks`."""
        self.cluster.add(self.attachment("eth0"), ARGS)
        if "cni-args" in selection:
            self.storage.document["args"] = {"cni": selection["cni-args"]}
        values = {"ips": selection["ips"]} if "ips" in selection else {}
        self.storage.add(self.attachment("net1"), ARGS, values)

    def detach(self) -> None:
        """Have it leave both, the last one first."""
        self.storage.delete(self.attachment("net1"), ARGS)
        self.cluster.delete(self.attachment("eth0"), ARGS)

    def addresses(self, ifname: str) -> set[str]:
        return {address.split("/")[0] for address in self.pod.addresses(ifname)}


@pytest.fixture
def multus(installed: InstalledNode, make_namespace: MakeNamespace) -> Multus:
    runtime = Runtime(installed, BINARIES)
    definition = yaml.safe_load(shown.path("storage.yaml").read_text())
    storage = NetworkList(runtime, json.loads(definition["spec"]["config"]))
    cluster = NetworkList(runtime, shown.network("containerd.conflist"))
    return Multus(cluster, storage, make_namespace("pod"))


@pytest.fixture
def ipamctl(service: IpamdProcess) -> Ipamctl:
    return Ipamctl(service.folder, {"IPAMD_ENDPOINT": service.endpoint})


def told(ipamctl: Ipamctl) -> dict[str, set[str]]:
    """What an admin sees of the pod, by interface."""
    items = ipamctl.json("allocation", "list", "--namespace", "default", "--name", "db-0")["items"]
    by_interface: dict[str, set[str]] = {}
    for item in items:
        by_interface.setdefault(item["ifname"], set()).add(item["address"].split("/")[0])
    return by_interface


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        ({"name": "storage", "ips": ["10.80.0.30/24"]}, "10.80.0.30"),
        ({"name": "storage", "cni-args": {"ips": ["10.80.0.32"]}}, "10.80.0.32"),
        ({"name": "storage"}, "10.80.0.2"),
    ],
    ids=["ips", "cni-args", "no-wish"],
)
def test_a_pod_joins_the_clusters_network_and_a_macvlan_with_what_its_annotation_asks_for(
    selection: Document, wanted: str, multus: Multus, ipamctl: Ipamctl
) -> None:
    multus.attach(selection)

    eth0, net1 = multus.addresses("eth0"), multus.addresses("net1")
    assert net1 == {wanted}
    assert told(ipamctl) == {"eth0": eth0, "net1": net1}
    for address in ("10.64.0.1", "fd00:64::1", ROUTER):
        multus.pod.ping(address)
    multus.detach()
    assert told(ipamctl) == {}


def test_a_pod_whose_second_network_is_refused_gives_back_its_first(
    multus: Multus, service: IpamdProcess, ipamctl: Ipamctl
) -> None:
    with pytest.raises(PluginRefused, match="excluded") as refusal:
        multus.attach({"name": "storage", "ips": [ROUTER]})
    assert refusal.value.code == 102

    multus.detach()

    assert service.addresses() == set()
