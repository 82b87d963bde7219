"""A DEL succeeds or spools with whatever configuration its ADD once passed, and with less."""

from pathlib import Path
from typing import Any

import pytest

from tests.cni.executable import Document, Plugin
from tests.cni.node import Node
from tests.cni.peer import Peer, granted, nobody, reply
from tests.service import IpamdProcess

TOKEN = "ipamd_" + "Ab3-_" * 8 + "xyz"
GONE: Any = "taken away"


@pytest.fixture
def plugin(plugin: Plugin, scratch: Path) -> Plugin:
    """The plugin on a node whose usual state folder is the test's too."""
    (scratch / "usual").mkdir()
    mount = f'mkdir -p /var/lib/ipamd-node && mount --bind {scratch}/usual /var/lib/ipamd-node && exec "$@"'
    plugin.before = ("unshare", "--mount", "sh", "-c", mount, "sh")
    return plugin


@pytest.fixture
def etc(plugin: Plugin, scratch: Path) -> Node:
    """The node's /etc beside that."""
    made = Node(scratch / "etc")
    plugin.before = (*plugin.before, *made.before)
    return made


def changed(config: Document, **ipam: Any) -> Document:
    section = {**config["ipam"], **ipam}
    return {**config, "ipam": {key: value for key, value in section.items() if value is not GONE}}


@pytest.mark.parametrize(
    "ipam",
    [
        {},
        {"timeout": "10"},
        {"timeout": None},
        {"timeout": 1e9},
        {"status": "always"},
        {"poools": [["x"]], "routes": [{"via": 5}], "dns": {"nameserver": 1}},
        {"node": GONE},
        {"node": GONE, "cluster": GONE},
        {"node": 5, "cluster": None},
        {"endpoint": GONE},
        {"endpoint": 8750},
        {"endpoint": []},
        {"endpoint": "ftp://127.0.0.1"},
        {"tokenFile": GONE},
        {"tokenFile": "token"},
        {"stateDir": GONE},
        {"stateDir": "relative"},
        {"endpoint": GONE, "node": GONE, "cluster": GONE, "tokenFile": GONE, "pools": GONE},
        dict.fromkeys(("endpoint", "node", "cluster", "tokenFile", "pools", "stateDir", "type"), GONE),
    ],
    ids=str,
)
def test_what_a_del_lacks_or_has_wrong_is_taken_from_the_last_add(
    plugin: Plugin, peer: Peer, scratch: Path, ipam: Document
) -> None:
    token = scratch / "a-token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    peer.will(granted(), reply(204))
    config = plugin.config(node="worker-x", cluster="east", tokenFile=str(token), pools=["storage"])
    assert plugin.call("ADD", config).code == 0

    ended = plugin.call("DEL", changed(config, **ipam))

    assert (ended.code, ended.stdout) == (0, b"")
    released = peer.requests[1]
    assert released.path == "/v1/cni/del"
    assert (released.json["node"], released.json["cluster"]) == ("worker-x", "east")
    assert released.headers["authorization"] == f"Bearer {TOKEN}"
    assert plugin.waiting() == []


@pytest.mark.parametrize("ipam", [GONE, None, 5, [], "ipamd-ipam", {}], ids=str)
@pytest.mark.parametrize("version", ["1.0.0", "", "9.9.9", 5])
def test_a_del_needs_no_ipam_and_no_version(plugin: Plugin, peer: Peer, ipam: Any, version: Any) -> None:
    peer.will(granted(), reply(204))
    config = plugin.config(node="worker-x")
    assert plugin.call("ADD", config).code == 0

    stripped = {key: value for key, value in {**config, "ipam": ipam}.items() if value is not GONE}
    ended = plugin.call("DEL", {**stripped, "cniVersion": version})

    assert (ended.code, ended.stdout) == (0, b"")
    assert peer.requests[1].json["node"] == "worker-x"


@pytest.mark.parametrize(
    "changes",
    [
        {"prevResult": 5},
        {"prevResult": {"ips": 5}},
        {"runtimeConfig": [], "args": 5, "capabilities": "x"},
        {"mtu": "x", "bridge": [], "isGatway": True},
    ],
    ids=str,
)
def test_a_del_looks_at_no_key_that_it_does_not_need(
    plugin: Plugin, lasting_ipamd: IpamdProcess, changes: Document
) -> None:
    lasting_ipamd.empty()
    lasting_ipamd.create_pool("v4", "10.64.0.0/24")
    config = plugin.config(endpoint=lasting_ipamd.endpoint, node="worker-x")
    assert plugin.call("ADD", config).code == 0
    assert lasting_ipamd.addresses() != set()

    ended = plugin.call("DEL", {**config, **changes}, CNI_ARGS=";;=;IP=none;A=\udcff", CNI_NETNS="/etc")

    assert (ended.code, ended.stdout) == (0, b"")
    assert lasting_ipamd.addresses() == set()


def test_a_release_that_cannot_be_delivered_waits_for_those_that_its_add_asked(
    plugin: Plugin, peer: Peer
) -> None:
    peer.will(granted())
    config = plugin.config(node="worker-x")
    plugin.call("ADD", config)
    peer.close()

    assert plugin.call("DEL", changed(config, endpoint=GONE, node=GONE)).code == 0

    [entry] = plugin.waiting()
    assert entry["endpoint"] == [config["ipam"]["endpoint"]]
    assert entry["request"]["node"] == "worker-x"


def test_credentials_go_to_no_other_endpoint_than_the_adds(
    plugin: Plugin, peer: Peer, socket_peer: Peer, scratch: Path
) -> None:
    token = scratch / "a-token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    peer.will(granted())
    config = plugin.config(tokenFile=str(token))
    plugin.call("ADD", config)

    assert plugin.call("DEL", changed(config, endpoint=socket_peer.endpoint, tokenFile=GONE)).code == 0

    assert "authorization" not in socket_peer.requests[0].headers


def test_what_others_could_have_written_is_not_believed(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted(), reply(204))
    config = plugin.config(node="worker-x")
    plugin.call("ADD", config)
    [kept] = (plugin.state / "networks").iterdir()
    kept.chmod(0o666)

    plugin.call("DEL", changed(config, node=GONE))

    assert peer.requests[1].json["node"] == "node-a"


def test_each_network_keeps_its_own(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted(), granted(), reply(204))
    config = plugin.config(node="worker-x")
    plugin.call("ADD", config)
    plugin.call("ADD", {**plugin.config(node="worker-y"), "name": "other"})

    plugin.call("DEL", changed(config, node=GONE))
    plugin.call("DEL", {**changed(config, node=GONE), "name": "third"})

    assert [one.json["node"] for one in peer.requests[2:]] == ["worker-x", "node-a"]


def test_what_has_not_changed_is_not_written_again(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted())
    plugin.call("ADD")
    [kept] = (plugin.state / "networks").iterdir()
    before = kept.stat()

    plugin.call("ADD", CNI_CONTAINERID="c2")

    assert kept.stat().st_ino == before.st_ino
    assert sorted(path.name for path in plugin.state.iterdir()) == ["networks", "node"]


def test_an_add_succeeds_where_nothing_can_be_kept(plugin: Plugin, peer: Peer) -> None:
    plugin.state.write_text("a file where the folder should be")
    peer.will(granted())

    ended = plugin.call("ADD")

    assert ended.code == 0
    assert b"cannot be kept" in ended.stderr


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"endpoint":', b"x" * 100_000, b'{"endpoint":7}', b'{"endpoint":"https://a"}']
)
def test_a_node_json_that_cannot_be_used_keeps_no_container_from_its_end(
    plugin: Plugin, etc: Node, peer: Peer, content: bytes
) -> None:
    on_node = {"endpoint": peer.endpoint, "node": "n7", "cluster": "c7", "stateDir": str(plugin.state)}
    etc.set_node_json(on_node)
    peer.will(granted(), reply(204))
    plain = {"cniVersion": "1.0.0", "name": "pods", "ipam": {"type": "ipamd-ipam"}}
    assert plugin.call("ADD", plain).code == 0
    etc.set_node_json(content)

    evil = changed(plain, endpoint=nobody(), node="other")
    ended = plugin.call("DEL", evil)

    assert (ended.code, ended.stdout) == (0, b"")
    assert b"node.json" in ended.stderr
    assert (peer.requests[1].json["node"], peer.requests[1].json["cluster"]) == ("n7", "c7")


def test_a_del_of_a_node_that_was_hardened_meanwhile_goes_as_its_add(
    plugin: Plugin, etc: Node, peer: Peer
) -> None:
    (etc.etc / "ipamd" / "node.json").unlink(missing_ok=True)
    peer.will(granted(), reply(204))
    config = plugin.config(node="worker-x")
    assert plugin.call("ADD", config).code == 0
    etc.set_node_json({"endpoint": peer.endpoint, "stateDir": str(plugin.state)})

    assert plugin.call("DEL", config).code == 0
    assert peer.requests[1].json["node"] == "worker-x"


def test_a_del_of_which_nothing_is_known_waits_for_the_usual_endpoints(plugin: Plugin) -> None:
    plain = {"cniVersion": "1.0.0", "name": "pods"}

    ended = plugin.call("DEL", plain)

    assert (ended.code, ended.stdout) == (0, b"")
    assert b"waits in the spool" in ended.stderr


def test_a_gc_takes_what_it_lacks_likewise(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted(), reply(204))
    config = {**plugin.config(node="worker-x"), "cniVersion": "1.1.0", "cni.dev/valid-attachments": []}
    plugin.call("ADD", config)

    assert plugin.call("GC", changed(config, node=GONE, timeout="10", endpoint=GONE)).code == 0
    assert peer.requests[1].json["node"] == "worker-x"


@pytest.mark.parametrize("stdin", [b"", b"{", b'{"cniVersion":"1.0.0"}', b'{"name":"-"}', b'{"name":5}'])
def test_only_what_makes_the_identity_unknowable_fails_a_del(plugin: Plugin, stdin: bytes) -> None:
    assert plugin.call("DEL", stdin).error["code"] in (6, 7)
