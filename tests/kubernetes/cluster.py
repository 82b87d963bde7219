"""A real Kubernetes 1.20 of two nodes or more, empty: no network for pods, no registry, no DNS."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.kubernetes.machine import Machine, Switch
from tests.network import image, leftovers
from tests.network.namespace import run
from tests.release.charts.chart import HELMS

ROOT: Final = Path(__file__).parent.parent.parent
BINARIES: Final = ROOT / "build" / "kubernetes" / "bin"
KUBECTL: Final = HELMS[0].parent / "kubectl"
_HELM: Final = os.environ.get("IPAMD_HELM", "4")
HELM: Final = {"3": HELMS[0], "4": HELMS[1]}[_HELM]
OVER_OTHERS: Final = ["--force-conflicts"] if _HELM == "4" else []
"""What helm has to be told if somebody else has changed a field of the release; Helm 3 never minds."""
SERVICES: Final = "10.98.0.0/24"
SERVICES6: Final = "fd00:98::/112"
PLUGINS: Final = Path("/usr/lib/cni")
NAMESPACE: Final = "k8s.io"
"""Kubernetes' among those of containerd, and the name of its cgroup."""
TOKEN: Final = "of-the-tests"
KERNEL: Final = (
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)
"""What kubelet sets for the whole machine."""

CONTAINERD: Final = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{folder}/containerd.sock"
[ttrpc]
  address = "{folder}/containerd.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""

KUBELET: Final[dict[str, Any]] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "failSwapOn": False,
    "cgroupDriver": "cgroupfs",
    "cgroupsPerQOS": False,
    "enforceNodeAllocatable": [],
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "imageGCHighThresholdPercent": 100,  # no registry has the images again
    "evictionHard": {"imagefs.available": "1%", "nodefs.available": "1%", "memory.available": "50Mi"},
}


class Cluster:
    """Its nodes, of which the first has the control plane too."""

    def __init__(
        self, folder: Path, archives: list[Path], *, nodes: int = 2, dual_stack: bool = False
    ) -> None:
        self.folder = folder
        self.machines = [
            Machine(f"node{n}", f"10.99.0.{n}", folder / f"node{n}") for n in range(1, nodes + 1)
        ]
        self.outside = Machine("outside", "10.99.0.9", folder / "outside")
        """No node, and on the nodes' network."""
        self._switch = Switch()
        self._archives = archives
        self._dual_stack = dual_stack
        self._kernel: dict[str, str] = {}

    @property
    def control(self) -> Machine:
        return self.machines[0]

    def start(self) -> None:
        """Return when the API answers and all nodes are known."""
        self._kernel = {key: run("sysctl", "-n", key).strip() for key in KERNEL}
        self._switch.create()
        for machine in [*self.machines, self.outside]:
            machine.create()
            self._switch.attach(machine)
        self._write_credentials()
        self._start_control_plane()
        wait_for(lambda: self.kubectl("get", "--raw", "/readyz", check=False) == "ok", "the API")
        for machine in self.machines:
            self._start_node(machine)
        wait_for(
            lambda: len(self.kubectl("get", "nodes", "-o", "name").split()) == len(self.machines), "nodes"
        )

    def _write_credentials(self) -> None:
        names = (
            f"subjectAltName=IP:127.0.0.1,IP:{self.control.address},IP:10.98.0.1,DNS:kubernetes.default.svc"
        )
        certificate = ["-keyout", str(self._at("tls.key")), "-out", str(self._at("tls.crt"))]
        subject = ["-days", "2", "-subj", "/CN=kubernetes", "-addext", names]
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *certificate, *subject)
        run("openssl", "genrsa", "-out", str(self._at("accounts.key")), "2048")
        self._at("tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")
        server = {
            "server": f"https://{self.control.address}:6443",
            "certificate-authority": str(self._at("tls.crt")),
        }
        configuration = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
        self._at("kubeconfig").write_text(json.dumps(configuration))

    def _at(self, name: str) -> Path:
        return self.folder / name

    def _start_control_plane(self) -> None:
        start, kubeconfig = self.control.start, f"--kubeconfig={self._at('kubeconfig')}"
        client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
        listen = [
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
        ]
        start("/usr/bin/etcd", f"--data-dir={self._at('etcd')}", *listen, "--unsafe-no-fsync")
        start(
            str(BINARIES / "kube-apiserver"),
            f"--etcd-servers={client}",
            f"--token-auth-file={self._at('tokens.csv')}",
            "--authorization-mode=Node,RBAC",
            *self._gates(),
            f"--service-cluster-ip-range={','.join([SERVICES, *([SERVICES6] if self._dual_stack else [])])}",
            f"--tls-cert-file={self._at('tls.crt')}",
            f"--tls-private-key-file={self._at('tls.key')}",
            f"--service-account-key-file={self._at('accounts.key')}",
            f"--service-account-signing-key-file={self._at('accounts.key')}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--api-audiences=https://kubernetes.default.svc",
            f"--advertise-address={self.control.address}",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
        )
        start(
            str(BINARIES / "kube-controller-manager"),
            kubeconfig,
            *self._gates(),
            f"--service-account-private-key-file={self._at('accounts.key')}",
            f"--root-ca-file={self._at('tls.crt')}",
            "--leader-elect=false",
        )
        start(str(BINARIES / "kube-scheduler"), kubeconfig, "--leader-elect=false")

    def _gates(self) -> list[str]:
        return ["--feature-gates=IPv6DualStack=true"] if self._dual_stack else []

    def _start_node(self, machine: Machine) -> None:
        folder, kubeconfig = machine.folder, f"--kubeconfig={self._at('kubeconfig')}"
        for plugin in PLUGINS.iterdir():
            machine.run("ln", "-s", str(plugin), "/opt/cni/bin/")
        (folder / "containerd.toml").write_text(CONTAINERD.format(folder=folder, image=image.REFERENCE))
        self._start_containerd(machine)
        socket = str(folder / "containerd.sock")
        for archive in self._archives:
            machine.run("ctr", "-a", socket, "-n", NAMESPACE, "image", "import", str(archive), timeout=300)
        (folder / "kubelet.json").write_text(json.dumps({**KUBELET, "address": machine.address}))
        self.start_kubelet(machine)
        conntrack = [
            f"--conntrack-{what}=0"
            for what in ("max-per-core", "tcp-timeout-established", "tcp-timeout-close-wait")
        ]
        names = [
            f"--hostname-override={machine.name}",
            "--proxy-mode=iptables",
            "--healthz-bind-address=127.0.0.1:10256",
        ]
        machine.start(str(BINARIES / "kube-proxy"), kubeconfig, *names, *conntrack, *self._gates())

    def _start_containerd(self, machine: Machine) -> None:
        folder = machine.folder
        machine.start("/usr/bin/containerd", "-c", str(folder / "containerd.toml"))
        socket = str(folder / "containerd.sock")
        wait_for(lambda: _succeeds(machine, "ctr", "-a", socket, "version"), "containerd")

    def restart_containerd(self, machine: Machine) -> None:
        """Let it read from its database again what there is; what runs in containers goes on."""
        machine.stop("containerd")
        self._start_containerd(machine)

    def start_kubelet(self, machine: Machine) -> None:
        """Start what makes a machine a node; one that it started before has been ended."""
        folder, kubeconfig = machine.folder, f"--kubeconfig={self._at('kubeconfig')}"
        socket = folder / "containerd.sock"
        machine.start(
            str(BINARIES / "kubelet"),
            *self._gates(),
            f"--config={folder / 'kubelet.json'}",
            kubeconfig,
            f"--root-dir={folder / 'kubelet'}",
            f"--node-ip={machine.address}",
            f"--hostname-override={machine.name}",
            "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{socket}",
            f"--image-service-endpoint=unix://{socket}",
        )

    def restart_kubelet(self, machine: Machine) -> None:
        """What an admin does to have a node register again."""
        machine.stop("kubelet")
        self.start_kubelet(machine)

    def lose(self, machine: Machine) -> None:
        """Let a machine die, with all that runs on it."""
        tasks = machine.run(
            "ctr", "-a", str(machine.folder / "containerd.sock"), "-n", NAMESPACE, "tasks", "list"
        )
        for line in tasks.splitlines()[1:]:
            run("kill", "-9", line.split()[1])
        machine.end()
        leftovers.end_monitors(machine.folder)

    def renew(self, machine: Machine) -> None:
        """Have another machine under a node's name and address, empty, in the place of the lost one."""
        machine.folder.rename(machine.folder.with_name(f"{machine.name}-that-died"))
        machine.create()
        self._switch.attach(machine)
        # As of any machine that boots, its word gives others its new MAC address; in IPv4 broadcasts do.
        machine.run("ping", "-6", "-c", "5", "-i", "0.5", self.outside.address6)
        self._start_node(machine)

    def kubectl(self, *arguments: str, given: str = "", check: bool = True, seconds: float = 120) -> str:
        """Run kubectl on the first node; what it printed."""
        return self._run(str(KUBECTL), *arguments, given=given, check=check, seconds=seconds)

    def helm(self, *arguments: str, given: str = "", check: bool = True, seconds: float = 300) -> str:
        """Run helm on the first node; what it printed, complaints too."""
        return self._run(str(HELM), *arguments, given=given, check=check, seconds=seconds)

    def _run(self, *command: str, given: str, check: bool, seconds: float) -> str:
        done = subprocess.run(
            [*self.control.prefix(), *command],
            env=self.environment(),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}"
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Of commands that ask the API."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "KUBECONFIG": str(self._at("kubeconfig")),
        }

    def get(self, *arguments: str) -> Any:
        """What the API has, as objects."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def end(self) -> None:
        """End everything, in whatever state it is, and take away what it left outside of its folder."""
        for machine in reversed([*self.machines, self.outside]):
            machine.end()
        self._switch.end()
        leftovers.end_processes(self.folder, NAMESPACE)
        leftovers.remove_cgroups(NAMESPACE)
        for key, value in self._kernel.items():
            run("sysctl", "-q", f"{key}={value}")


def _succeeds(machine: Machine, *command: str) -> bool:
    try:
        machine.run(*command)
    except AssertionError:
        return False
    return True


def wait_for(what: Callable[[], bool], name: str, seconds: float = 120) -> None:
    """Wait until something is so, for as long as a busy machine may need."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"{name}: not within {seconds} s"
        time.sleep(0.5)
