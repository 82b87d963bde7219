"""A node with folders of its own, on which nothing of ours lies but what `ipamd-agent install` put there."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.network.namespace import Namespace, run
from tests.node_executable import ROOT, static_plugin
from tests.service import EXECUTABLES

NODE: Final = "worker-1"
BINARIES: Final = Path("/opt/cni/bin")
NETWORKS: Final = Path("/etc/cni/net.d")
RESULTS: Final = Path("/var/lib/cni/results")

_OWN: Final = ("/etc", "/opt", "/var/lib")
_STALE: Final = (BINARIES, NETWORKS, "/etc/ipamd", "/var/lib/cni", "/var/lib/ipamd-node")
_HOLDER: Final = f"""
layers=$1
for folder in {" ".join(_OWN)}; do
    own=$layers$folder
    mkdir -p $own/changed $own/work
    mount -t overlay node -o lowerdir=$folder,upperdir=$own/changed,workdir=$own/work $folder
done
[ ! -d /run/ipamd ] || mount -t tmpfs node /run/ipamd
rm -rf {" ".join(map(str, _STALE))}
mkdir -p {BINARIES} {NETWORKS}
cd /
echo ready
exec sleep infinity
"""


class InstalledNode:
    """A network and the folders /etc, /opt, /var/lib of a node; what is written there is its own.

    It begins as this machine is, without CNI plugins, networks, or anything of ipamd's. Named network
    namespaces that this machine makes later are seen on it too.
    """

    def __init__(self, network: Namespace) -> None:
        self.network = network
        self._layers = Path(tempfile.mkdtemp(prefix="ipamd-", dir="/dev/shm"))  # overlayfs wants a plain one
        self._holder: subprocess.Popen[str] | None = None

    def create(self) -> None:
        command = [*self.network.prefix(), "unshare", "--mount", "--propagation", "slave", "sh", "-euc"]
        self._holder = subprocess.Popen(
            [*command, _HOLDER, "sh", str(self._layers)], stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"

    def prefix(self) -> list[str]:
        """What to put before a command so that it runs on the node."""
        assert self._holder is not None
        return ["nsenter", "--target", str(self._holder.pid), "--net", "--mount", "--root", "--wd", "--"]

    def run(self, *command: str) -> str:
        """Run a command on the node and return what it printed; raise with its words where it fails."""
        return run(*self.prefix(), *command)

    def write(self, path: Path, text: str) -> None:
        """Write a file of the operator's."""
        self.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", text, str(path))

    def add_reference_plugins(self, plugins: Path) -> None:
        """Have the plugins that every node has."""
        self.run("sh", "-c", f"cp {plugins}/* {BINARIES}/")

    def install(self, endpoint: str, *more: str) -> None:
        """Put our plugin and /etc/ipamd/node.json in place, as an operator does."""
        self.run(
            *(str(EXECUTABLES / "ipamd-agent"), "install", "--executables", str(ROOT / "dist" / "node")),
            *("--endpoint", endpoint, "--node", NODE, *more),
        )

    def take_all_else_away(self) -> None:
        """Leave only the installed executable of ours: no checkout, no Python to run it under."""
        self.run("mount", "-t", "tmpfs", "nothing", str(ROOT))
        for interpreter in {Path(sys.executable).resolve(), *Path("/usr/bin").glob("python3*")}:
            self.run("sh", "-c", f"[ ! -f {interpreter} ] || mount --bind /dev/null {interpreter}")

    def assert_only_the_executable(self) -> None:
        """No Python runs on the node, no checkout is there, and the plugin is the static executable."""
        static = static_plugin()
        assert static is not None, "build it: make node"
        with pytest.raises(AssertionError):
            self.run("env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "python3", "-c", "")
        with pytest.raises(AssertionError):
            self.run("test", "-e", str(static))
        size = self.run("stat", "--format", "%s", str(BINARIES / "ipamd-ipam"))
        assert int(size) == static.stat().st_size

    def results(self) -> Path:
        """Where this machine sees what libcni keeps on the node."""
        return self._layers / "var/lib/changed" / RESULTS.relative_to("/var/lib")

    def end(self) -> None:
        """End the node; nobody may run on it any more."""
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
        shutil.rmtree(self._layers)


@contextmanager
def installed_node(network: Namespace, plugins: Path) -> Iterator[InstalledNode]:
    """Make a node with the reference plugins, before anything of ours is installed."""
    node = InstalledNode(network)
    try:
        node.create()
        node.add_reference_plugins(plugins)
        yield node
    finally:
        node.end()
