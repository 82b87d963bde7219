"""What a plugin's call is read as, and what it is refused for."""

import json
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from ipamd.cni.error import CniError
from ipamd.cni.request import StatusScope, read_add, read_check, read_del, read_gc, read_status
from ipamd.models.allocation import NetworkNamespace, Workload
from ipamd.models.identity import Identity
from ipamd.models.issued import Issued
from ipamd.models.pool import Dns, Route

BOOT = "0b7a9d0e-6f4b-4a39-9c3b-3e9f6f1f7a11"
ANNOTATIONS = "io.kubernetes.cri.pod-annotations"


def body(config: Mapping[str, Any] | None = None, /, **changes: Any) -> bytes:
    """A call as the plugin sends it, with another configuration or other keys."""
    call = {
        "container_id": "c1",
        "netns": "/run/netns/c1",
        "netns_id": [4, 4026532000],
        "ifname": "eth0",
        "args": "",
        "path": "/opt/cni/bin",
        "cluster": "default",
        "node": "n1",
        "issued": {"boot": BOOT, "uptime_ns": 12, "time": "2026-01-31T12:00:00Z"},
        "undo": False,
        "spooled": 0,
        "timeout": 10,
        "config": {"cniVersion": "1.1.0", "name": "pods", "ipam": {"type": "ipamd-ipam"}, **(config or {})},
    }
    return json.dumps(
        {key: value for key, value in {**call, **changes}.items() if value != "left out"}
    ).encode()


def refusal(read: Any, raw: bytes) -> CniError:
    with pytest.raises(CniError) as caught:
        read(raw)
    return caught.value


def test_an_add_is_read_whole() -> None:
    raw = body(
        {
            "ipam": {
                "type": "ipamd-ipam",
                "pools": ["a", ["b", "c"]],
                "routes": [{"dst": "0.0.0.0/0", "gw": "10.0.0.1", "mtu": 1400, "scope": 0}],
                "dns": {"nameservers": ["10.0.0.53"], "search": ["example.org"]},
            }
        },
        args="IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=front-0;K8S_POD_UID=u1",
        cluster="east",
        timeout=3.5,
    )

    call = read_add(raw)

    assert call.request.holder == Identity("east", "pods", "n1", "c1", "eth0")
    assert call.request.pool_names == (("a",), ("b", "c"))
    assert call.request.workload == Workload("web", "front-0", "u1")
    assert call.request.issued == Issued(BOOT, 12, "2026-01-31T12:00:00Z")
    assert call.request.netns == NetworkNamespace(4, 4026532000)
    assert call.request.timeout == 3.5
    assert call.results.additions.routes == (
        Route(ip_network("0.0.0.0/0"), ip_address("10.0.0.1"), mtu=1400, scope=0),
    )
    assert call.results.additions.dns == Dns(nameservers=("10.0.0.53",), search=("example.org",))


def test_what_lies_between_cluster_and_timeout_may_be_left_out() -> None:
    optional: dict[str, Any] = dict.fromkeys(("cluster", "issued", "undo", "spooled", "timeout"), "left out")

    call = read_add(body(**optional))

    assert call.caller.identity.cluster == "default"
    assert call.request.issued is None
    assert call.request.timeout == 10


def test_a_configuration_without_version_is_of_the_oldest() -> None:
    raw = json.loads(body())
    del raw["config"]["cniVersion"]

    assert read_add(json.dumps(raw).encode()).caller.version == "0.1.0"


def test_keys_of_other_plugins_are_passed_over() -> None:
    config = {
        "bridge": "cni0",
        "isGateway": True,
        "Pools": ["x"],
        "capabilities": {"ips": True},
        "runtimeConfig": {"mac": "02:00:00:00:00:01", "portMappings": [{"hostPort": 80}]},
        "args": {"labels": [], "cni": {"mac": "02:00:00:00:00:01"}},
    }

    assert read_add(body(config)).request.pool_names == ()


WISHES: dict[str, Any] = {
    "runtimeConfig": {
        "ips": ["10.0.0.11/24"],
        ANNOTATIONS: {"ipamd.io/addresses": "10.0.0.14"},
    },
    "args": {"cni": {"ips": ["10.0.0.12"]}},
}


@pytest.mark.parametrize(
    ("taken_away", "first"),
    [
        ((), "10.0.0.11"),
        (("ips",), "10.0.0.12"),
        (("ips", "args"), "10.0.0.13"),
        (("ips", "args", "IP"), "10.0.0.14"),
    ],
)
def test_of_four_ways_to_ask_for_an_address_the_first_that_is_present_counts(
    taken_away: tuple[str, ...], first: str
) -> None:
    config = json.loads(json.dumps(WISHES))
    if "ips" in taken_away:
        del config["runtimeConfig"]["ips"]
    if "args" in taken_away:
        del config["args"]
    args = "" if "IP" in taken_away else "IP=10.0.0.13/16"

    assert read_add(body(config, args=args)).request.requested == (ip_address(first),)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("10.0.0.5", ["10.0.0.5"]),
        ("10.0.0.5, fd00::5", ["10.0.0.5", "fd00::5"]),
        ('["10.0.0.5/24", "fd00::5/64"]', ["10.0.0.5", "fd00::5"]),
        ("", []),
    ],
)
def test_the_annotation_lists_addresses(written: str, read: list[str]) -> None:
    config = {"runtimeConfig": {ANNOTATIONS: {"ipamd.io/addresses": written}}}

    assert read_add(body(config)).request.requested == tuple(map(ip_address, read))


@pytest.mark.parametrize(
    ("annotations", "ifname", "pool_names"),
    [
        ({"ipamd.io/pools": "a,b"}, "eth0", (("a",), ("b",))),
        ({"ipamd.io/pools": "a, b\n"}, "eth0", (("a",), ("b",))),
        ({"ipamd.io/pools": '["a", "b"]'}, "eth0", (("a",), ("b",))),
        ({"ipamd.io/pools": '[["a", "b"], "c"]'}, "eth0", (("a", "b"), ("c",))),
        ({"ipamd.io/pools": "a", "ipamd.io/pools.pods": "b"}, "eth0", (("b",),)),
        ({"ipamd.io/pools": "a"}, "net1", (("configured",),)),
        ({"ipamd.io/pools.pods": "b"}, "net1", (("b",),)),
        ({"ipamd.io/pools.other": "b"}, "eth0", (("configured",),)),
        ({"ipamd.io/pools": " "}, "eth0", (("configured",),)),
    ],
)
def test_an_annotation_replaces_the_pools_of_the_network_it_means(
    annotations: dict[str, str], ifname: str, pool_names: tuple[tuple[str, ...], ...]
) -> None:
    config = {"ipam": {"pools": ["configured"]}, "runtimeConfig": {ANNOTATIONS: annotations}}

    assert read_add(body(config, ifname=ifname)).request.pool_names == pool_names


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"ipam": {"pools": [["a", 5]]}}, "ipam.pools[0][1]: expected a string, got 5"),
        ({"ipam": {"pools": "a"}}, 'ipam.pools: expected a list, got "a"'),
        ({"ipam": {"pools": [[]]}}, "ipam.pools[0]: is empty"),
        ({"ipam": {"pools": [{"name": "a"}]}}, "ipam.pools[0]: expected a string or a list of strings"),
        ({"ipam": {"pools": ["a b"]}}, 'ipam.pools[0]: "a b" is not the name of a pool'),
        ({"ipam": {"pools": ["a\n"]}}, 'ipam.pools[0]: "a\\n" has characters that cannot be printed'),
        ({"ipam": []}, "ipam: expected an object, got a list"),
        ({"ipam": None}, "ipam: is missing"),
        (
            {"ipam": {"timeout": "10"}},
            'ipam.timeout: must be a number of seconds, more than 0 and at most 600, not "10"',
        ),
        ({"ipam": {"timeout": 601}}, "ipam.timeout: must be a number of seconds"),
        ({"ipam": {"status": "always"}}, 'installation, service, capacity, not "always"'),
        (
            {"ipam": {"node": ""}},
            'ipam.node: must be a name of 1 to 253 bytes without blanks and control characters, not ""',
        ),
        ({"ipam": {"stateDir": "here"}}, 'ipam.stateDir: must be an absolute path, not "here"'),
        (
            {"ipam": {"endpoint": "127.0.0.1:8750"}},
            "ipam.endpoint: must be http://, https:// or unix:///path",
        ),
        ({"ipam": {"endpoint": []}}, "ipam.endpoint: must be"),
        ({"ipam": {"routes": [{"gw": "10.0.0.1"}]}}, "ipam.routes[0].dst: expected a string, got null"),
        ({"ipam": {"routes": [{"dst": "10.0.0.1/8"}]}}, "ipam.routes[0].dst: '10.0.0.1/8' has host bits set"),
        ({"ipam": {"routes": [{"dst": "::/0", "gw": "10.0.0.1"}]}}, "ipam.routes[0].gw: 10.0.0.1 is not in"),
        ({"ipam": {"routes": [{"dst": "::/0", "mtu": "x"}]}}, 'routes[0].mtu: expected an integer, got "x"'),
        ({"ipam": {"routes": [{"dst": "::/0", "mtu": True}]}}, "mtu: expected an integer, got true"),
        ({"ipam": {"routes": [{"dst": "::/0", "mtu": 2**40}]}}, "mtu: expected 0 to 4294967295, got 1099"),
        ({"ipam": {"dns": {"nameservers": ["x"]}}}, "ipam.dns.nameservers[0]: 'x' is not an IPv4"),
        ({"ipam": {"dns": {"search": [1]}}}, "ipam.dns.search[0]: expected a string, got 1"),
        ({"name": "-pods"}, 'name: "-pods" is not a name of a network'),
        ({"name": None}, "name: expected a string, got null"),
        ({"cniVersion": 1}, "cniVersion: expected a string, got 1"),
        ({"runtimeConfig": {"ips": ["10.0.0.05"]}}, "runtimeConfig.ips[0]: '10.0.0.05' is not an IPv4"),
        ({"runtimeConfig": {"ips": ["::ffff:10.0.0.5"]}}, "an IPv4-mapped IPv6 address: write 10.0.0.5"),
        ({"runtimeConfig": {"ips": ["fe80::1%eth0"]}}, "runtimeConfig.ips[0]: 'fe80::1%eth0' has a zone"),
        ({"runtimeConfig": {"ips": ["10.0.0.5/33"]}}, "has an invalid prefix length"),
        ({"runtimeConfig": {"ips": ["10.0.0.5/"]}}, "has an invalid prefix length"),
        ({"runtimeConfig": {"ips": ["10.0.0.5/08"]}}, "has an invalid prefix length"),
        ({"runtimeConfig": {"ips": ["10.0.0.5/²"]}}, "has an invalid prefix length"),
        ({"runtimeConfig": {"ips": ["10.0.0.5\0"]}}, "has characters that cannot be printed"),
        ({"runtimeConfig": {"ips": ["10.0.0.5", "10.0.0.5/24"]}}, "[1]: 10.0.0.5 is requested twice"),
        ({"runtimeConfig": {"ips": [167772165]}}, "runtimeConfig.ips[0]: expected a string, got 167772165"),
        ({"runtimeConfig": {"ips": "10.0.0.5"}}, 'runtimeConfig.ips: expected a list, got "10.0.0.5"'),
        ({"runtimeConfig": 7}, "runtimeConfig: expected an object, got 7"),
        ({"args": {"cni": {"ips": [None]}}}, "args.cni.ips[0]: expected a string, got null"),
        ({"runtimeConfig": {ANNOTATIONS: {"ipamd.io/addresses": "[1"}}}, "annotation ipamd.io/addresses: "),
        ({"runtimeConfig": {ANNOTATIONS: {"ipamd.io/pools": 5}}}, "ipamd.io/pools: expected a string, got 5"),
        (
            {"runtimeConfig": {ANNOTATIONS: {"ipamd.io/pools": "[[1]]"}}},
            "pools[0][0]: expected a string, got 1",
        ),
    ],
)
def test_a_wrong_configuration_is_code_7_with_key_and_value(config: dict[str, Any], message: str) -> None:
    error = refusal(read_add, body(config))

    assert (error.code, error.status) == (7, 422)
    assert message in error.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"node": "left out"}, "node: expected a string, got null"),
        ({"node": 5}, "node: expected a string, got 5"),
        ({"node": "a\x1b[31m"}, 'node: "a\\u001b[31m" has characters that cannot be printed'),
        ({"cluster": ""}, "cluster: is empty"),
        ({"cluster": "x" * 254}, "is longer than 253 characters"),
        ({"timeout": 0}, "timeout: expected more than 0 seconds, got 0"),
        ({"timeout": "10"}, 'timeout: expected a number of seconds, got "10"'),
        ({"timeout": True}, "timeout: expected a number of seconds, got true"),
        ({"spooled": -1}, "spooled: expected 0 to"),
        ({"spooled": 2**64}, "spooled: expected 0 to"),
        ({"netns_id": [1]}, "netns_id: expected a list of device and inode, got a list"),
        ({"netns_id": [1, "2"]}, 'netns_id[1]: expected an integer, got "2"'),
        ({"issued": {"boot": "x", "uptime_ns": 1}}, 'issued.boot: "x" is not a UUID'),
        ({"issued": {"boot": BOOT + "\n", "uptime_ns": 1}}, "has characters that cannot be printed"),
        ({"issued": {"boot": BOOT, "uptime_ns": 1.5}}, "issued.uptime_ns: expected an integer, got 1.5"),
        ({"issued": {"boot": BOOT, "uptime_ns": -1}}, "issued.uptime_ns: expected 0 to"),
        ({"issued": {"boot": BOOT, "uptime_ns": 1, "x": 1}}, 'issued: has an unknown key "x"'),
        ({"issued": []}, "issued: expected an object, got a list"),
        ({"config": []}, "config: expected an object, got a list"),
        ({"config": "left out"}, "config: expected an object, got null"),
    ],
)
def test_a_wrong_call_is_code_7_with_key_and_value(changes: dict[str, Any], message: str) -> None:
    error = refusal(read_add, body(**changes))

    assert error.code == 7
    assert message in error.message


@pytest.mark.parametrize(
    "key", ["ranges", "subnet", "rangeStart", "rangeEnd", "gateway", "resolvConf", "range", "exclude", "pool"]
)
def test_what_tells_another_plugin_which_addresses_to_give_is_unsupported(key: str) -> None:
    error = refusal(read_add, body({"ipam": {"type": "ipamd-ipam", key: "10.1.0.0/16"}}))

    assert error.code == 2
    assert error.message == f'unsupported field ipam.{key}: "10.1.0.0/16"'


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"ipam": {"poools": [["a"]]}}, "unsupported field ipam.poools: a list; did you mean ipam.pools?"),
        ({"ipam": {"Pools": ["a"]}}, "ipam.Pools: a list; did you mean ipam.pools?"),
        ({"ipam": {"ipv4_pools": ["a"]}}, "ipam.ipv4_pools: a list; did you mean ipam.pools?"),
        ({"ipam": {"ippool": "a"}}, 'ipam.ippool: "a"; did you mean ipam.pools?'),
        ({"ipam": {"route": []}}, "ipam.route: a list; did you mean ipam.routes?"),
        ({"ipam": {"nodename": "n"}}, 'ipam.nodename: "n"; did you mean ipam.node?'),
        ({"ipam": {"timeOut": 3}}, "ipam.timeOut: 3; did you mean ipam.timeout?"),
        ({"ipam": {"token_file": "/t"}}, 'ipam.token_file: "/t"; did you mean ipam.tokenFile?'),
        ({"ipam": {"qqqq": 1}}, "ipam.qqqq: 1; known: type, endpoint, pools"),
        ({"ipam": {"a\x1b[31m": 1}}, 'ipam."a\\u001b[31m": 1; '),
        (
            {"ipam": {"routes": [{"dst": "10.0.0.0/8"}, {"dst": "10.0.0.0/8", "via": "10.0.0.9"}]}},
            'ipam.routes[1].via: "10.0.0.9"; known: dst, gw, mtu',
        ),
        ({"ipam": {"routes": [{"dest": "10.0.0.0/8"}]}}, "did you mean ipam.routes[0].dst?"),
        ({"ipam": {"routes": [{"dst": "::/0", "GW": "::1"}]}}, "did you mean ipam.routes[0].gw?"),
        ({"ipam": {"dns": {"nameserver": ["10.0.0.53"]}}}, "did you mean ipam.dns.nameservers?"),
        (
            {"runtimeConfig": {ANNOTATIONS: {"ipamd.io/adresses": "10.0.0.7"}}},
            'annotation "ipamd.io/adresses": "10.0.0.7"; did you mean ipamd.io/addresses?',
        ),
        ({"runtimeConfig": {ANNOTATIONS: {"ipamd.io/pool.pods": "a"}}}, "did you mean ipamd.io/pools.pods?"),
        ({"runtimeConfig": {ANNOTATIONS: {"ipamd.io/pools.": "a"}}}, 'annotation "ipamd.io/pools."'),
        ({"runtimeConfig": {ANNOTATIONS: {"IPAMD.io/pools": "a"}}}, "did you mean ipamd.io/pools?"),
    ],
)
@pytest.mark.parametrize("read", [read_add, read_status])
def test_a_key_that_nobody_knows_is_named_with_the_nearest_one(
    read: Any, config: dict[str, Any], message: str
) -> None:
    error = refusal(read, body(config))

    assert (error.code, error.status) == (2, 400)
    assert message in error.message


def test_what_looks_after_a_container_or_frees_it_passes_over_keys_that_nobody_knows() -> None:
    config = {
        "ipam": {"poools": [], "routes": [{"via": 1}], "dns": {"x": 1}},
        "runtimeConfig": {ANNOTATIONS: {"ipamd.io/x": ""}},
        "prevResult": {},
        "cni.dev/valid-attachments": [],
    }

    for read in (read_check, read_del, read_gc):
        assert read(body(config, later=1, issued={"boot": BOOT, "uptime_ns": 1, "later": 1})).caller


def test_annotations_of_others_are_theirs() -> None:
    annotations = {"example.com/ipamd.io": "x", "ipamd.iox/pools": "a", "ipamd": "b"}

    assert read_add(body({"runtimeConfig": {ANNOTATIONS: annotations}})).request.pool_names == ()


def test_the_ranges_of_a_runtime_are_unsupported() -> None:
    error = refusal(read_add, body({"runtimeConfig": {"ipRanges": [[{"subnet": "10.1.0.0/16"}]]}}))

    assert (error.code, error.message) == (2, "unsupported field runtimeConfig.ipRanges: a list")


def test_an_unknown_key_of_the_call_is_unsupported() -> None:
    error = refusal(read_add, body(force=True))

    assert (error.code, error.message) == (2, 'unsupported field "force": true')


@pytest.mark.parametrize(
    ("read", "changes", "message"),
    [
        (
            read_add,
            {"container_id": "left out", "netns": "", "ifname": None, "path": ""},
            "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing",
        ),
        (read_check, {"netns": ""}, "required env variables [CNI_NETNS] missing"),
        (read_del, {"ifname": "", "path": None}, "required env variables [CNI_IFNAME,CNI_PATH] missing"),
        (read_gc, {"path": ""}, "required env variables [CNI_PATH] missing"),
        (read_status, {"path": ""}, "required env variables [CNI_PATH] missing"),
        (
            read_add,
            {"container_id": "-c", "ifname": "a/b", "netns": ""},
            "[CNI_NETNS] missing; env variables [CNI_CONTAINERID,CNI_IFNAME] malformed",
        ),
        (read_add, {"container_id": "c\n"}, "env variables [CNI_CONTAINERID] malformed"),
        (read_add, {"container_id": 5}, "env variables [CNI_CONTAINERID] malformed"),
        (read_add, {"container_id": "é"}, "env variables [CNI_CONTAINERID] malformed"),
        (read_add, {"container_id": "c" * 257}, "env variables [CNI_CONTAINERID] malformed"),
        (read_add, {"ifname": "sixteencharacter"}, "env variables [CNI_IFNAME] malformed"),
        (read_add, {"ifname": "ééééééééé"}, "env variables [CNI_IFNAME] malformed"),
        (read_add, {"ifname": ".."}, "env variables [CNI_IFNAME] malformed"),
        (read_add, {"ifname": "a b"}, "env variables [CNI_IFNAME] malformed"),
        (read_add, {"ifname": "a\u00a0b"}, "env variables [CNI_IFNAME] malformed"),
        (read_add, {"ifname": "a\0"}, "env variables [CNI_IFNAME] malformed"),
        (read_add, {"netns": "/a\0"}, "env variables [CNI_NETNS] malformed"),
        (read_add, {"args": "IP"}, 'env variables [CNI_ARGS] malformed: "IP" is not KEY=VALUE'),
        (read_add, {"args": "=x"}, 'env variables [CNI_ARGS] malformed: "" is not KEY=VALUE'),
        (read_add, {"args": 5}, "env variables [CNI_ARGS] malformed: 5"),
        (read_add, {"args": "A=\x07"}, 'env variables [CNI_ARGS] malformed: unknown key "A"'),
        (read_add, {"args": "IP=10.0.0.5;A\t=b"}, 'malformed: unknown key "A\\t"'),
        (read_add, {"args": "IgnoreUnknown=0;A=b"}, 'malformed: unknown key "A"'),
        (read_add, {"args": "IgnoreUnknown=yes;A=b"}, 'IgnoreUnknown is "yes": write 1, true, 0 or false'),
        (read_add, {"args": "IgnoreUnknown="}, 'IgnoreUnknown is "": write 1, true, 0 or false'),
        (
            read_add,
            {"args": "K8S_POD_NAME=" + "x" * 300},
            "K8S_POD_NAME has 300 characters; at most 253 are allowed",
        ),
        (
            read_add,
            {"args": "K8S_POD_UID=a\tb"},
            'K8S_POD_UID has a character that cannot be printed, "\\t"',
        ),
        (
            read_add,
            {"args": "A=" + "x" * (128 << 10)},
            "it has 131074 characters; at most 131072 are allowed",
        ),
    ],
)
def test_a_wrong_environment_is_code_4_and_names_every_variable(
    read: Any, changes: dict[str, Any], message: str
) -> None:
    error = refusal(read, body({"prevResult": {}, "cni.dev/valid-attachments": []}, **changes))

    assert error.code == 4
    assert message in error.message


@pytest.mark.parametrize(
    "foreign",
    [
        "NOMAD_META_cert=" + "x" * 5000,
        "NOMAD_META_x=a\tb",
        "NOMAD_META_x=a\nb\x7f",
        "NOMAD_META_x=a=b==",
        "NOMAD_META_x=",
        "NOMAD\tMETA=\u202e",
        "A=1;A=2;;",
    ],
)
@pytest.mark.parametrize("ignore", ["1", "true", "True"])
def test_of_arguments_only_what_is_read_is_held_to_rules(foreign: str, ignore: str) -> None:
    call = read_add(body(args=f"{foreign};K8S_POD_NAME=web;IgnoreUnknown={ignore}"))

    assert call.request.workload == Workload(None, "web", None)


def test_arguments_that_are_known_by_convention_need_no_leave() -> None:
    args = "K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=c;K8S_POD_INFRA_CONTAINER_ID=d;MAC=e;IP=10.0.0.5"

    assert read_add(body(args=args)).request.requested == (ip_address("10.0.0.5"),)


@pytest.mark.parametrize("args", ["A=\x07", "nonsense", "IgnoreUnknown=maybe", "x" * 200_000, 5])
def test_no_argument_keeps_an_address_from_being_freed_or_checked(args: Any) -> None:
    assert read_del(body(args=args)).release
    assert read_check(body({"prevResult": {}}, args=args)).caller


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}x",
        b"\xff",
        b'{"container_id": "\xff"}',
        b'{"container_id": "\\ud800"}',
        b'{"container_id": NaN}',
        b"\xef\xbb\xbf{}",
        b'{"config": ' + b"[" * 100_000,
        b'{"config": ' + b'{"a":' * 100_000,
        b'{"timeout": ' + b"9" * 10_000 + b"}",
        b'{"timeout": 1e9999}',
    ],
    ids=range(15),
)
def test_what_is_not_json_is_code_6(raw: bytes) -> None:
    error = refusal(read_add, raw)

    assert (error.code, error.status) == (6, 400)


@pytest.mark.parametrize("version", ["2.0.0", "1.0", "1.1.0 ", "latest", "0.4.0\n"])
def test_a_version_that_nobody_speaks_is_code_1(version: str) -> None:
    error = refusal(read_add, body({"cniVersion": version}))

    assert error.code == 1
    assert "ipamd speaks 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0" in error.message


@pytest.mark.parametrize(
    ("read", "version", "message"),
    [
        (read_check, "0.3.1", "config version does not allow CHECK"),
        (read_gc, "1.0.0", "config version does not allow GC"),
        (read_status, "1.0.0", "config version does not allow STATUS"),
    ],
)
def test_a_command_that_its_version_does_not_have_is_code_1(read: Any, version: str, message: str) -> None:
    error = refusal(read, body({"cniVersion": version}))

    assert (error.code, error.message, error.version) == (1, message, version)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"ipam": {"pools": ["a"] * 17}}, "ipam.pools: asks for 17 addresses; at most 16 are allowed"),
        ({"ipam": {"pools": [["a"] * 65]}}, "ipam.pools[0]: names 65 pools; at most 64 are allowed"),
        ({"ipam": {"pools": [["a"] * 40, ["a"] * 40]}}, "ipam.pools: names 80 pools; at most 64 are allowed"),
        (
            {"ipam": {"routes": [{"dst": "::/0"}] * 257}},
            "ipam.routes: has 257 routes; at most 256 are allowed",
        ),
        (
            {"runtimeConfig": {"ips": [f"10.0.0.{host}" for host in range(17)]}},
            "runtimeConfig.ips: asks for 17 addresses; at most 16 are allowed",
        ),
    ],
)
def test_more_than_one_transaction_takes_is_code_103(config: dict[str, Any], message: str) -> None:
    error = refusal(read_add, body(config))

    assert (error.code, error.status) == (103, 413)
    assert message in error.message


@pytest.mark.parametrize(
    "config",
    [
        {"ipam": {"pools": 5, "ranges": []}, "runtimeConfig": 5, "args": []},
        {"ipam": None},
        {"ipam": "ipamd-ipam"},
        {"ipam": {"timeout": "10", "status": "always", "node": 5}},
        {"cniVersion": ""},
        {"cniVersion": "9.9.9"},
        {"cniVersion": 1},
        {"prevResult": "x", "cni.dev/valid-attachments": 5},
    ],
)
def test_a_del_needs_nothing_of_the_configuration_but_its_name(config: dict[str, Any]) -> None:
    call = read_del(body(config, netns="", args="nonsense"))

    assert call.release.digest == Identity("default", "pods", "n1", "c1", "eth0").digest
    assert not call.release.undo


def test_a_spooled_undo_says_which_add_it_takes_back_and_when_it_is_delivered() -> None:
    delivered: dict[str, Any] = {"boot": BOOT.replace("0b7a", "1b7a"), "uptime_ns": 1}

    call = read_del(body(undo=True, delivered=delivered))

    assert call.release.undo
    assert call.release.issued == Issued(BOOT, 12, "2026-01-31T12:00:00Z")
    assert call.release.delivered == Issued(delivered["boot"], 1)


def test_an_undo_of_no_certain_add_is_refused() -> None:
    error = refusal(read_del, body(undo=True, issued=None))

    assert (error.code, error.message) == (7, "issued: an undo needs `issued` of the ADD that it undoes")


@pytest.mark.parametrize(
    "previous",
    [
        {"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.5/24"}, "ip6": {"ip": "fd00::5/64"}},
        {
            "cniVersion": "0.4.0",
            "ips": [{"version": "4", "address": "10.0.0.5/24"}, {"address": "fd00::5/64"}],
        },
        {
            "cniVersion": "1.1.0",
            "ips": [{"address": "10.0.0.5/24", "interface": 2}, {"address": "fd00::5/64"}],
        },
    ],
)
def test_check_reads_previous_results_of_every_version(previous: dict[str, Any]) -> None:
    call = read_check(body({"prevResult": previous}))

    assert call.addresses == (ip_address("10.0.0.5"), ip_address("fd00::5"))


@pytest.mark.parametrize(
    ("previous", "message"),
    [
        (None, "prevResult: is missing: CHECK needs it"),
        (5, "prevResult: expected an object, got 5"),
        ({"ips": [5]}, "prevResult.ips[0]: expected an object, got 5"),
        ({"ips": [{}]}, "prevResult.ips[0].address: expected a string, got null"),
        ({"ips": {}}, "prevResult.ips: expected a list, got an object"),
        ({"ip4": {"ip": "x"}}, "prevResult.ip4.ip: 'x' is not an IPv4 or IPv6 address"),
    ],
)
def test_check_refuses_a_previous_result_that_it_cannot_read(previous: Any, message: str) -> None:
    error = refusal(read_check, body({"prevResult": previous}))

    assert (error.code, error.message) == (7, message)


@pytest.mark.parametrize("key", ["cni.dev/valid-attachments", "cni.dev/attachments"])
def test_gc_reads_both_spellings_of_what_lives(key: str) -> None:
    call = read_gc(body({key: [{"containerID": "c1", "ifname": "eth0"}]}, container_id="left out"))

    assert call.keep == {("c1", "eth0")}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "cni.dev/valid-attachments: expected a list, got null"),
        ({"cni.dev/valid-attachments": None}, "cni.dev/valid-attachments: expected a list, got null"),
        ({"cni.dev/attachments": {}}, "cni.dev/attachments: expected a list, got an object"),
        ({"cni.dev/valid-attachments": [{"ifname": "eth0"}]}, "containerID: expected a string, got null"),
        (
            {"cni.dev/valid-attachments": [{"containerID": "c", "ifname": 1}]},
            "ifname: expected a string, got 1",
        ),
    ],
)
def test_gc_frees_nothing_without_a_list_of_what_lives(config: dict[str, Any], message: str) -> None:
    error = refusal(read_gc, body(config))

    assert error.code == 7
    assert message in error.message


def test_status_looks_at_the_installation_unless_it_is_told_otherwise() -> None:
    assert read_status(body()).wanted is StatusScope.INSTALLATION
    assert read_status(body({"ipam": {"status": "capacity"}})).wanted is StatusScope.CAPACITY
    assert refusal(read_status, body({"ipam": {"status": "everything"}})).code == 7


def test_an_error_speaks_the_version_of_its_configuration() -> None:
    error = refusal(read_add, body({"cniVersion": "0.4.0", "ipam": {"pools": 5}}))

    assert json.loads(error.encode()) == {
        "cniVersion": "0.4.0",
        "code": 7,
        "msg": "ipam.pools: expected a list, got 5",
    }
