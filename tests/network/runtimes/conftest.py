"""containerd 2.1 and the reference plugins 1.9, out of Debian sid."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network.conftest import plugin_folder
from tests.network.containerd import Containerd
from tests.network.installed import BINARIES, NETWORKS, InstalledNode, installed_node
from tests.network.namespace import Namespace
from tests.network.runtimes import sid


@pytest.fixture(scope="session")
def sid_root(pytestconfig: pytest.Config) -> Path:
    """The folder with the unpacked packages; the first test waits for the download."""
    root = pytestconfig.rootpath / "build" / "sid"
    sid.unpack(root)
    return root


@pytest.fixture
def reference_plugins(scratch: Path, sid_root: Path, ipamd_ipam: Path) -> Path:
    """A folder of executables with sid's reference plugins and ours beside them."""
    return plugin_folder(scratch / "bin", sid_root / "usr" / "lib" / "cni", ipamd_ipam)


@pytest.fixture
def containerd(
    scratch: Path, node: Namespace, reference_plugins: Path, sid_root: Path
) -> Iterator[Containerd]:
    """A containerd 2.1 that is not started yet, so that a test configures its network first."""
    folder = scratch / "containerd"
    folder.mkdir()
    daemon = Containerd(folder, node, reference_plugins, sid_root / "usr" / "bin")
    yield daemon
    daemon.remove_everything()


@pytest.fixture
def installed(node: Namespace, sid_root: Path) -> Iterator[InstalledNode]:
    """A node with sid's reference plugins, before anything of ours is installed."""
    with installed_node(node, sid_root / "usr" / "lib" / "cni") as made:
        yield made


@pytest.fixture
def installed_containerd(scratch: Path, installed: InstalledNode, sid_root: Path) -> Iterator[Containerd]:
    """A containerd 2.1 on that node, with its default folders for plugins and networks."""
    folder = scratch / "installed"
    executables = shutil.copytree(sid_root / "usr" / "bin", folder / "bin")  # the checkout is taken away
    daemon = Containerd(folder, installed, BINARIES, executables, NETWORKS)
    yield daemon
    daemon.remove_everything()
