"""The network of a pod that runs: commands in it, and a further interface as Multus makes one."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from tests.kubernetes.cluster import NAMESPACE, Cluster, wait_for
from tests.kubernetes.workload import Pod


class Sandbox:
    """A pod's network on its node, as the container runtime has it."""

    def __init__(self, cluster: Cluster, pod: Pod) -> None:
        self._cluster = cluster
        self._pod = pod["metadata"]
        [self._machine] = [one for one in cluster.machines if one.name == pod["spec"]["nodeName"]]
        self._ctr = ["ctr", "-a", str(self._machine.folder / "containerd.sock"), "-n", NAMESPACE]
        self._container = self._find()

    def _find(self) -> str:
        which = f'labels."io.kubernetes.pod.uid"=={self._pod["uid"]}'
        kind = 'labels."io.cri-containerd.kind"==sandbox'
        return self._machine.run(*self._ctr, "containers", "list", "--quiet", f"{which},{kind}").strip()

    def die_unseen(self) -> None:
        """End it, with all that the runtime knows of it. So neither runtime nor kubelet sends a DEL."""
        self._machine.stop("kubelet")
        [namespace] = [
            one["path"]
            for one in json.loads(self._machine.run(*self._ctr, "containers", "info", self._container))[
                "Spec"
            ]["linux"]["namespaces"]
            if one["type"] == "network"
        ]
        which = f'labels."io.kubernetes.pod.uid"=={self._pod["uid"]}'
        for container in self._machine.run(*self._ctr, "containers", "list", "--quiet", which).split():
            self._machine.run(*self._ctr, "tasks", "kill", "--signal", "SIGKILL", container)
            wait_for(partial(self._has_ended, container), "the end of a container")
            self._machine.run(*self._ctr, "containers", "delete", container)
        self._machine.run("umount", namespace)
        self._cluster.restart_containerd(self._machine)
        self._cluster.start_kubelet(self._machine)

    def _has_ended(self, container: str) -> bool:
        return container not in self._machine.run(*self._ctr, "tasks", "list")

    def _process(self) -> str:
        tasks = self._machine.run(*self._ctr, "tasks", "list").splitlines()
        [process] = [line.split()[1] for line in tasks if line.startswith(self._container)]
        return process

    def run(self, *command: str) -> str:
        """Run a command of the node's in the pod's network."""
        return self._machine.run("nsenter", "--target", self._process(), "--net", "--", *command)

    def call(self, command: str, interface: str, network: Mapping[str, Any]) -> Any:
        """Run the main plugin that a network names; what it answers, None if that is nothing."""
        arguments = {
            "IgnoreUnknown": "true",
            "K8S_POD_NAMESPACE": self._pod["namespace"],
            "K8S_POD_NAME": self._pod["name"],
            "K8S_POD_INFRA_CONTAINER_ID": self._container,
            "K8S_POD_UID": self._pod["uid"],
        }
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": self._container,
            "CNI_NETNS": f"/proc/{self._process()}/ns/net",
            "CNI_IFNAME": interface,
            "CNI_PATH": "/opt/cni/bin",
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in arguments.items()),
        }
        plugin = f"/opt/cni/bin/{network['type']}"
        answer = self._machine.feed(json.dumps(network), plugin, env=environment)
        return json.loads(answer) if answer else None
