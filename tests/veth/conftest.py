"""ipamd-veth on a node of its own, in real network namespaces."""

from pathlib import Path

import pytest

from tests.network.conftest import DEBIAN_PLUGINS, ipam, node, plugin_folder
from tests.network.namespace import MakeNamespace, Namespace
from tests.node_executable import node_plugin
from tests.veth.beyond import wire
from tests.veth.executable import Document, MainPlugin, kinds, put
from tests.veth.ipam import NAME, ThirdParty

__all__ = ["ipam", "node"]


@pytest.fixture(params=kinds())
def plugins(request: pytest.FixtureRequest, scratch: Path) -> Path:
    """A folder with Debian's reference plugins and both of ours, once for each executable that is built."""
    folder = plugin_folder(scratch / "bin", DEBIAN_PLUGINS, node_plugin())
    put(folder, request.param)
    return folder


@pytest.fixture
def third_party(plugins: Path, scratch: Path) -> ThirdParty:
    """An IPAM plugin that is not ours."""
    return ThirdParty(plugins, scratch)


@pytest.fixture
def container(make_namespace: MakeNamespace) -> Namespace:
    return make_namespace("container")


@pytest.fixture
def beyond(node: Namespace, make_namespace: MakeNamespace) -> Namespace:
    """A host that the node reaches, and that has no route to any container."""
    host = make_namespace("beyond")
    wire(node, host)
    return host


@pytest.fixture(params=["routed", "bridge"])
def mode(request: pytest.FixtureRequest) -> Document:
    """The keys of each mode."""
    return {"routed": {}, "bridge": {"mode": "bridge", "isGateway": True}}[request.param]


@pytest.fixture
def plugin(node: Namespace, container: Namespace, plugins: Path, mode: Document) -> MainPlugin:
    """The plugin, for one container, with the third party's IPAM plugin."""
    network = {"cniVersion": "1.0.0", "name": "pods", "type": "ipamd-veth", **mode, "ipam": {"type": NAME}}
    return MainPlugin(node, plugins, network, {"CNI_CONTAINERID": "web", "CNI_NETNS": str(container.path)})
