"""The chart on a real Kubernetes, as the pod network of an empty cluster: one story, in its tests' order."""

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.charts.chart import CHART
from tests.kubernetes.cluster import Cluster, wait_for
from tests.kubernetes.conftest import install
from tests.kubernetes.machine import OWN
from tests.network import image

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

PODS = 40
SUBNET = ip_network("10.64.0.0/16")


def deployment(name: str, replicas: int) -> str:
    labels = {"app": name}
    sleeping = {"name": "sleeping", "image": image.REFERENCE, "imagePullPolicy": "Never"}
    pod = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [sleeping]},
    }
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod},
        }
    )


def pods(cluster: Cluster, app: str = "web") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.get("pods", "-l", f"app={app}")["items"]
    return found


def ipamctl(cluster: Cluster, *arguments: str) -> Any:
    return json.loads(
        cluster.kubectl(
            "-n",
            "ipamd",
            "exec",
            "deployment/ipamd",
            "-c",
            "ipamd",
            "--",
            "ipamctl",
            "-o",
            "json",
            *arguments,
        )
    )


def allocated(cluster: Cluster) -> int:
    found: int = ipamctl(cluster, "pool", "usage", "pods-v4")["allocated"]
    return found


def not_ready(cluster: Cluster) -> list[str]:
    """The nodes that are not ready, by name."""
    return [
        node["metadata"]["name"]
        for node in cluster.get("nodes")["items"]
        if not any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])
    ]


def files(cluster: Cluster) -> list[str]:
    """What stands in the nodes' own folders beside logs and the reference plugins."""
    folders = [folder for folder in OWN if folder not in ("/var/log", "/var/lib/cni")]
    found = [
        machine.run("find", *folders, "(", "-type", "f", "-o", "-type", "s", ")")
        for machine in cluster.machines
    ]
    return "".join(found).split()


def test_a_cluster_without_a_network_gets_one(release: Cluster) -> None:
    wait_for(lambda: not_ready(release) == [], "ready nodes")

    assert ipamctl(release, "status")["ready"] is True
    assert ipamctl(release, "pool", "show", "pods-v4")["subnet"] == str(SUBNET)


def test_pods_get_addresses_and_reach_each_other_and_their_node(release: Cluster) -> None:
    release.kubectl("apply", "-f", "-", given=deployment("web", PODS))
    release.kubectl("rollout", "status", "deployment/web", "--timeout=110s")

    running = pods(release)
    addresses = [pod["status"]["podIP"] for pod in running]
    assert len(set(addresses)) == PODS
    assert [one for one in addresses if ip_address(one) not in SUBNET] == []
    assert {one["address"] for one in ipamctl(release, "allocation", "list")["items"]} == set(addresses)
    first = running[0]
    neighbour = next(
        pod["status"]["podIP"] for pod in running[1:] if pod["spec"]["nodeName"] == first["spec"]["nodeName"]
    )
    for target in (neighbour, first["status"]["hostIP"]):
        release.kubectl("exec", first["metadata"]["name"], "--", "ping", "-c", "1", "-W", "5", target)


def test_a_pod_gets_the_address_that_its_annotation_asks_for(release: Cluster) -> None:
    asking = json.loads(deployment("asking", 1))
    asking["spec"]["template"]["metadata"]["annotations"] = {"ipamd.io/addresses": "10.64.9.9"}

    release.kubectl("apply", "-f", "-", given=json.dumps(asking))
    release.kubectl("rollout", "status", "deployment/asking", "--timeout=60s")

    assert [pod["status"]["podIP"] for pod in pods(release, "asking")] == ["10.64.9.9"]
    release.kubectl("delete", "deployment", "asking")


def test_an_upgrade_keeps_tokens_and_addresses_and_applies_the_pools(
    release: Cluster, values: dict[str, Any]
) -> None:
    secrets = [release.get("-n", "ipamd", "secret", name)["data"] for name in ("ipamd-tokens", "ipamd-tls")]
    before = {pod["status"]["podIP"] for pod in pods(release)}
    changed = {**values["pools"][0], "exclusions": ["10.64.200.0/24"]}

    install(release, {**values, "pools": [changed], "server": {**values["server"], "logLevel": "debug"}})

    assert [
        release.get("-n", "ipamd", "secret", name)["data"] for name in ("ipamd-tokens", "ipamd-tls")
    ] == secrets
    assert {pod["status"]["podIP"] for pod in pods(release)} == before
    assert ipamctl(release, "pool", "show", "pods-v4")["exclusions"] == ["10.64.200.0/24"]
    assert "Phase:          Succeeded" in release.helm("test", "ipamd", "-n", "ipamd", "--timeout", "60s")


def test_pods_end_while_ipamd_is_away_and_everything_is_released_when_it_is_back(release: Cluster) -> None:
    release.kubectl("-n", "ipamd", "scale", "deployment/ipamd", "--replicas=0")
    release.kubectl(
        "-n",
        "ipamd",
        "wait",
        "--for=delete",
        "pod",
        "-l",
        "app.kubernetes.io/component=server",
        "--timeout=60s",
    )

    release.kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=110s")
    wait_for(lambda: pods(release) == [], "the end of all pods")
    assert not_ready(release) == []

    release.kubectl("-n", "ipamd", "scale", "deployment/ipamd", "--replicas=1")
    release.kubectl("-n", "ipamd", "rollout", "status", "deployment/ipamd", "--timeout=100s")
    wait_for(lambda: allocated(release) == 0, "all released")


def test_a_database_that_cannot_be_reached_is_a_sentence_in_the_log(
    release: Cluster, values: dict[str, Any]
) -> None:
    url = "--from-literal=url=postgresql://ipamd@127.0.0.1:1/ipamd"
    release.kubectl("create", "secret", "generic", "wrong", url)
    database = {"kind": "postgresql", "existingSecret": "wrong", "migrateWaitSeconds": 1}
    server = {**values["server"], "port": 8790, "replicas": 1}
    wrong = {"image": values["image"], "database": database, "server": server, "nodes": {"enabled": False}}

    release.helm("install", "wrong", str(CHART), "-f", "-", given=json.dumps(wrong))

    def log() -> str:
        return release.kubectl("logs", "deployment/wrong-ipamd", "-c", "migrate", check=False)

    wait_for(lambda: "cannot be reached, check that it runs" in log(), "the sentence")
    release.helm("uninstall", "wrong")


def test_uninstalled_nothing_of_it_is_left_on_any_node(release: Cluster) -> None:
    assert [file for file in files(release) if file.endswith("10-pods.conflist")]

    release.helm("uninstall", "ipamd", "-n", "ipamd", "--timeout", "200s")

    wait_for(lambda: files(release) == [], "clean nodes")  # the agents end after helm has
    kinds = "pods,daemonsets,deployments,jobs,configmaps,secrets,roles,rolebindings"
    wait_for(
        lambda: "ipamd" not in release.kubectl("-n", "ipamd", "get", kinds, "-o", "name"),
        "an empty namespace",
    )
