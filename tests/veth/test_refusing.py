"""What ipamd-veth refuses: before anything is touched, with the specification's code, in words."""

from typing import Any

import pytest

from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.beyond import everything, wire
from tests.veth.executable import MainPlugin
from tests.veth.ipam import ThirdParty

Document = dict[str, Any]


@pytest.fixture(autouse=True)
def ipam_plugin(third_party: ThirdParty) -> ThirdParty:
    return third_party


@pytest.mark.parametrize(
    ("ipam", "said"),
    [
        (None, "ipam: is missing"),
        ([], "ipam: must be an object, not []"),
        ({}, "ipam.type: is missing"),
        ({"type": ""}, 'ipam.type: must be the plain name of an IPAM plugin in CNI_PATH, not ""'),
        ({"type": 5}, "ipam.type: must be the plain name of an IPAM plugin in CNI_PATH, not 5"),
        ({"type": "../host-local"}, 'not "../host-local"'),
        ({"type": "/usr/lib/cni/host-local"}, 'not "/usr/lib/cni/host-local"'),
        ({"type": ".."}, 'not ".."'),
        ({"type": "ipamd-veth"}, "ipam.type: ipamd-veth is a main plugin"),
        ({"type": "host-locale"}, "ipam.type: no executable of that name in CNI_PATH"),
    ],
)
def test_an_ipam_section_that_names_no_ipam_plugin(plugin: MainPlugin, ipam: object, said: str) -> None:
    error = plugin.call("ADD", plugin.config(ipam=ipam)).error

    assert error["code"] == 7
    assert said in error["msg"]


def test_a_file_that_is_no_executable_is_no_ipam_plugin(plugin: MainPlugin) -> None:
    (plugin.folder / "readme").write_text("read me")
    (plugin.folder / "folder").mkdir()

    for name in ("readme", "folder"):
        error = plugin.call("ADD", plugin.config(ipam={"type": name})).error
        assert (error["code"], f'"{name}"' in error["msg"]) == (7, True)


def test_cni_path_is_searched_in_order(plugin: MainPlugin, third_party: ThirdParty) -> None:
    folders = f"/nowhere::{plugin.folder}"

    plugin.add(None, CNI_PATH=folders)

    assert third_party.calls == ["ADD"]


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"isGatway": True}, 2, '"isGatway" with value true is unknown; the nearest key is "isGateway"'),
        ({"promiscMode": True}, 2, 'key "promiscMode" with value true'),
        ({"portIsolation": True}, 2, 'key "portIsolation" with value true'),
        ({"vlanTrunk": [{"id": 5}]}, 2, 'key "vlanTrunk" with value [an object]'),
        ({"mode": "macvlan"}, 7, 'mode: must be "routed" or "bridge", not "macvlan"'),
        ({"mtu": 5}, 7, "mtu: must be a number from 68 to 65535"),
        ({"mac": "01:00:5e:00:00:01"}, 7, "mac: must be the MAC of one interface"),
        ({"runtimeConfig": {"mac": "x"}}, 7, "runtimeConfig.mac: must be a MAC"),
        ({"cniVersion": "0.3.2"}, 1, 'cniVersion "0.3.2" is not supported'),
        ({"name": "a b"}, 7, "name: must begin with a letter or digit"),
    ],
)
def test_what_would_be_passed_over_or_is_wrong_touches_nothing(
    plugin: MainPlugin,
    third_party: ThirdParty,
    container: Namespace,
    changes: Document,
    code: int,
    said: str,
) -> None:
    error = plugin.call("ADD", plugin.config(**changes)).error

    assert (error["code"], said in error["msg"]) == (code, True), error
    assert third_party.calls == []
    assert not container.has_interface("eth0")


@pytest.mark.parametrize(
    ("netns", "said"),
    [
        ("NODE", "is where the plugin itself runs"),
        ("/proc/self/ns/net", "is where the plugin itself runs"),
        ("/etc/hostname", "not a network namespace"),
        ("/etc", "not a network namespace"),
        ("/proc/self/ns/mnt", "not a network namespace"),
        ("/run/netns/nowhere", "no such file"),
    ],
)
def test_a_namespace_that_is_none_or_the_nodes_own(
    plugin: MainPlugin, third_party: ThirdParty, node: Namespace, netns: str, said: str
) -> None:
    before = everything(node)

    error = plugin.call("ADD", CNI_NETNS=str(node.path) if netns == "NODE" else netns).error

    assert (error["code"], said in error["msg"]) == (8, True), error
    assert third_party.calls == []
    assert everything(node) == before


BRIDGE = {"mode": "bridge", "bridge": "other0", "isGateway": True}
OTHER_BRIDGE = ("ip link add other0 type bridge",)


@pytest.mark.parametrize(
    ("stands", "changes", "code", "said"),
    [
        pytest.param((), {"mtu": 1401}, 7, "mtu: 1401 is more than the 1400", id="a large MTU"),
        pytest.param(
            ("ip link add other0 type veth peer name other1",),
            BRIDGE,
            7,
            'bridge: interface "other0" is there already and is no bridge, but veth',
            id="no bridge",
        ),
        pytest.param(
            OTHER_BRIDGE,
            {**BRIDGE, "vlan": 5},
            7,
            'vlan: bridge "other0" is there already and does not filter VLANs',
            id="a bridge that filters no VLANs",
        ),
        pytest.param(
            (*OTHER_BRIDGE, "ip address add 10.9.0.1/24 dev other0"),
            BRIDGE,
            7,
            'bridge "other0" has the address 10.9.0.1/24, not 10.5.0.1/24; forceAddress replaces it',
            id="a bridge with another address",
        ),
        pytest.param(
            ("ip route add 10.5.0.7/32 dev up0",),
            {},
            5,
            "route to 10.5.0.7 on the node, where one is by interface up0",
            id="a route of others",
        ),
    ],
)
def test_what_stands_in_the_way_is_named_and_stays_as_it_is(
    plugin: MainPlugin,
    third_party: ThirdParty,
    node: Namespace,
    container: Namespace,
    make_namespace: MakeNamespace,
    stands: tuple[str, ...],
    changes: Document,
    code: int,
    said: str,
) -> None:
    wire(node, make_namespace("beyond"), mtu=1400)
    for command in stands:
        node.run(*command.split())
    before = everything(node)
    network = {key: value for key, value in plugin.network.items() if key not in ("mode", "isGateway")}

    error = plugin.call("ADD", {**network, **changes}).error

    assert (error["code"], said in error["msg"]) == (code, True), error
    assert third_party.calls in ([], ["ADD", "DEL"])
    assert everything(node) == before
    assert not container.has_interface("eth0")


def test_a_mac_in_cni_args_that_is_none_is_a_bad_environment(plugin: MainPlugin) -> None:
    error = plugin.call("ADD", CNI_ARGS="IgnoreUnknown=1;MAC=02:00").error

    assert error["code"] == 4
    assert "MAC in CNI_ARGS" in error["msg"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"ipam": {"type": "gone"}}, 50), ({"isGatway": True}, 50), ({"mtu": "x"}, 50), ({"name": "/"}, 7)],
)
def test_status_says_that_no_add_could_be_served(plugin: MainPlugin, changes: Document, code: int) -> None:
    assert plugin.call("STATUS", plugin.config(cniVersion="1.1.0", **changes)).error["code"] == code


@pytest.mark.parametrize("previous", [{}, {"prevResult": None}, {"prevResult": []}])
def test_check_wants_what_the_runtime_was_told(
    plugin: MainPlugin, third_party: ThirdParty, previous: Document
) -> None:
    plugin.add()

    error = plugin.call("CHECK", {**plugin.config(), **previous}).error

    assert (error["code"], error["msg"].split(":")[0]) == (7, "prevResult")
    assert third_party.calls == ["ADD"]


@pytest.mark.parametrize(
    "attachments",
    [
        {},
        {"cni.dev/valid-attachments": {}},
        {"cni.dev/valid-attachments": ["web"]},
        {"cni.dev/attachments": [{}]},
    ],
)
def test_gc_spares_everything_where_it_is_not_said_who_lives(
    plugin: MainPlugin, third_party: ThirdParty, container: Namespace, attachments: Document
) -> None:
    plugin.add()

    assert plugin.call("GC", {**plugin.config(cniVersion="1.1.0"), **attachments}).error["code"] == 7
    assert container.has_interface("eth0")
    assert third_party.calls == ["ADD"]


def test_verbs_of_newer_versions_are_refused_in_older_ones(plugin: MainPlugin) -> None:
    for verb, version in (("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0")):
        error = plugin.call(verb, plugin.config(cniVersion=version)).error
        assert (error["code"], error["msg"]) == (1, f"config version does not allow {verb}")


def test_version_tells_all_versions_and_wants_nothing_else(plugin: MainPlugin) -> None:
    without = {"CNI_CONTAINERID": None, "CNI_NETNS": None, "CNI_IFNAME": None, "CNI_PATH": None}

    ended = plugin.call("VERSION", {"cniVersion": "0.4.0"}, **without)

    assert ended.json == {
        "cniVersion": "0.4.0",
        "supportedVersions": ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
    }


def test_without_a_command_it_says_what_it_is(plugin: MainPlugin) -> None:
    ended = plugin.call("ADD", CNI_COMMAND=None)

    assert (ended.code, ended.stdout) == (0, b"")
    assert b"ipamd-veth" in ended.stderr


def test_variables_that_are_missing_are_named_all_at_once(plugin: MainPlugin) -> None:
    error = plugin.call("ADD", CNI_NETNS=None, CNI_IFNAME=None).error

    assert error["code"] == 4
    assert "[CNI_NETNS,CNI_IFNAME]" in error["msg"]


def test_stdin_that_is_no_json_is_refused(plugin: MainPlugin, third_party: ThirdParty) -> None:
    assert plugin.call("ADD", b'{"name": "pods",}').error["code"] == 6
    assert third_party.calls == []
