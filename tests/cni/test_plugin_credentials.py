"""A token goes only where the operator wants it, and only from a file that is the operator's."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.cni.executable import Plugin
from tests.cni.node import Node
from tests.cni.peer import Peer, granted, nobody, refused, reply

TOKEN = "ipamd_" + "Ab3-_" * 8 + "xyz"


def token_file(folder: Path, content: str = TOKEN + "\n", mode: int = 0o600) -> Path:
    path = folder / "a-token"
    path.write_text(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [TOKEN, TOKEN + "\n"])
def test_the_token_is_sent_as_a_bearer(plugin: Plugin, peer: Peer, scratch: Path, content: str) -> None:
    peer.will(granted())

    ended = plugin.call("ADD", plugin.config(tokenFile=str(token_file(scratch, content))))

    assert ended.code == 0
    assert peer.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_the_token_in_the_state_folder_needs_no_key(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted())
    plugin.state.mkdir()
    (plugin.state / "token").write_text(TOKEN)
    (plugin.state / "token").chmod(0o600)

    assert plugin.call("ADD").code == 0
    assert peer.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_what_was_spooled_before_the_node_had_a_token_goes_out_with_it(plugin: Plugin, peer: Peer) -> None:
    peer.will(refused(105, status=401), granted(), reply(204))
    plugin.call("DEL")
    token_file(plugin.state).rename(plugin.state / "token")

    plugin.call("ADD")

    assert [one.headers.get("authorization") for one in peer.requests] == [None, *[f"Bearer {TOKEN}"] * 2]
    assert plugin.waiting() == []


def test_what_was_spooled_without_a_token_for_others_goes_out_without_one(
    plugin: Plugin, peer: Peer, scratch: Path
) -> None:
    """A configuration of somebody else's wrote it: the node's token would go where he likes."""
    peer.will(refused(105, status=401))
    plugin.call("DEL", plugin.config(caFile="/etc/somebody.pem"))
    token_file(plugin.state).rename(plugin.state / "token")
    peer.will(granted(), reply(204))

    plugin.call("ADD")

    assert "authorization" not in peer.requests[2].headers


def test_without_a_token_there_is_no_header(plugin: Plugin, peer: Peer) -> None:
    peer.will(granted())

    assert plugin.call("ADD").code == 0
    assert "authorization" not in peer.requests[0].headers


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602])
def test_a_token_that_others_can_read_or_write_is_not_sent(
    plugin: Plugin, peer: Peer, scratch: Path, mode: int
) -> None:
    path = token_file(scratch, mode=mode)

    error = plugin.call("ADD", plugin.config(tokenFile=str(path))).error

    assert error["code"] == 7
    assert f"tokenFile {path}" in error["msg"]
    assert peer.connections == 0


def test_a_token_of_another_user_is_not_sent(plugin: Plugin, peer: Peer, scratch: Path) -> None:
    path = token_file(scratch)
    os.chown(path, 4321, 4321)

    error = plugin.call("ADD", plugin.config(tokenFile=str(path))).error

    assert error["code"] == 7
    assert "does not belong to root" in error["msg"]
    assert peer.connections == 0


def test_a_plugin_of_an_ordinary_user_may_send_its_own_token(
    plugin: Plugin, peer: Peer, scratch: Path
) -> None:
    peer.will(granted())
    plugin.before = ("unshare", "--user", "--map-user=1000")

    assert plugin.call("ADD", plugin.config(tokenFile=str(token_file(scratch)))).code == 0
    assert peer.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "content",
    ["", "\n", TOKEN[:-1], TOKEN + "x", TOKEN + "\n\n", TOKEN + "\r\n", " " + TOKEN, TOKEN[:-1] + "=",
     TOKEN[:-1] + "\u00fc", "ghp_" + TOKEN[4:], TOKEN + "\n" + TOKEN, "root:$6$salt:19000::::::\n"],
)  # fmt: skip
def test_a_file_without_a_token_of_ipamds_is_not_sent(
    plugin: Plugin, peer: Peer, scratch: Path, content: str
) -> None:
    error = plugin.call("ADD", plugin.config(tokenFile=str(token_file(scratch, content)))).error

    assert error["code"] == 7
    assert "root:" not in error["msg"]
    assert peer.connections == 0


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_regular_file_is_not_read(plugin: Plugin, peer: Peer, scratch: Path, kind: str) -> None:
    path = scratch / "odd"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path = Path("/dev/zero")

    for key in ("tokenFile", "caFile"):
        config = plugin.config(endpoint=peer.endpoint.replace("http", "https"), caFile="/c")
        config["ipam"][key] = str(path)
        assert plugin.call("ADD", config).error["code"] in (5, 7)
    assert peer.connections == 0


def test_a_token_file_that_is_missing_is_named(plugin: Plugin, peer: Peer, scratch: Path) -> None:
    error = plugin.call("ADD", plugin.config(tokenFile=str(scratch / "none"))).error

    assert error["code"] == 5
    assert error["msg"] == f"tokenFile {scratch}/none cannot be read: no such file"
    assert peer.connections == 0


@pytest.mark.parametrize(
    "endpoint",
    ["http://10.0.0.1:8750", "http://ipamd.example:8750", "http://127.0.0.1.example", "http://[fe80::1]",
     "http://localhost.example", "http://128.0.0.1"],
)  # fmt: skip
def test_a_token_never_travels_in_the_open(plugin: Plugin, peer: Peer, scratch: Path, endpoint: str) -> None:
    config = plugin.config(tokenFile=str(token_file(scratch)), endpoint=[peer.endpoint, endpoint])

    error = plugin.call("ADD", config).error

    assert error["code"] == 7
    assert error["msg"].startswith("ipam.endpoint: a token is not sent over http:// beyond loopback")
    assert endpoint in error["msg"]
    assert peer.connections == 0


def test_a_token_may_go_to_loopback_by_any_of_its_names(plugin: Plugin, peer: Peer, scratch: Path) -> None:
    peer.will(granted())
    port = peer.endpoint.rpartition(":")[2]

    for host in ("127.0.0.1", "localhost"):
        config = plugin.config(tokenFile=str(token_file(scratch)), endpoint=f"http://{host}:{port}")
        assert plugin.call("ADD", config).code == 0
    assert len(peer.requests) == 2


def test_localhost_is_this_machine_whatever_the_hosts_file_says(
    plugin: Plugin, node: Node, peer: Peer
) -> None:
    (node.etc / "hosts").write_text("192.0.2.1 localhost\n")
    peer.will(granted())
    port = peer.endpoint.rpartition(":")[2]

    assert plugin.call("ADD", plugin.config(endpoint=f"http://localhost:{port}")).code == 0


@pytest.mark.parametrize("content", ["", "nothing of ipamd's"])
def test_a_release_without_a_usable_token_waits_for_one(
    plugin: Plugin, peer: Peer, scratch: Path, content: str
) -> None:
    path = token_file(scratch, content)
    config: dict[str, Any] = plugin.config(tokenFile=str(path))

    ended = plugin.call("DEL", config)

    assert (ended.code, ended.stdout) == (0, b"")
    assert len(plugin.waiting()) == 1
    assert peer.connections == 0

    path.write_text(TOKEN)
    plugin.call("CHECK", config)

    assert plugin.waiting() == []
    assert [one.path for one in peer.requests] == ["/v1/cni/check", "/v1/cni/del"]
    assert peer.requests[1].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_release_is_not_sent_elsewhere_than_its_own_configuration_says(
    plugin: Plugin, peer: Peer, scratch: Path
) -> None:
    away = nobody()
    plugin.call("DEL", plugin.config(endpoint=away, tokenFile=str(token_file(scratch))))

    plugin.call("CHECK", plugin.config())

    assert [one.path for one in peer.requests] == ["/v1/cni/check"]
    assert plugin.waiting()[0]["endpoint"] == [away]
    assert plugin.waiting()[0]["tokenFile"] == str(scratch / "a-token")
