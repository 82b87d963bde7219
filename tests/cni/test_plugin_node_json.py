"""/etc/ipamd/node.json: whoever writes network configurations need not be who runs the node."""

from typing import Any

import pytest

from tests.cni.executable import Plugin
from tests.cni.node import Node
from tests.cni.peer import Peer, granted

FROM_A_TENANT = {
    "endpoint": "http://127.0.0.1:1",
    "node": "another-node",
    "cluster": "another-cluster",
    "stateDir": "/tmp/anywhere",
    "tokenFile": "/root/token",
    "caFile": "/root/ca.pem",
    "certFile": "/root/cert.pem",
    "keyFile": "/root/key.pem",
}


def tenants(plugin: Plugin, **ipam: Any) -> dict[str, Any]:
    return plugin.config(**{"endpoint": None, "stateDir": None, **ipam})


def test_node_json_says_whom_to_ask_as_which_node_and_where_to_keep_state(
    plugin: Plugin, node: Node, peer: Peer
) -> None:
    peer.will(granted())
    node.set_node_json(
        {
            "endpoint": [peer.endpoint],
            "node": "n7",
            "cluster": "c7",
            "stateDir": str(plugin.state),
            "leases": {"max": 4},
        }
    )

    assert plugin.call("ADD", tenants(plugin, pools=["a"])).code == 0

    body = peer.requests[0].json
    assert (body["node"], body["cluster"]) == ("n7", "c7")
    assert body["config"]["ipam"] == {"type": "ipamd-ipam", "pools": ["a"]}


@pytest.mark.parametrize("key", FROM_A_TENANT)
@pytest.mark.parametrize("verb", ["ADD", "CHECK"])
def test_what_is_the_nodes_is_invalid_in_a_configuration(
    plugin: Plugin, node: Node, peer: Peer, verb: str, key: str
) -> None:
    node.set_node_json({"endpoint": peer.endpoint, "stateDir": str(plugin.state)})

    error = plugin.call(verb, tenants(plugin, **{key: FROM_A_TENANT[key]})).error

    assert error["code"] == 7
    assert error["msg"].startswith(f"ipam.{key}: comes from /etc/ipamd/node.json alone")
    assert peer.connections == 0


@pytest.mark.parametrize("key", FROM_A_TENANT)
def test_a_release_takes_what_is_the_nodes_and_passes_over_it_in_a_configuration(
    plugin: Plugin, node: Node, peer: Peer, key: str
) -> None:
    node.set_node_json(
        {"endpoint": peer.endpoint, "stateDir": str(plugin.state), "node": "n7", "cluster": "c7"}
    )

    ended = plugin.call("DEL", tenants(plugin, **{key: FROM_A_TENANT[key]}))

    assert (ended.code, ended.stdout) == (0, b"")
    [request] = peer.requests
    assert (request.json["node"], request.json["cluster"]) == ("n7", "c7")
    assert "authorization" not in request.headers


@pytest.mark.parametrize("verb", ["ADD", "STATUS"])
def test_a_key_of_node_json_that_nobody_reads_is_named_with_the_nearest(
    plugin: Plugin, node: Node, peer: Peer, verb: str
) -> None:
    node.set_node_json({"endpoint": peer.endpoint, "stateDir": str(plugin.state), "nodename": "n7"})
    config = {**tenants(plugin), "cniVersion": "1.1.0"}

    error = plugin.call(verb, config).error

    assert error["code"] == 2
    assert error["msg"] == '/etc/ipamd/node.json: unsupported field nodename: "n7"; did you mean node?'
    assert plugin.call("DEL", config).code == 0
    assert peer.connections == 1


def test_timeout_and_status_stay_the_configurations(plugin: Plugin, node: Node, peer: Peer) -> None:
    node.set_node_json({"endpoint": peer.endpoint, "stateDir": str(plugin.state)})
    config = {**tenants(plugin, timeout=3, status="service"), "cniVersion": "1.1.0"}

    assert plugin.call("STATUS", config).code == 0
    assert peer.requests[0].json["timeout"] <= 3


def test_what_node_json_leaves_out_has_its_default(plugin: Plugin, node: Node) -> None:
    node.set_node_json({"stateDir": str(plugin.state)})

    error = plugin.call("ADD", tenants(plugin, timeout=0.2)).error

    assert error["code"] == 11
    assert "unix:///run/ipamd/agent.sock: no such file" in error["details"]
    assert "unix:///run/ipamd/ipamd.sock: no such file" in error["details"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "byte 0"),
        (b"[]", "not an object"),
        (b'{"endpoint":"http://127.0.0.1:1"', "cut off"),
        (b"x" * 100000, "larger than"),
        (b'{"endpoint":7}', "endpoint: must be"),
        (b'{"node":""}', "node: must be"),
        (b'{"tokenFile":"token"}', "tokenFile: must be"),
        (b'{"endpoint":"https://127.0.0.1"}', "caFile: must name"),
    ],
)
def test_a_wrong_node_json_stops_every_call(plugin: Plugin, node: Node, content: bytes, named: str) -> None:
    node.set_node_json(content)

    error = plugin.call("ADD", tenants(plugin)).error

    assert error["code"] == 7
    assert error["msg"].startswith("/etc/ipamd/node.json")
    assert named in error["msg"]


def test_a_node_json_that_is_no_file_stops_every_call(plugin: Plugin, node: Node) -> None:
    (node.etc / "ipamd" / "node.json").mkdir()

    assert plugin.call("ADD", tenants(plugin)).error["code"] == 7


def test_without_node_json_the_configuration_counts(plugin: Plugin, node: Node, peer: Peer) -> None:
    peer.will(granted())

    assert plugin.call("ADD").code == 0
    (node.etc / "ipamd").rmdir()
    assert plugin.call("ADD").code == 0
