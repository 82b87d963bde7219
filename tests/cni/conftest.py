"""The plugin's executables, and the peers that they meet."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cni.authority import Authority
from tests.cni.executable import Plugin, executables
from tests.cni.node import Node, on_run
from tests.cni.peer import Peer, tcp_peer, unix_peer
from tests.lease_store import LeaseStore, key_of


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


@pytest.fixture
def store(scratch: Path, plugin: Plugin) -> LeaseStore:
    """The store of leases of the plugin's node, with the seats 1 to 3 for its configuration."""
    made = LeaseStore(scratch / "run" / "ipamd" / "leases" / "store")
    plugin.before = on_run(scratch / "run")
    made.fill(key_of(plugin.config()), [1, 2, 3])
    return made


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, for a server that goes by another name."""
    return Authority(tmp_path_factory.mktemp("authority") / "other", "other", "DNS:elsewhere.test")


@pytest.fixture(params=["/dev/full", "a closed pipe"])
def unreadable(request: pytest.FixtureRequest) -> Iterator[int]:
    """A descriptor for stdout, of which nobody can read what is written to it."""
    if request.param == "/dev/full":
        descriptor = os.open(request.param, os.O_WRONLY)
    else:
        reader, descriptor = os.pipe()
        os.close(reader)
    yield descriptor
    os.close(descriptor)
