"""Network namespaces as nodes."""

import pytest

from tests.network.namespace import MakeNamespace, Namespace


@pytest.fixture
def node(make_namespace: MakeNamespace) -> Namespace:
    """A node at 192.0.2.1."""
    namespace = make_namespace("node")
    namespace.run("ip", "link", "add", "eth0", "type", "bridge")
    namespace.run("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
    namespace.run("ip", "address", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
    namespace.run("ip", "link", "set", "eth0", "up")
    return namespace
