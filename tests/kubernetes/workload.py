"""Pods that somebody runs in a cluster."""

import json
from typing import Any, Final

from tests.kubernetes.cluster import Cluster
from tests.network import image

Pod = dict[str, Any]

FULL_SPEED: Final = 4


def run_deployment(
    cluster: Cluster,
    name: str,
    replicas: int,
    container: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
) -> list[Pod]:
    """Have pods that sleep, or do something else, as many on each node; return them when all of them run."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": name}},
    }
    pod = {"containers": [container or _container()], "topologySpreadConstraints": [spread]}
    _apply(cluster, "Deployment", name, {"replicas": replicas}, pod, annotations)
    cluster.kubectl("rollout", "status", f"deployment/{name}", "--timeout=170s", seconds=180)
    return pods(cluster, name)


def run_stateful_set(
    cluster: Cluster,
    name: str,
    replicas: int,
    container: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
) -> list[Pod]:
    """Have pods that sleep, or do something else, and keep their names; return them when all of them run."""
    apply_stateful_set(cluster, name, replicas, container, annotations)
    cluster.kubectl("rollout", "status", f"statefulset/{name}", "--timeout=170s", seconds=180)
    return pods(cluster, name)


def apply_stateful_set(
    cluster: Cluster,
    name: str,
    replicas: int,
    container: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    namespace: str = "default",
    strategy: str = "RollingUpdate",
) -> None:
    """Ask for pods that keep their names, and begin all at once rather than one after another."""
    spec = {
        "serviceName": name,
        "replicas": replicas,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": strategy},
    }
    pod = {"containers": [container or _container()]}
    _apply(cluster, "StatefulSet", name, spec, pod, annotations, namespace)


def _apply(
    cluster: Cluster,
    kind: str,
    name: str,
    spec: dict[str, Any],
    pod: dict[str, Any],
    annotations: dict[str, str] | None,
    namespace: str = "default",
) -> None:
    """Ask for pods of one template: `spec` says what is the set's own, `pod` what is its pods'."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels, "annotations": annotations or {}},
        "spec": {"terminationGracePeriodSeconds": 1, **pod},
    }
    document = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }
    cluster.kubectl("apply", "-f", "-", given=json.dumps(document))


def run_pod(
    cluster: Cluster, name: str, node: str, container: dict[str, Any], annotations: dict[str, str]
) -> Pod:
    """Have one pod on a node; return it when it is ready."""
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "containers": [container],
        },
    }
    cluster.kubectl("apply", "-f", "-", given=json.dumps(document))
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=110s")
    found: Pod = cluster.get("pod", name)
    return found


def delete_pods(cluster: Cluster, *names: str) -> None:
    """Delete pods by name; return when they are gone."""
    _delete(cluster, "pod", *names)


def delete_set(cluster: Cluster, kind: str, name: str) -> None:
    """Delete what keeps pods; return when all its pods are gone."""
    _delete(cluster, kind, name, "--cascade=foreground")


def _delete(cluster: Cluster, *what: str) -> None:
    # A kubelet waits up to 120 s for its runtime, and up to 90 s before it looks again at a pod that stays.
    cluster.kubectl("delete", *what, "--timeout=170s", seconds=180)


def start_churn(cluster: Cluster, name: str) -> None:
    """Have pods of which each ends after a second and makes way for the next."""
    container = {**_container(), "command": ["sleep", "1"]}
    template = {"metadata": {"labels": {"app": name}}, "spec": _once(container)}
    document = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "parallelism": FULL_SPEED,
            "completions": 10_000,
            "backoffLimit": 0,
            "template": template,
        },
    }
    cluster.kubectl("apply", "-f", "-", given=json.dumps(document))


def ended(cluster: Cluster, name: str) -> tuple[int, int]:
    """How many pods of a churn have succeeded, and how many have failed."""
    status = cluster.get("job", name)["status"]
    return status.get("succeeded", 0), status.get("failed", 0)


def _container() -> dict[str, Any]:
    return {"name": "sleeping", "image": image.REFERENCE, "imagePullPolicy": "Never"}


def _once(container: dict[str, Any]) -> dict[str, Any]:
    return {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}


def pods(cluster: Cluster, app: str, namespace: str = "default") -> list[Pod]:
    found: list[Pod] = cluster.get("-n", namespace, "pods", "-l", f"app={app}")["items"]
    return found


def is_ready(pod: Pod) -> bool:
    """Whether a pod runs and is not to end."""
    conditions = pod["status"].get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


def address(pod: Pod) -> str:
    found: str = pod["status"]["podIP"]
    return found


def on_both_nodes(found: list[Pod]) -> tuple[Pod, Pod, Pod]:
    """A pod, another one on its node, and one on another node."""
    first = found[0]
    here = [pod for pod in found if pod["spec"]["nodeName"] == first["spec"]["nodeName"]]
    there = [pod for pod in found if pod["spec"]["nodeName"] != first["spec"]["nodeName"]]
    return first, here[1], there[0]


def ping(cluster: Cluster, pod: Pod, target: str) -> None:
    """Raise unless an address answers a pod; the first packets may be lost while neighbours are learned."""
    name = pod["metadata"]["name"]
    cluster.kubectl("exec", name, "--", "ping", "-c", "2", "-W", "5", target)


def ping_pods_and_nodes(cluster: Cluster, found: list[Pod]) -> None:
    """From one pod its neighbour, one on another node, and both their nodes; raises unless all answer."""
    first, neighbour, distant = on_both_nodes(found)
    for target in (
        address(neighbour),
        address(distant),
        first["status"]["hostIP"],
        distant["status"]["hostIP"],
    ):
        ping(cluster, first, target)


def not_ready(cluster: Cluster) -> list[str]:
    """The nodes that are not ready, by name."""
    return [
        node["metadata"]["name"]
        for node in cluster.get("nodes")["items"]
        if not any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])
    ]
