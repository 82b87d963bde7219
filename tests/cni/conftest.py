"""The plugin's executables, and the peers that they meet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cni.authority import Authority
from tests.cni.executable import Plugin, executables
from tests.cni.node import Node
from tests.cni.peer import Peer, tcp_peer, unix_peer


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A server on loopback that answers 204 until a test says otherwise."""
    server = tcp_peer()
    yield server
    server.close()


@pytest.fixture
def socket_peer(scratch: Path) -> Iterator[Peer]:
    """The same on a Unix socket."""
    server = unix_peer(scratch / "ipamd.sock")
    yield server
    server.close()


@pytest.fixture(params=list(executables().values()), ids=list(executables()))
def plugin(request: pytest.FixtureRequest, scratch: Path, peer: Peer) -> Plugin:
    """The plugin on a node with a state folder of its own, configured for `peer`."""
    return Plugin(request.param, scratch / "state", peer.endpoint)


@pytest.fixture
def node(scratch: Path, plugin: Plugin) -> Node:
    """The node of `plugin`, with an /etc that the test fills."""
    made = Node(scratch / "etc")
    plugin.before = made.before
    return made


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, for a server that goes by another name."""
    return Authority(tmp_path_factory.mktemp("authority") / "other", "other", "DNS:elsewhere.test")
