"""Debian's bridge, ptp and macvlan with ipamd-ipam, in every version of the specification they speak."""

import ipaddress
from dataclasses import dataclass

import pytest

from tests.network.conftest import DEBIAN_PLUGINS, Ipam, MakeNamespace
from tests.network.namespace import Namespace
from tests.network.plugin import (
    Attachment,
    Document,
    PluginRefused,
    Runtime,
    addresses,
    supported_versions,
)
from tests.service import IpamdProcess

SUBNETS = {4: "10.61.0.0/24", 6: "fd00:61::/64"}
GATEWAYS = {4: "10.61.0.1", 6: "fd00:61::1"}
DEFAULT_ROUTES = {4: "0.0.0.0/0", 6: "::/0"}
FAMILIES = {"ipv4": (4,), "ipv6": (6,), "dual-stack": (4, 6)}
MAIN_PLUGINS: dict[str, Document] = {
    "bridge": {"type": "bridge", "bridge": "cni0", "isGateway": True},
    "ptp": {"type": "ptp"},
    "macvlan": {"type": "macvlan", "master": "uplink", "mode": "bridge"},
}
FIRST_VERSION_WITH_CHECK = (0, 4, 0)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each plugin and version that the plugin's own VERSION names."""
    if "spoken_version" in metafunc.fixturenames:
        cases = [
            (name, spoken) for name in MAIN_PLUGINS for spoken in supported_versions(DEBIAN_PLUGINS / name)
        ]
        metafunc.parametrize(("main_plugin", "spoken_version"), cases, ids=["-".join(case) for case in cases])


@dataclass(frozen=True)
class Containers:
    """Two containers of one network, each with its namespace."""

    first: Namespace
    second: Namespace

    @property
    def attachments(self) -> tuple[Attachment, Attachment]:
        return Attachment("first", str(self.first.path)), Attachment("second", str(self.second.path))


@pytest.fixture
def containers(make_namespace: MakeNamespace) -> Containers:
    return Containers(make_namespace("first"), make_namespace("second"))


@pytest.fixture
def uplink(node: Namespace) -> Namespace:
    """The node with an interface for macvlan to sit on, and a router behind it that has the gateways."""
    node.run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "switch")
    node.run("ip", "link", "add", "link", "uplink", "name", "router", "type", "macvlan", "mode", "bridge")
    for interface in ("uplink", "switch", "router"):
        node.run("ip", "link", "set", interface, "up")
    return node


def create_pools(service: IpamdProcess, families: tuple[int, ...], *, gateway: bool) -> list[str]:
    for family in families:
        if gateway:
            routes = [{"dst": DEFAULT_ROUTES[family], "gw": GATEWAYS[family]}]
            service.create_pool(f"pods-{family}", SUBNETS[family], routes=routes)
        else:
            service.create_pool(f"pods-{family}", SUBNETS[family], gateway=None)
    return [f"pods-{family}" for family in families]


def network(main_plugin: str, version: str, ipam: Document) -> Document:
    return {"cniVersion": version, "name": "pods", **MAIN_PLUGINS[main_plugin], "ipam": ipam}


def assert_check(runtime: Runtime, config: Document, attachment: Attachment, result: Document) -> None:
    """CHECK agrees right after ADD, or is refused in versions that do not have it (code 1)."""
    if tuple(int(part) for part in config["cniVersion"].split(".")) >= FIRST_VERSION_WITH_CHECK:
        runtime.check(config, attachment, result)
        return
    with pytest.raises(PluginRefused) as refusal:
        runtime.check(config, attachment, result)
    assert refusal.value.code == 1


def bare(address: str) -> str:
    return str(ipaddress.ip_interface(address).ip)


@pytest.mark.parametrize("families", FAMILIES.values(), ids=FAMILIES)
def test_containers_reach_gateway_and_each_other_and_give_their_addresses_back(
    main_plugin: str,
    spoken_version: str,
    families: tuple[int, ...],
    ipamd_process: IpamdProcess,
    ipam: Ipam,
    runtime: Runtime,
    containers: Containers,
    uplink: Namespace,
) -> None:
    pools = create_pools(ipamd_process, families, gateway=True)
    if main_plugin == "macvlan":
        for family in families:
            length = SUBNETS[family].split("/")[1]
            uplink.run("ip", "address", "add", f"{GATEWAYS[family]}/{length}", "dev", "router")
    config = network(main_plugin, spoken_version, ipam(*pools))
    first, second = containers.attachments

    result = runtime.add(config, first)
    other = runtime.add(config, second)

    assert {ipaddress.ip_interface(address).version for address in addresses(result)} == set(families)
    assert containers.first.addresses("eth0") == addresses(result)
    assert containers.second.addresses("eth0") == addresses(other)
    assert ipamd_process.addresses() == {bare(address) for address in addresses(result) | addresses(other)}
    assert_check(runtime, config, first, result)
    for family in families:
        containers.first.ping(GATEWAYS[family])
    for address in addresses(other):
        containers.first.ping(bare(address))

    runtime.delete(config, first)
    assert not containers.first.has_interface("eth0")
    assert ipamd_process.addresses() == {bare(address) for address in addresses(other)}
    runtime.delete(config, first)
    runtime.delete(config, Attachment("second", netns=""))
    assert ipamd_process.addresses() == set()


@pytest.mark.parametrize("families", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("main_plugin", ["bridge", "macvlan"])
@pytest.mark.parametrize("version", ["0.2.0", "0.4.0", "1.0.0"])
def test_containers_of_a_pool_without_gateway_reach_each_other(
    main_plugin: str,
    version: str,
    families: tuple[int, ...],
    ipamd_process: IpamdProcess,
    ipam: Ipam,
    runtime: Runtime,
    containers: Containers,
    uplink: Namespace,
) -> None:
    pools = create_pools(ipamd_process, families, gateway=False)
    config = {**network(main_plugin, version, ipam(*pools)), "isGateway": False}
    first, second = containers.attachments

    result = runtime.add(config, first)
    # Before the second ADD: a bridge without an address takes another MAC then, which fails bridge's CHECK.
    assert_check(runtime, config, first, result)
    other = runtime.add(config, second)

    assert containers.first.addresses("eth0") == addresses(result)
    for address in addresses(other):
        containers.first.ping(bare(address))

    runtime.delete(config, first)
    runtime.delete(config, second)
    assert ipamd_process.addresses() == set()


@pytest.mark.parametrize("families", FAMILIES.values(), ids=FAMILIES)
def test_ptp_cannot_do_without_a_gateway_and_leaves_no_address_held(
    families: tuple[int, ...],
    ipamd_process: IpamdProcess,
    ipam: Ipam,
    runtime: Runtime,
    containers: Containers,
) -> None:
    pools = create_pools(ipamd_process, families, gateway=False)
    config = network("ptp", "1.0.0", ipam(*pools))
    first, _ = containers.attachments

    with pytest.raises(PluginRefused):
        runtime.add(config, first)

    assert ipamd_process.addresses() == set()


def test_a_gateway_outside_the_subnet_serves_ptp(
    ipamd_process: IpamdProcess, ipam: Ipam, runtime: Runtime, containers: Containers
) -> None:
    # Without routes of the pool: ptp adds them before the one to the gateway, and they need that one.
    ipamd_process.create_pool("pods", "10.61.0.0/24", gateway="169.254.1.1")
    config = network("ptp", "1.0.0", ipam("pods"))
    first, second = containers.attachments

    runtime.add(config, first)
    other = runtime.add(config, second)

    containers.first.ping("169.254.1.1")
    for address in addresses(other):
        containers.first.ping(bare(address))
    runtime.delete(config, first)
    runtime.delete(config, second)


@pytest.mark.parametrize("main_plugin", MAIN_PLUGINS)
def test_del_succeeds_while_ipamd_is_down_and_arrives_with_a_later_call(
    main_plugin: str,
    ipamd_process: IpamdProcess,
    ipam: Ipam,
    runtime: Runtime,
    containers: Containers,
    uplink: Namespace,
) -> None:
    pools = create_pools(ipamd_process, (4, 6), gateway=True)
    config = network(main_plugin, "1.0.0", ipam(*pools))
    first, second = containers.attachments
    runtime.add(config, first)
    ipamd_process.kill()

    runtime.delete(config, first)

    assert not containers.first.has_interface("eth0")
    ipamd_process.start()
    assert len(ipamd_process.addresses()) == 2
    other = runtime.add(config, second)
    assert ipamd_process.addresses() == {bare(address) for address in addresses(other)}


@pytest.mark.parametrize("main_plugin", ["bridge", "macvlan"])
def test_a_container_joins_one_network_twice_and_leaves_it_once(
    main_plugin: str,
    ipamd_process: IpamdProcess,
    ipam: Ipam,
    runtime: Runtime,
    containers: Containers,
    uplink: Namespace,
) -> None:
    ipamd_process.create_pool("pods", SUBNETS[4])
    config = network(main_plugin, "1.0.0", ipam("pods"))
    netns = str(containers.first.path)
    eth0, eth1 = Attachment("first", netns, "eth0"), Attachment("first", netns, "eth1")

    one = runtime.add(config, eth0)
    two = runtime.add(config, eth1)

    assert containers.first.addresses("eth0") == addresses(one)
    assert containers.first.addresses("eth1") == addresses(two)
    runtime.delete(config, eth1)
    assert ipamd_process.addresses() == {bare(address) for address in addresses(one)}
    runtime.delete(config, eth0)


def test_a_repeated_add_of_a_living_container_under_bridge_keeps_its_address(
    ipamd_process: IpamdProcess, ipam: Ipam, runtime: Runtime, containers: Containers
) -> None:
    pools = create_pools(ipamd_process, (4, 6), gateway=True)
    config = network("bridge", "1.0.0", ipam(*pools))
    first, _ = containers.attachments
    result = runtime.add(config, first)

    with pytest.raises(PluginRefused):
        runtime.add(config, first)

    assert containers.first.addresses("eth0") == addresses(result)
    assert ipamd_process.addresses() == {bare(address) for address in addresses(result)}
    runtime.check(config, first, result)
