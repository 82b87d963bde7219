"""A real podman with the CNI backend: own storage, own networks, own network namespace."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.network import image, leftovers
from tests.network.namespace import Host, run

CONTAINERS = """
[network]
network_backend = "cni"
cni_plugin_dirs = ["{plugins}"]
network_config_dir = "{networks}"
default_network = "podman"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:8192"]
log_driver = "k8s-file"
"""
STORAGE = """
[storage]
driver = "overlay"
runroot = "{folder}/run"
graphroot = "{folder}/root"
"""

WITHOUT_CNI = "cni support is not enabled in this build"


def is_built_without_cni() -> bool:
    """Whether podman itself says that it is, as Debian 13's does: nothing else counts as that."""
    if shutil.which("podman") is None:
        return False
    with TemporaryDirectory(prefix="ipamd-") as folder:
        configuration = Path(folder) / "containers.conf"
        configuration.write_text('[network]\nnetwork_backend = "cni"\n')
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "CONTAINERS_CONF": str(configuration)}
        # vfs: the overlay driver would leave a mount behind.
        places = ("--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "vfs")
        said = subprocess.run(
            ["podman", *places, "info"], env=environment, capture_output=True, text=True, timeout=60
        )
        return WITHOUT_CNI in said.stderr


class Podman:
    """One podman that owns a folder and one CNI network."""

    def __init__(self, folder: Path, node: Host, plugins: Path, networks: Path | None = None) -> None:
        self.folder = folder
        self.node = node
        self.network = folder.parent.name
        self.cgroup = folder.parent.name
        self._networks = networks or folder / "net.d"
        containers = CONTAINERS.format(folder=folder, plugins=plugins, networks=self._networks)
        (folder / "containers.conf").write_text(containers)
        (folder / "storage.conf").write_text(STORAGE.format(folder=folder))

    def configure_network(self, version: str, *plugins: dict[str, Any]) -> None:
        document = {"cniVersion": version, "name": self.network, "plugins": plugins}
        self._networks.mkdir(exist_ok=True)
        (self._networks / "10-pods.conflist").write_text(json.dumps(document))

    def load_image(self) -> None:
        archive = self.folder / "image.tar"
        image.write_image(archive)
        self("load", "--quiet", "--input", str(archive))

    def run(self, name: str, *options: str, network: str | None = None) -> None:
        """Start a container that sleeps, on the network that was configured unless another is named."""
        fixed = ("--name", name, "--network", network or self.network, "--cgroup-parent", f"/{self.cgroup}")
        self("run", "--detach", "--stop-timeout", "0", *fixed, *options, image.REFERENCE)

    def execute(self, name: str, *command: str) -> str:
        return self("exec", name, *command)

    def container_id(self, name: str) -> str:
        return self("inspect", "--format", "{{.Id}}", name).strip()

    def __call__(self, *arguments: str) -> str:
        """Run a podman command and return what it printed."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }
        command = [*self.node.prefix(), "podman", "--tmpdir", str(self.folder / "tmp"), *arguments]
        return run(*command, env=environment)

    def remove_everything(self) -> None:
        """Remove containers, monitors, mounts, cgroups, in whatever state a test left them."""
        try:
            self("rm", "--all", "--force", "--time", "0")
        finally:
            leftovers.end_processes(self.folder, self.cgroup)
            leftovers.unmount_below(self.folder)
            leftovers.remove_cgroups(self.cgroup)
            leftovers.forget_results(self.network)
