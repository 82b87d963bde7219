"""A real containerd with its CRI plugin: own folder, own network namespace, no registry, no systemd."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import grpc

from tests.network import image, leftovers
from tests.network.cri import Cri, Pod
from tests.network.namespace import Host, run

START_SECONDS = 60
CONFIGURATION = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{folder}/containerd.sock"
[ttrpc]
  address = "{folder}/containerd.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  disable_apparmor = true
  disable_tcp_service = true
  enable_selinux = false
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


class Containerd:
    """One containerd that owns a folder; `network` is the list of plugins that its pods join."""

    def __init__(
        self,
        folder: Path,
        node: Host,
        plugins: Path,
        executables: Path = Path("/usr/bin"),
        networks: Path | None = None,
    ) -> None:
        self.folder = folder
        self.node = node
        self.network = folder.parent.name
        self.cgroup = folder.parent.name
        self.executables = executables
        self._networks = networks or folder / "net.d"
        self._plugins = plugins
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "containerd.log"
        self.cri = Cri(folder / "containerd.sock", f"/{self.cgroup}", folder / "pods")

    def configure_network(self, version: str, *plugins: dict[str, Any]) -> None:
        """Write the network configuration list; containerd sees the change by itself."""
        self._networks.mkdir(exist_ok=True)
        document = {"cniVersion": version, "name": self.network, "plugins": plugins}
        draft = self._networks / "10-pods.draft"
        draft.write_text(json.dumps(document))
        draft.rename(self._networks / "10-pods.conflist")

    def start(self) -> None:
        """Start the daemon and return when it answers and has the image."""
        (self.folder / "config.toml").write_text(
            CONFIGURATION.format(
                folder=self.folder, plugins=self._plugins, networks=self._networks, image=image.REFERENCE
            )
        )
        command = [
            *self.node.prefix(),
            str(self.executables / "containerd"),
            "-c",
            f"{self.folder}/config.toml",
        ]
        environment = {"PATH": f"{self.executables}:/usr/sbin:/usr/bin:/sbin:/bin"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_until_network_ready()
        archive = self.folder / "image.tar"
        if not archive.exists():
            image.write_image(archive)
            self.ctr("-n", "k8s.io", "image", "import", str(archive))

    def ctr(self, *arguments: str) -> str:
        """Run a command of containerd's own client on the node and return what it printed."""
        client = (str(self.executables / "ctr"), "-a", str(self.folder / "containerd.sock"))
        return run(*self.node.prefix(), *client, *arguments)

    def _wait_until_network_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._network_ready():
            assert time.monotonic() < deadline, f"containerd is not ready:\n{self._log.read_text()}"
            time.sleep(0.1)

    def _network_ready(self) -> bool:
        try:
            return self.cri.network_ready()
        except grpc.RpcError:
            return False

    def run_pod(
        self, name: str, annotations: dict[str, str] | None = None, ports: dict[int, int] | None = None
    ) -> Pod:
        return self.cri.run_pod(name, annotations, ports)

    def lose_namespaces(self) -> None:
        """Take the pods' namespaces away, as a reboot does: containerd's DEL has an empty CNI_NETNS then."""
        folder = self.folder / "state" / "io.containerd.grpc.v1.cri" / "netns"
        leftovers.unmount_below(folder)
        for namespace in folder.iterdir():
            namespace.unlink()

    def stop(self) -> None:
        """End the daemon; its pods live on, as they do when a node's containerd is upgraded."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=120)
            self._process = None

    def remove_everything(self) -> None:
        """Remove pods, daemon, shims, mounts, cgroups, in whatever state a test left them."""
        try:
            if (self.folder / "state").exists():
                self._remove_pods()
        finally:
            self.cri.close()
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            leftovers.end_processes(self.folder, self.cgroup)
            leftovers.unmount_below(self.folder)
            leftovers.remove_cgroups(self.cgroup)
            leftovers.forget_results(self.network)

    def _remove_pods(self) -> None:
        """Only containerd knows all that its pods have outside of its folder: start it again if it died."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        for pod in self.cri.pods():
            self.cri.stop_pod(pod)
            self.cri.remove_pod(pod)
