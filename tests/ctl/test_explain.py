"""`ipamctl explain`."""

import json

import pytest

from tests.ctl.conftest import Ipamctl
from tests.service import IpamdProcess


def test_explain_shows_every_pool_and_the_answer(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "full", "--subnet", "10.1.0.0/30", "--priority", "9")
    ipamctl("pool", "create", "roomy", "--subnet", "10.2.0.0/24", "--route", "0.0.0.0/0")
    ipamctl("pool", "create", "shop", "--subnet", "10.3.0.0/24", "--namespace", "shop")
    ipamctl("allocation", "create", "vm", "--pool", "full")

    printed = ipamctl(
        "explain", "--network", "pods", "--namespace", "web", "--name", "front-0", "--node", "n1"
    )

    assert [line.rstrip() for line in printed.splitlines()] == [
        "ADDRESS  POOL   STANDING  WHY",
        "1        full   full      pool full has 1 of 4 allocated, 0 cooling down, 3 excluded",
        "1        roomy  gives     it would give 10.2.0.2",
        "-        shop   refuses   pool shop is for namespace shop, not for web",
        "",
        "no IPv6 pool serves this request: the answer has no IPv6 address",
        "answer  granted",
        "ips     address=10.2.0.2/24 gateway=10.2.0.1",
        "routes  dst=0.0.0.0/0",
    ]
    assert [row[1] for row in ipamctl.rows("allocation", "list")] == ["10.1.0.2"]


def test_explain_of_what_would_be_refused_says_the_code_and_the_words(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.1.0.0/24")

    found = ipamctl.json("explain", "--pool", "p", "--address", "10.1.0.1")
    printed = ipamctl("explain", "--pool", "p", "--address", "10.1.0.1")

    assert (found["result"], found["error"]["code"]) == (None, 102)
    assert "code     102" in printed
    assert "10.1.0.1 is not available: it is the gateway of pool p" in printed


def test_explain_takes_pools_addresses_and_annotations(ipamctl: Ipamctl) -> None:
    for number, name in enumerate(("a", "b", "c")):
        ipamctl("pool", "create", name, "--subnet", f"10.{number}.0.0/24", "--no-auto-assign")

    alternatives = ipamctl.json("explain", "--pool", '[["a","b"]]', "--pool", "c", "--address", "10.2.0.9")
    all_of_them = ipamctl.json("explain", "--pool", "a, b", "--pool", "c")
    same = ipamctl.json("explain", "--annotation", "ipamd.io/pools=a,b,c")
    annotated = ipamctl.json(
        "explain", "--annotation", "ipamd.io/pools=b", "--annotation", "ipamd.io/addresses=10.1.0.7"
    )

    assert [ip["address"] for ip in alternatives["result"]["ips"]] == ["10.0.0.2/24", "10.2.0.9/24"]
    assert [(each["pool"], each["position"]) for each in alternatives["pools"]] == [
        ("a", 0),
        ("b", 0),
        ("c", 1),
    ]
    assert [ip["address"] for ip in all_of_them["result"]["ips"]] == [
        "10.0.0.2/24",
        "10.1.0.2/24",
        "10.2.0.2/24",
    ]
    assert all_of_them == same
    assert "is not a JSON list" in ipamctl.run("explain", "--pool", "[a").stderr
    assert [ip["address"] for ip in annotated["result"]["ips"]] == ["10.1.0.7/24"]
    assert "'nonsense' is not KEY=VALUE" in ipamctl.run("explain", "--annotation", "nonsense").stderr


def test_explain_of_a_container_that_holds_an_address_says_it_gets_that_again(
    ipamctl: Ipamctl, ipamd_process: IpamdProcess
) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.1.0.0/24")
    body = {
        "container_id": "c1",
        "netns": "/n",
        "ifname": "eth0",
        "path": "/b",
        "node": "n1",
        "config": {"name": "pods", "cniVersion": "1.0.0", "ipam": {}},
    }
    ipamd_process.http.post("/v1/cni/add", json=body)

    again = ipamctl("explain", "--container", "c1", "--node", "n1", "--network", "pods")
    other = ipamctl("explain", "--container", "c2", "--node", "n1", "--network", "pods")

    assert "this container already holds 10.1.0.2 of pool p, and gets it again" in again
    assert "answer  the same as before" in again
    assert "it would give 10.1.0.3" in other


@pytest.mark.parametrize("as_list", [True, False])
def test_explain_reads_a_network_configuration(ipamctl: Ipamctl, as_list: bool) -> None:
    ipamctl("pool", "create", "web", "--subnet", "10.1.0.0/24", "--network", "front", "--no-auto-assign")
    bridge = {
        "type": "bridge",
        "ipam": {"type": "ipamd-ipam", "pools": ["web"], "routes": [{"dst": "10.0.0.0/8"}]},
    }
    head = {"cniVersion": "1.0.0", "name": "front"}
    file = ipamctl.home / "front.conflist"
    file.write_text(
        json.dumps({**head, "plugins": [{"type": "x"}, bridge]} if as_list else {**head, **bridge})
    )

    found = ipamctl.json("explain", "-f", str(file))

    assert found["result"] == {
        "cniVersion": "1.0.0",
        "ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}],
        "routes": [{"dst": "10.0.0.0/8"}],
    }


OURS = {"type": "ipamd-ipam", "pools": ["storage"]}
WHEREABOUTS = {"type": "whereabouts", "range": "10.0.0.0/24"}


@pytest.mark.parametrize(
    ("plugins", "says"),
    [
        ([{"type": "tuning", "ipam": {}}, {"type": "ipvlan", "ipam": OURS}], ""),
        ([{"type": "macvlan", "ipam": WHEREABOUTS}, {"type": "ipvlan", "ipam": OURS}], ""),
        (["nonsense", {"type": "x", "ipam": 5}, {"type": "ipvlan", "ipam": OURS}], ""),
        ([{"type": "macvlan", "ipam": WHEREABOUTS}], "asks another IPAM plugin: whereabouts"),
        ([{"type": "x", "ipam": {"type": "dhcp"}}, {"type": "y", "ipam": WHEREABOUTS}], "dhcp, whereabouts"),
        ([{"type": "bridge", "ipam": {}}], "asks no IPAM plugin"),
        ([{"type": "bridge", "ipam": {"type": ["ipamd-ipam"]}}], "asks no IPAM plugin"),
        ([{"type": "tuning"}], "asks no IPAM plugin"),
        ([], "asks no IPAM plugin"),
    ],
)
def test_explain_takes_the_first_ipam_that_is_ours(
    ipamctl: Ipamctl, plugins: list[object], says: str
) -> None:
    ipamctl("pool", "create", "aaa", "--subnet", "10.70.0.0/24")
    ipamctl("pool", "create", "storage", "--subnet", "10.71.0.0/24")
    file = ipamctl.home / "list.conflist"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "n", "plugins": plugins}))

    if says:
        assert says in ipamctl.refused("explain", "-f", str(file), exit_code=2)
    else:
        [ip] = ipamctl.json("explain", "-f", str(file))["result"]["ips"]
        assert ip["address"] == "10.71.0.2/24"


def test_explain_of_a_lone_configuration_of_another_plugin_says_so(ipamctl: Ipamctl) -> None:
    file = ipamctl.home / "lone.conf"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "n", "type": "macvlan", "ipam": WHEREABOUTS}))

    assert "asks another IPAM plugin: whereabouts" in ipamctl.refused("explain", "-f", str(file), exit_code=2)


@pytest.mark.parametrize(
    ("head", "own", "version"),
    [
        ({}, {}, "0.1.0"),
        ({}, {"cniVersion": "1.0.0"}, "0.1.0"),
        ({"cniVersion": ""}, {}, "0.1.0"),
        ({"cniVersion": "0.4.0"}, {"cniVersion": "9", "name": "-"}, "0.4.0"),
        ({"cniVersions": ["0.4.0", "1.0.0", "9.0.0", "x"]}, {}, "1.0.0"),
        ({"cniVersion": "1.1.0", "cniVersions": ["0.4.0"]}, {}, "1.1.0"),
        ({"cniVersion": "0.4.0", "cniVersions": []}, {}, "0.4.0"),
    ],
)
def test_explain_gives_a_plugin_of_a_list_the_version_and_name_that_libcni_gives_it(
    ipamctl: Ipamctl, head: dict[str, object], own: dict[str, object], version: str
) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.1.0.0/24", "--network", "n", "--node", "n7")
    ipam = {"type": "ipamd-ipam", "node": "n7"}
    file = ipamctl.home / "list.conflist"
    file.write_text(json.dumps({**head, "name": "n", "plugins": [{"type": "bridge", **own, "ipam": ipam}]}))

    assert ipamctl.json("explain", "-f", str(file))["result"]["cniVersion"] == version
    assert "pool p is for node n7, not for n8" in ipamctl("explain", "-f", str(file), "--node", "n8")


def test_explain_says_where_no_annotation_would_arrive(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.1.0.0/24")
    file = ipamctl.home / "n.conf"
    lone = {"cniVersion": "1.0.0", "name": "n", "ipam": {"type": "ipamd-ipam"}}
    wanted = ("explain", "-f", str(file), "--annotation", "ipamd.io/addresses=10.1.0.9")

    file.write_text(json.dumps(lone))
    without = ipamctl.run(*wanted)
    file.write_text(json.dumps({**lone, "capabilities": {"io.kubernetes.cri.pod-annotations": True}}))

    assert "does not declare the capability io.kubernetes.cri.pod-annotations" in without.stderr
    assert "10.1.0.9/24" in ipamctl(*wanted)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"plugins": []}', '{"ipam": 1}'])
def test_explain_says_what_is_wrong_with_a_file(ipamctl: Ipamctl, text: str) -> None:
    file = ipamctl.home / "wrong.conf"
    file.write_text(text)

    assert str(file) in ipamctl.refused("explain", "-f", str(file), exit_code=2)
    assert "nowhere" in ipamctl.refused("explain", "-f", "/nowhere", exit_code=2)
