"""DEL takes the interface away and frees the addresses, whatever its configuration has lost or got wrong."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.network.conftest import ipam_section
from tests.network.namespace import Host, Namespace
from tests.service import IpamdProcess
from tests.veth.executable import Document, MainPlugin
from tests.veth.ipam import ThirdParty

GONE: Any = "taken away"
UNUSABLE = [
    GONE,
    None,
    {},
    [],
    5,
    "ipamd-ipam",
    {"type": None},
    {"type": 5},
    {"type": ""},
    {"type": ".."},
    {"type": "/opt/cni/bin/ipamd-ipam"},
    {"type": "../ipamd-ipam"},
    {"type": "ipamd-veth"},
    {"pools": [], "timeout": "x"},
]
NOT_NEEDED: list[Document] = [
    {"cniVersion": GONE},
    {"cniVersion": None},
    {"cniVersion": ""},
    {"cniVersion": 5},
    {"cniVersion": "9.9.9"},
    {"prevResult": None},
    {"prevResult": 5},
    {"prevResult": {"cniVersion": "9.9.9", "ips": 5, "interfaces": [None]}},
    {"mode": 5},
    {"mode": "macvlan", "bridge": ["a b"], "vlan": -1},
    {"mtu": "x", "mac": 5, "dns": [], "gateway": 7, "ipMasq": "yes", "ipMasqBackend": "iptables"},
    {"isGatway": True, "promiscMode": True},
    {"runtimeConfig": [], "args": 5, "capabilities": "x"},
]


@dataclass(frozen=True)
class OfItsOwn:
    """A node whose usual state folder is the test's."""

    node: Host
    state: Path

    def prefix(self) -> list[str]:
        usual = "/var/lib/ipamd-node"
        mount = f'mkdir -p {usual} && mount --bind {shlex.quote(str(self.state))} {usual} && exec "$@"'
        return [*self.node.prefix(), "unshare", "--mount", "sh", "-c", mount, "sh"]


@pytest.fixture
def mode() -> Document:
    return {}


@pytest.fixture
def plugin(plugin: MainPlugin, third_party: ThirdParty, scratch: Path) -> MainPlugin:
    state = scratch / "usual"
    state.mkdir()
    plugin.node = OfItsOwn(plugin.node, state)
    return plugin


@pytest.fixture
def service(lasting_ipamd: IpamdProcess) -> IpamdProcess:
    lasting_ipamd.empty()
    lasting_ipamd.create_pool("v4", "10.64.0.0/24")
    lasting_ipamd.create_pool("v6", "fd00:64::/64")
    return lasting_ipamd


@pytest.fixture
def with_ipamd(plugin: MainPlugin, service: IpamdProcess, scratch: Path) -> MainPlugin:
    """The plugin with addresses from ipamd."""
    plugin.network["ipam"] = ipam_section(service, scratch, ["v4", "v6"])
    return plugin


def changed(config: Document, **changes: Any) -> Document:
    return {key: value for key, value in {**config, **changes}.items() if value is not GONE}


@pytest.mark.parametrize("ipam", UNUSABLE, ids=str)
def test_what_ipamd_gave_is_freed_though_the_del_does_not_say_whom_to_ask(
    with_ipamd: MainPlugin, service: IpamdProcess, container: Namespace, ipam: object
) -> None:
    with_ipamd.add()
    assert len(service.addresses()) == 2

    ended = with_ipamd.call("DEL", changed(with_ipamd.config(), ipam=ipam))

    assert (ended.code, ended.stdout) == (0, b""), ended
    assert not container.has_interface("eth0")
    assert service.addresses() == set()


@pytest.mark.parametrize("ipam", UNUSABLE, ids=str)
def test_where_nobody_can_be_asked_the_container_ends_with_a_word_for_people(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace, ipam: object
) -> None:
    plugin.add()

    ended = plugin.call("DEL", changed(plugin.config(), ipam=ipam))

    assert (ended.code, ended.stdout) == (0, b""), ended
    assert b"no IPAM plugin is asked to free addresses: ipam" in ended.stderr
    assert not container.has_interface("eth0")
    assert third_party.calls == ["ADD"]


@pytest.mark.parametrize("changes", NOT_NEEDED, ids=str)
def test_keys_that_a_del_does_not_need_are_not_looked_at(
    with_ipamd: MainPlugin, service: IpamdProcess, container: Namespace, changes: Document
) -> None:
    with_ipamd.add()

    ended = with_ipamd.call("DEL", changed(with_ipamd.config(), **changes))

    assert (ended.code, ended.stdout) == (0, b""), ended
    assert not container.has_interface("eth0")
    assert service.addresses() == set()


@pytest.mark.parametrize(
    "variables",
    [
        {"CNI_ARGS": "MAC=x"},
        {"CNI_ARGS": ";;=;IP=none;K8S_POD_NAME"},
        {"CNI_ARGS": "A=\udcff"},
        {"CNI_NETNS": ""},
        {"CNI_NETNS": "/run/netns/nowhere"},
        {"CNI_NETNS": "/etc/hostname"},
        {"CNI_NETNS": "/etc"},
        {"CNI_NETNS": "/proc/self/ns/net"},
        {"CNI_NETNS": "\udcff"},
        {"CNI_NETNS_OVERRIDE": "\udcff"},
    ],
    ids=str,
)
def test_variables_that_a_del_does_not_need_are_not_looked_at(
    with_ipamd: MainPlugin, service: IpamdProcess, container: Namespace, variables: dict[str, str]
) -> None:
    with_ipamd.add()

    ended = with_ipamd.call("DEL", None, **variables)

    assert (ended.code, ended.stdout) == (0, b""), ended
    assert not container.has_interface("eth0")
    assert service.addresses() == set()


def test_names_may_be_as_long_and_as_large_as_the_specification_allows(
    with_ipamd: MainPlugin, service: IpamdProcess, container: Namespace
) -> None:
    network = with_ipamd.config(name="Pods_OF.Zone-1" * 9)
    names = {"CNI_CONTAINERID": "Web." + "0_A-" * 31, "CNI_IFNAME": "Größe-Eth#12"}
    with_ipamd.add(network, **names)
    assert len(service.addresses()) == 2

    ended = with_ipamd.call("DEL", network, **names)

    assert (ended.code, ended.stdout) == (0, b""), ended
    assert not container.has_interface("Größe-Eth#12")
    assert service.addresses() == set()


def test_addresses_of_a_plugin_that_is_not_there_are_freed_when_it_is_again(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace
) -> None:
    plugin.add()
    there = plugin.folder / "third-party"
    there.rename(plugin.folder / "away")

    error = plugin.call("DEL").error
    (plugin.folder / "away").rename(there)
    again = plugin.call("DEL")

    assert (error["code"], '"third-party"' in error["msg"]) == (11, True)
    assert not container.has_interface("eth0")
    assert again.code == 0, again
    assert third_party.calls == ["ADD", "DEL"]


@pytest.mark.parametrize("ipam", [GONE, None, {"type": "../ipamd-ipam"}], ids=str)
def test_gc_frees_at_ipamd_likewise(
    with_ipamd: MainPlugin, service: IpamdProcess, container: Namespace, ipam: object
) -> None:
    newest = with_ipamd.config(cniVersion="1.1.0")
    newest["cni.dev/valid-attachments"] = []
    with_ipamd.add(newest)

    ended = with_ipamd.call("GC", changed(newest, ipam=ipam))

    assert (ended.code, ended.stdout) == (0, b""), ended
    assert not container.has_interface("eth0")
    assert service.addresses() == set()
