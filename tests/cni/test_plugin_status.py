"""STATUS reports what its key says: by default an outage of ipamd takes no node out of service."""

from pathlib import Path
from typing import Any

import pytest

from tests.cni.executable import Document, Finished, Plugin
from tests.cni.peer import Peer, error, nobody, refused, reply, silence


def status(plugin: Plugin, **ipam: Any) -> Finished:
    config: Document = {**plugin.config(**ipam), "cniVersion": "1.1.0"}
    return plugin.call("STATUS", config, CNI_CONTAINERID="", CNI_NETNS="", CNI_IFNAME="", CNI_ARGS="")


@pytest.mark.parametrize("key", [None, "installation"])
def test_the_default_asks_nobody(plugin: Plugin, peer: Peer, key: str | None) -> None:
    ended = status(plugin, status=key)

    assert (ended.code, ended.stdout, ended.stderr) == (0, b"", b"")
    assert peer.connections == 0


def test_the_default_is_ready_while_ipamd_is_down(plugin: Plugin) -> None:
    assert status(plugin, endpoint=nobody()).code == 0


def test_a_trial_of_the_spool_leaves_nothing(plugin: Plugin) -> None:
    status(plugin)

    assert list(plugin.spool.iterdir()) == []


def test_a_state_folder_that_cannot_be_written_is_reported(plugin: Plugin) -> None:
    plugin.state.write_text("a file where the folder should be")

    error_object = status(plugin).error

    assert error_object["code"] == 50
    assert str(plugin.state) in error_object["msg"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("endpoint", "nowhere"), ("timeout", "soon"), ("tokenFile", "/dev/null"), ("tokenFile", "/nowhere")],
)
def test_a_wrong_configuration_is_reported(plugin: Plugin, key: str, value: str) -> None:
    error_object = status(plugin, **{key: value}).error

    assert error_object["code"] == 50
    assert key in error_object["msg"]


@pytest.mark.parametrize("key", ["service", "capacity"])
def test_an_ipamd_that_agrees_makes_the_node_ready(plugin: Plugin, peer: Peer, key: str) -> None:
    ended = status(plugin, status=key)

    assert (ended.code, ended.stdout) == (0, b"")
    assert [one.path for one in peer.requests] == ["/v1/cni/status"]
    assert peer.requests[0].json["config"]["ipam"]["status"] == key


@pytest.mark.parametrize("key", ["service", "capacity"])
def test_an_outage_is_reported_where_the_operator_wants_it(plugin: Plugin, peer: Peer, key: str) -> None:
    peer.will(reply(503, error(11)))

    assert status(plugin, status=key).error["code"] == 50
    assert status(plugin, status=key, endpoint=nobody()).error["code"] == 50
    peer.will(silence())
    assert status(plugin, status=key, timeout=0.3).error["code"] == 50


def test_ipamds_own_words_are_handed_on(plugin: Plugin, peer: Peer) -> None:
    peer.will(refused(50, "nothing free in pods-v4"))

    ended = status(plugin, status="capacity")

    assert (ended.code, ended.stdout) == (1, error(50, "nothing free in pods-v4"))


def test_a_status_of_an_older_version_does_not_exist(plugin: Plugin, scratch: Path) -> None:
    assert plugin.call("STATUS", plugin.config()).error["code"] == 1


@pytest.mark.parametrize(
    ("ipam", "message"),
    [
        ({"poools": [["a"]]}, 'unsupported field ipam.poools: [["a"]]; did you mean ipam.pools?'),
        ({"Pools": ["a"]}, "did you mean ipam.pools?"),
        ({"ippool": "a"}, "did you mean ipam.pools?"),
        ({"ipv4_pools": "a"}, "did you mean ipam.pools?"),
        ({"route": []}, "did you mean ipam.routes?"),
        ({"nodename": "n"}, "did you mean ipam.node?"),
        ({"timeOut": 3}, "did you mean ipam.timeout?"),
        ({"qqqq": 3}, "ipam.qqqq: 3; known are type, pools, routes"),
        ({"routes": [{"dst": "::/0", "via": "::1"}]}, 'ipam.routes[0].via: "::1"; known are dst, gw'),
        ({"dns": {"nameserver": []}}, "did you mean ipam.dns.nameservers?"),
    ],
)
@pytest.mark.parametrize("scope", ["installation", "service"])
def test_a_key_that_nobody_reads_is_named_with_the_nearest(
    plugin: Plugin, peer: Peer, scope: str, ipam: Document, message: str
) -> None:
    error_object = status(plugin, status=scope, **ipam).error

    assert error_object["code"] == 2
    assert message in error_object["msg"]
    assert peer.connections == 0
