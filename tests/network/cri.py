"""A kubelet's side of the Container Runtime Interface, as far as the tests need it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
from cri_api.v1 import api_pb2 as cri
from google.protobuf.message import Message

from tests.network import image

Answer = TypeVar("Answer", bound=Message)
SECONDS = 60


@dataclass(frozen=True)
class Pod:
    """A sandbox that runs, with the addresses that the runtime reports for it."""

    id: str
    name: str
    addresses: tuple[str, ...]
    config: cri.PodSandboxConfig


class Cri:
    """Calls one runtime over its Unix socket."""

    def __init__(self, socket: Path, cgroup_parent: str, logs: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix://{socket}")
        self._cgroup_parent = cgroup_parent
        self._logs = logs

    def close(self) -> None:
        self._channel.close()

    def network_ready(self) -> bool:
        status = self._call("Status", cri.StatusRequest(), cri.StatusResponse).status
        return any(condition.type == "NetworkReady" and condition.status for condition in status.conditions)

    def run_pod(
        self, name: str, annotations: Mapping[str, str] | None = None, ports: Mapping[int, int] | None = None
    ) -> Pod:
        """Start a sandbox, which calls CNI ADD; `ports` are those of the node, each with the pod's."""
        options = cri.NamespaceOption(network=cri.POD, pid=cri.CONTAINER, ipc=cri.POD)
        config = cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name=name, namespace="default", uid=str(uuid.uuid4())),
            hostname=name,
            log_directory=str(self._logs),
            annotations=annotations or {},
            port_mappings=[
                cri.PortMapping(host_port=outside, container_port=inside)
                for outside, inside in (ports or {}).items()
            ],
            linux=cri.LinuxPodSandboxConfig(
                cgroup_parent=self._cgroup_parent,
                security_context=cri.LinuxSandboxSecurityContext(namespace_options=options),
            ),
        )
        request = cri.RunPodSandboxRequest(config=config)
        pod_id = self._call("RunPodSandbox", request, cri.RunPodSandboxResponse).pod_sandbox_id
        status = self._call(
            "PodSandboxStatus",
            cri.PodSandboxStatusRequest(pod_sandbox_id=pod_id),
            cri.PodSandboxStatusResponse,
        ).status
        more = tuple(address.ip for address in status.network.additional_ips)
        return Pod(pod_id, name, (status.network.ip, *more), config)

    def start_container(self, pod: Pod, name: str = "main") -> str:
        """Start a container that sleeps, and return its ID."""
        create = cri.CreateContainerRequest(
            pod_sandbox_id=pod.id,
            sandbox_config=pod.config,
            config=cri.ContainerConfig(
                metadata=cri.ContainerMetadata(name=name),
                image=cri.ImageSpec(image=image.REFERENCE),
                log_path=f"{pod.name}-{name}.log",
                linux=cri.LinuxContainerConfig(),
            ),
        )
        container = self._call("CreateContainer", create, cri.CreateContainerResponse).container_id
        self._call(
            "StartContainer", cri.StartContainerRequest(container_id=container), cri.StartContainerResponse
        )
        return container

    def remove_container(self, container: str) -> None:
        """Kill a container and remove it; its pod stays."""
        self._call(
            "StopContainer", cri.StopContainerRequest(container_id=container), cri.StopContainerResponse
        )
        self._call(
            "RemoveContainer", cri.RemoveContainerRequest(container_id=container), cri.RemoveContainerResponse
        )

    def execute(self, container: str, *command: str) -> str:
        """Run a command in a container and return what it printed; raise if it fails."""
        request = cri.ExecSyncRequest(container_id=container, cmd=command, timeout=120)
        done = self._call("ExecSync", request, cri.ExecSyncResponse)
        if done.exit_code != 0:
            raise AssertionError(f"{command} ended with {done.exit_code}: {done.stdout!r} {done.stderr!r}")
        return done.stdout.decode()

    def stop_pod(self, pod_id: str) -> None:
        """Stop a sandbox, which calls CNI DEL."""
        self._call(
            "StopPodSandbox", cri.StopPodSandboxRequest(pod_sandbox_id=pod_id), cri.StopPodSandboxResponse
        )

    def remove_pod(self, pod_id: str) -> None:
        self._call(
            "RemovePodSandbox",
            cri.RemovePodSandboxRequest(pod_sandbox_id=pod_id),
            cri.RemovePodSandboxResponse,
        )

    def pods(self) -> list[str]:
        """The IDs of all sandboxes, stopped ones too."""
        answer = self._call("ListPodSandbox", cri.ListPodSandboxRequest(), cri.ListPodSandboxResponse)
        return [pod.id for pod in answer.items]

    def _call(self, method: str, request: Message, answer: type[Answer]) -> Answer:
        call = self._channel.unary_unary(
            f"/runtime.v1.RuntimeService/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        reply: Answer = call(request, timeout=SECONDS)
        return reply
