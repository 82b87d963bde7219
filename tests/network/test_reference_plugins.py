"""Debian's bridge, ptp and macvlan with ipamd-ipam, in every version of the specification they speak."""

import ipaddress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.network.conftest import DEBIAN_PLUGINS, ipam_section
from tests.network.namespace import MakeNamespace, Namespace
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
        first, second = self.first, self.second
        return Attachment(first.name, str(first.path)), Attachment(second.name, str(second.path))


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


@dataclass(frozen=True)
class Space:
    """An address space of one test on a service that others use too."""

    name: str
    service: IpamdProcess
    scratch: Path

    def create_pool(self, family: int, **fields: Any) -> str:
        """Create the pool of a family and return its name."""
        name = f"{self.name}-{family}"
        self.service.create_pool(name, SUBNETS[family], space=self.name, **fields)
        return name

    def section(self, *pools: str) -> Document:
        return ipam_section(self.service, self.scratch, pools)

    def ipam(self, families: tuple[int, ...], *, gateway: bool) -> Document:
        """Create a pool for each family, and return the section that asks for one address of each."""
        fields: dict[int, Document] = {family: {"gateway": None} for family in families}
        if gateway:
            route = {family: {"dst": DEFAULT_ROUTES[family], "gw": GATEWAYS[family]} for family in families}
            fields = {family: {"routes": [route[family]]} for family in families}
        return self.section(*(self.create_pool(family, **fields[family]) for family in families))

    def held(self) -> set[str]:
        """The addresses of this space that are held now."""
        return {item["address"] for item in self.service.allocations() if item["space"] == self.name}


@pytest.fixture
def space(scratch: Path, lasting_ipamd: IpamdProcess) -> Space:
    return Space(scratch.name, lasting_ipamd, scratch)


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


def bare(result: Document) -> set[str]:
    """The addresses of a result, without prefix length."""
    return {str(ipaddress.ip_interface(address).ip) for address in addresses(result)}


@pytest.mark.parametrize("families", FAMILIES.values(), ids=FAMILIES)
def test_containers_reach_gateway_and_each_other_and_give_their_addresses_back(
    main_plugin: str,
    spoken_version: str,
    families: tuple[int, ...],
    space: Space,
    runtime: Runtime,
    containers: Containers,
    uplink: Namespace,
) -> None:
    if main_plugin == "macvlan":
        for family in families:
            length = SUBNETS[family].split("/")[1]
            uplink.run("ip", "address", "add", f"{GATEWAYS[family]}/{length}", "dev", "router")
    config = network(main_plugin, spoken_version, space.ipam(families, gateway=True))
    first, second = containers.attachments

    result = runtime.add(config, first)
    other = runtime.add(config, second)

    assert {ipaddress.ip_interface(address).version for address in addresses(result)} == set(families)
    assert containers.first.addresses("eth0") == addresses(result)
    assert containers.second.addresses("eth0") == addresses(other)
    assert space.held() == bare(result) | bare(other)
    assert_check(runtime, config, first, result)
    for address in {*bare(other), *(GATEWAYS[family] for family in families)}:
        containers.first.ping(address)

    runtime.delete(config, first)
    assert not containers.first.has_interface("eth0")
    assert space.held() == bare(other)
    runtime.delete(config, first)
    runtime.delete(config, replace(second, netns=""))
    assert space.held() == set()


@pytest.mark.parametrize("families", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("main_plugin", ["bridge", "macvlan"])
@pytest.mark.parametrize("version", ["0.2.0", "0.4.0", "1.0.0"])
def test_containers_of_a_pool_without_gateway_reach_each_other(
    main_plugin: str,
    version: str,
    families: tuple[int, ...],
    space: Space,
    runtime: Runtime,
    containers: Containers,
    uplink: Namespace,
) -> None:
    config = {**network(main_plugin, version, space.ipam(families, gateway=False)), "isGateway": False}
    first, second = containers.attachments

    result = runtime.add(config, first)
    # Before the second ADD: a bridge without an address takes another MAC then, which fails bridge's CHECK.
    assert_check(runtime, config, first, result)
    other = runtime.add(config, second)

    assert containers.first.addresses("eth0") == addresses(result)
    for address in bare(other):
        containers.first.ping(address)
    runtime.delete(config, first)
    runtime.delete(config, second)
    assert space.held() == set()


@pytest.mark.parametrize("families", FAMILIES.values(), ids=FAMILIES)
def test_ptp_cannot_do_without_a_gateway_and_leaves_no_address_held(
    families: tuple[int, ...], space: Space, runtime: Runtime, containers: Containers
) -> None:
    config = network("ptp", "1.0.0", space.ipam(families, gateway=False))
    first, _ = containers.attachments

    with pytest.raises(PluginRefused, match="failed to add"):
        runtime.add(config, first)

    assert space.held() == set()


def test_a_gateway_outside_the_subnet_serves_ptp(
    space: Space, runtime: Runtime, containers: Containers
) -> None:
    # Without routes of the pool: ptp adds them before the one to the gateway, and they need that one.
    pool = space.create_pool(4, gateway="169.254.1.1")
    config = network("ptp", "1.0.0", space.section(pool))
    first, second = containers.attachments

    runtime.add(config, first)
    other = runtime.add(config, second)

    for address in {"169.254.1.1", *bare(other)}:
        containers.first.ping(address)


@pytest.mark.parametrize("version", supported_versions(DEBIAN_PLUGINS / "macvlan"))
@pytest.mark.parametrize("subnet", ["fd00:61:0:333::/64", "fd00:61:0:333::7/128"])
def test_a_gateway_that_is_on_the_link_and_outside_the_subnet_serves_containers(
    subnet: str, version: str, space: Space, runtime: Runtime, containers: Containers, uplink: Namespace
) -> None:
    uplink.run("ip", "address", "add", "fd00:61::1/64", "dev", "router", "nodad")
    uplink.run("ip", "route", "add", "fd00:61:0:333::/64", "dev", "router")
    uplink.run("ip", "address", "add", "fd00:99::1/128", "dev", "router", "nodad")
    route = {"dst": "::/0"}
    fields = {"gateway": "fd00:61::1", "gateway_on_link": True, "routes": [route]}
    space.service.create_pool(space.name, subnet, space=space.name, **fields)
    config = network("macvlan", version, space.section(space.name))
    first, _ = containers.attachments

    runtime.add(config, first)

    assert "default via fd00:61::1 dev eth0" in containers.first.run("ip", "-6", "route")
    for address in ("fd00:61::1", "fd00:99::1"):
        containers.first.ping(address)
    runtime.delete(config, first)
    assert space.held() == set()


@pytest.mark.parametrize("main_plugin", MAIN_PLUGINS)
def test_del_succeeds_while_ipamd_is_down_and_arrives_with_a_later_call(
    main_plugin: str,
    scratch: Path,
    ipamd_process: IpamdProcess,
    runtime: Runtime,
    containers: Containers,
    uplink: Namespace,
) -> None:
    space = Space("pods", ipamd_process, scratch)
    config = network(main_plugin, "1.0.0", space.ipam((4, 6), gateway=True))
    first, second = containers.attachments
    result = runtime.add(config, first)
    ipamd_process.kill()

    runtime.delete(config, first)

    assert not containers.first.has_interface("eth0")
    ipamd_process.start()
    assert space.held() == bare(result)
    other = runtime.add(config, second)
    assert space.held() == bare(other)


@pytest.mark.parametrize("main_plugin", ["bridge", "macvlan"])
def test_a_container_joins_one_network_twice_and_leaves_it_once(
    main_plugin: str, space: Space, runtime: Runtime, containers: Containers, uplink: Namespace
) -> None:
    config = network(main_plugin, "1.0.0", space.section(space.create_pool(4)))
    eth0, _ = containers.attachments
    eth1 = replace(eth0, ifname="eth1")

    one = runtime.add(config, eth0)
    two = runtime.add(config, eth1)

    assert containers.first.addresses("eth0") == addresses(one)
    assert containers.first.addresses("eth1") == addresses(two)
    runtime.delete(config, eth1)
    assert space.held() == bare(one)


def test_a_repeated_add_of_a_living_container_under_bridge_keeps_its_address(
    space: Space, runtime: Runtime, containers: Containers
) -> None:
    config = network("bridge", "1.0.0", space.ipam((4, 6), gateway=True))
    first, _ = containers.attachments
    result = runtime.add(config, first)

    with pytest.raises(PluginRefused, match="already exists"):
        runtime.add(config, first)

    assert containers.first.addresses("eth0") == addresses(result)
    assert space.held() == bare(result)
    runtime.check(config, first, result)
