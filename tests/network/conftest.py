"""Real namespaces, real plugins, real runtimes; each fixture takes away what it made."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.network.containerd import Containerd
from tests.network.namespace import MakeNamespace, Namespace
from tests.network.plugin import Document, Runtime
from tests.network.podman import Podman, is_built_without_cni
from tests.node_executable import node_plugin, plugins
from tests.service import IpamdProcess

DEBIAN_PLUGINS = Path("/usr/lib/cni")

Ipam = Callable[..., Document]

each_executable = pytest.mark.parametrize(
    "ipamd_ipam", plugins().values(), ids=plugins().keys(), indirect=True
)
"""Runs the tests of a module with every executable of the plugin that is built."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what concerns podman's CNI if podman has none, and count it as left out."""
    of_podman = [item for item in items if "podman" in getattr(item, "fixturenames", ())]
    if of_podman and is_built_without_cni():
        config.hook.pytest_deselected(items=of_podman)
        items[:] = [item for item in items if item not in of_podman]


@pytest.fixture
def node(make_namespace: MakeNamespace) -> Namespace:
    """The network namespace that plays the host."""
    return make_namespace("node")


def plugin_folder(folder: Path, reference: Path, ours: Path) -> Path:
    """Link the reference plugins and ours into one folder, as a node has them."""
    folder.mkdir()
    for plugin in (*reference.iterdir(), ours):
        (folder / plugin.name).symlink_to(plugin)
    return folder


@pytest.fixture
def ipamd_ipam(request: pytest.FixtureRequest) -> Path:
    """The executable of the plugin: the one that a node gets, unless the tests of a module ask for each."""
    asked: Path = getattr(request, "param", node_plugin())
    return asked


@pytest.fixture
def reference_plugins(scratch: Path, ipamd_ipam: Path) -> Path:
    """A folder of executables with Debian's reference plugins and ours beside them."""
    return plugin_folder(scratch / "bin", DEBIAN_PLUGINS, ipamd_ipam)


@pytest.fixture
def runtime(node: Namespace, reference_plugins: Path) -> Runtime:
    """Calls the plugins on the node as a container runtime does."""
    return Runtime(node, reference_plugins)


def ipam_section(service: IpamdProcess, scratch: Path, pools: Sequence[str], **more: Any) -> Document:
    """The `ipam` section that a network on the node needs to ask the service for these pools."""
    return {
        "type": "ipamd-ipam",
        "endpoint": service.endpoint,
        "node": "node-a",
        "stateDir": str(scratch / "node"),
        "pools": list(pools),
        **more,
    }


@pytest.fixture
def ipam(scratch: Path, ipamd_process: IpamdProcess) -> Ipam:
    """Makes the `ipam` section for the pools named."""

    def section(*pools: str, **more: Any) -> Document:
        return ipam_section(ipamd_process, scratch, pools, **more)

    return section


@pytest.fixture
def containerd(scratch: Path, node: Namespace, reference_plugins: Path) -> Iterator[Containerd]:
    """A containerd that is not started yet, so that a test configures its network first."""
    folder = scratch / "containerd"
    folder.mkdir()
    daemon = Containerd(folder, node, reference_plugins)
    yield daemon
    daemon.remove_everything()


@pytest.fixture
def podman(scratch: Path, node: Namespace, reference_plugins: Path) -> Iterator[Podman]:
    """A podman with the image loaded, whose network a test configures first."""
    folder = scratch / "podman"
    folder.mkdir()
    engine = Podman(folder, node, reference_plugins)
    yield engine
    engine.remove_everything()
