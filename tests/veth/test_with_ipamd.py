"""ipamd-veth asks ipamd itself: what ipamd-ipam does happens in the main plugin's own process."""

import time
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from tests.network.conftest import Ipam
from tests.network.namespace import MakeNamespace, Namespace
from tests.service import IpamdProcess
from tests.veth.beyond import answers, wire
from tests.veth.executable import MainPlugin

Document = dict[str, Any]


@pytest.fixture
def service(ipamd_process: IpamdProcess) -> IpamdProcess:
    """The service with a pool of each family."""
    ipamd_process.create_pool("v4", "10.64.0.0/24", routes=[{"dst": "0.0.0.0/0"}])
    ipamd_process.create_pool("v6", "fd00:64::/64", routes=[{"dst": "::/0"}])
    return ipamd_process


@pytest.fixture
def plugin(service: IpamdProcess, ipam: Ipam, plugin: MainPlugin) -> MainPlugin:
    """The plugin on a node without ipamd-ipam, so that nobody can run it."""
    (plugin.folder / "ipamd-ipam").unlink()
    plugin.network["ipam"] = ipam("v4", "v6", timeout=2)
    plugin.container["CNI_ARGS"] = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0"
    return plugin


@pytest.fixture
def other(plugin: MainPlugin, make_namespace: MakeNamespace) -> MainPlugin:
    """The same for another container."""
    container = {**plugin.container, "CNI_CONTAINERID": "api", "CNI_NETNS": str(make_namespace("other").path)}
    return replace(plugin, container=container)


def standing(node: Namespace) -> set[str]:
    """The names of a node's links, and its routes; what no link carries may be said so or not yet."""
    links = {line.split(": ")[1] for line in node.run("ip", "-o", "link").splitlines()}
    routes = node.run("ip", "route") + node.run("ip", "-6", "route")
    return links | {line.replace(" linkdown", "").strip() for line in routes.splitlines()}


def test_a_container_has_the_addresses_that_ipamd_holds_for_it(
    plugin: MainPlugin, service: IpamdProcess, container: Namespace
) -> None:
    result = plugin.add()

    told = {entry["address"].split("/")[0] for entry in result["ips"]}
    assert {address.split("/")[0] for address in container.addresses("eth0")} == told
    assert service.addresses(container_id="web", name="web-0") == told

    plugin.call("CHECK", plugin.config(prevResult=result))
    ended = plugin.call("DEL")

    assert ended.code == 0, ended
    assert service.addresses() == set()


@pytest.mark.parametrize("length", [28, 124])
def test_the_result_tells_of_a_prefix_and_its_packets_come_to_the_container(
    plugin: MainPlugin,
    service: IpamdProcess,
    container: Namespace,
    node: Namespace,
    make_namespace: MakeNamespace,
    length: int,
) -> None:
    wire(node, make_namespace("beyond"))
    result = plugin.add(plugin.config(args={"cni": {"prefix": length}}))

    [prefix] = result["ipamd.io/prefixes"]
    [row] = [row for row in service.allocations() if row["prefix_length"] is not None]
    assert prefix == f"{row['address']}/{row['prefix_length']}"
    if plugin.network.get("mode") is None:  # on a bridge the container answers for itself
        address = str(ip_network(prefix)[-1])
        container.run("ip", "link", "set", "lo", "up")
        container.run("ip", "address", "add", address, "dev", "lo")
        assert answers(node, address)
    assert plugin.call("CHECK", plugin.config(prevResult=result)).code == 0
    assert plugin.call("DEL").code == 0
    assert service.allocations() == []
    assert prefix not in " ".join(standing(node))


def test_what_ipamd_refuses_is_told_and_nothing_is_left(
    plugin: MainPlugin, service: IpamdProcess, container: Namespace
) -> None:
    error = plugin.call("ADD", plugin.config(runtimeConfig={"ips": ["10.64.0.1"]})).error

    assert error["code"] == 102
    assert "10.64.0.1" in error["msg"]
    assert not container.has_interface("eth0")
    assert service.addresses() == set()


def test_addresses_go_back_where_the_interface_cannot_be_set_up(
    plugin: MainPlugin, service: IpamdProcess, container: Namespace
) -> None:
    routes = [
        {"dst": "10.9.0.0/16", "gw": "10.64.0.9" if plugin.network.get("mode") is None else "fd00:64::9"}
    ]

    error = plugin.call("ADD", plugin.config(ipam={**plugin.network["ipam"], "routes": routes})).error

    assert error["code"] == 7
    assert not container.has_interface("eth0")
    assert service.addresses() == set()


def test_a_repeated_add_frees_nothing_of_a_container_that_lives(
    plugin: MainPlugin, service: IpamdProcess, container: Namespace
) -> None:
    plugin.add()
    held = service.addresses()

    assert plugin.call("ADD").code == 1
    assert service.addresses() == held != set()
    assert {address.split("/")[0] for address in container.addresses("eth0")} == held


def test_while_ipamd_is_down_an_add_may_be_tried_again_and_a_del_waits(
    plugin: MainPlugin, service: IpamdProcess, container: Namespace, other: MainPlugin
) -> None:
    plugin.add()
    held = service.addresses()
    service.kill()

    refused = other.call("ADD").error
    deleted = plugin.call("DEL")

    assert refused["code"] == 11
    assert deleted.code == 0, deleted
    assert not container.has_interface("eth0")
    service.start()
    assert service.addresses() == held
    for _ in range(10):  # each delivers what waits for as long as it may take: a fifth of a second
        assert plugin.call("STATUS", plugin.config(cniVersion="1.1.0")).code == 0
        if not service.addresses():
            return
    pytest.fail("the node's next calls do not deliver what waited")


def test_killed_at_any_moment_it_leaves_nothing_behind_once_the_runtimes_del_has_come(
    plugin: MainPlugin, service: IpamdProcess, node: Namespace, container: Namespace
) -> None:
    plugin.add()  # what the first container brings for all: the bridge
    plugin.call("DEL")
    before = standing(node)

    for number in range(12):
        name = f"web-{number}"
        for verb in ("ADD", "DEL"):
            process = plugin.start(verb, CNI_CONTAINERID=name)
            time.sleep(0.006 * number)
            process.kill()
            process.communicate()
        ended = plugin.call("DEL", CNI_CONTAINERID=name)
        assert ended.code == 0, ended
        assert not container.has_interface("eth0")

    assert standing(node) == before
    assert service.addresses() == set()
    assert plugin.add()["ips"]


def test_gc_frees_what_is_not_named(plugin: MainPlugin, service: IpamdProcess, other: MainPlugin) -> None:
    plugin.add()
    held = service.addresses()
    other.add()
    newest = plugin.config(cniVersion="1.1.0")
    newest["cni.dev/valid-attachments"] = [{"containerID": "web", "ifname": "eth0"}]

    ended = plugin.call("GC", newest)

    assert ended.code == 0, ended
    assert service.addresses() == held
