"""The pod network of a routed cluster, on the trial's PostgreSQL: one story, in its tests' order."""

from ipaddress import ip_address, ip_network
from typing import Any, Final

import pytest

from tests.kubernetes.cluster import Cluster, wait_for
from tests.kubernetes.conftest import MakeClaim
from tests.kubernetes.release import POSTGRES, REPOSITORY, Release
from tests.kubernetes.workload import (
    address,
    delete_set,
    ended,
    not_ready,
    ping_pods_and_nodes,
    pods,
    run_deployment,
    start_churn,
)

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

PODS: Final = 6
POSTGRES_USER: Final = 999
SUBNETS: Final = {"node1": ip_network("10.64.1.0/24"), "node2": ip_network("10.64.2.0/24")}


def pool(node: str) -> dict[str, Any]:
    return {
        "name": f"pods-{node}",
        "subnet": str(SUBNETS[node]),
        "cooldown": 1,
        "selectors": {"nodes": [node]},
        "routes": [{"dst": "0.0.0.0/0"}],
    }


@pytest.fixture(scope="module")
def release(cluster: Cluster, make_claim: MakeClaim) -> Release:
    """Two replicas, a pool for each node, and routes between them that somebody else has made."""
    one, other = cluster.machines
    one.run("ip", "route", "add", str(SUBNETS[other.name]), "via", other.address)
    other.run("ip", "route", "add", str(SUBNETS[one.name]), "via", one.address)
    values = {
        "database": {
            "kind": "trial",
            "trial": {"image": POSTGRES},
            "storage": {"existingClaim": make_claim(POSTGRES_USER)},
        },
        "server": {"hostNetwork": True},
        "nodes": {"conflist": {"enabled": True, "plugin": "bridge", "ipMasq": False}},
        "pools": [pool(node) for node in SUBNETS],
    }
    made = Release(cluster, values)
    made.upgrade()
    wait_for(lambda: not_ready(cluster) == [], "ready nodes")
    return made


def ready_servers(release: Release) -> dict[str, str]:
    """The image of each replica that is ready, by its node."""
    found = release.cluster.get("-n", "ipamd", "pods", "-l", "app.kubernetes.io/component=server")["items"]
    return {
        pod["spec"]["nodeName"]: pod["spec"]["containers"][0]["image"]
        for pod in found
        if any(one["ready"] for one in pod["status"].get("containerStatuses", []))
        and "deletionTimestamp" not in pod["metadata"]
    }


def failures(cluster: Cluster) -> list[str]:
    """What kubelets could not do for pods."""
    events = cluster.get("events", "--all-namespaces")["items"]
    reasons = ("FailedCreatePodSandBox", "FailedKillPod")
    return [one["message"] for one in events if one["reason"] in reasons]


def images(tag: str) -> dict[str, str]:
    return dict.fromkeys(SUBNETS, f"{REPOSITORY}:{tag}")


def test_pods_reach_each_other_on_a_node_and_over_the_routes(release: Release) -> None:
    assert ready_servers(release) == images("test")

    running = run_deployment(release.cluster, "web", PODS)

    assert [
        pod["metadata"]["name"]
        for pod in running
        if ip_address(address(pod)) not in SUBNETS[pod["spec"]["nodeName"]]
    ] == []
    ping_pods_and_nodes(release.cluster, running)


def test_an_upgrade_and_the_way_back_fail_no_pod_that_comes_or_goes(release: Release) -> None:
    cluster, before = release.cluster, {address(pod) for pod in pods(release.cluster, "web")}
    start_churn(cluster, "churn")
    wait_for(lambda: ended(cluster, "churn")[0] > 0, "the first pods of the churn")

    counted = [ended(cluster, "churn")[0]]
    release.upgrade({"image": {"tag": "next"}, "pools": [{**pool("node1"), "priority": 7}, pool("node2")]})
    assert ready_servers(release) == images("next")
    assert release.ipamctl("pool", "show", "pods-node1")["priority"] == 7
    counted.append(ended(cluster, "churn")[0])
    release.roll_back(1)
    assert ready_servers(release) == images("test")
    assert release.ipamctl("pool", "show", "pods-node1")["priority"] == 0
    counted.append(ended(cluster, "churn")[0])

    assert counted[0] < counted[1] < counted[2], "pods came and went meanwhile"
    assert ended(cluster, "churn")[1] == 0
    assert failures(cluster) == []
    delete_set(cluster, "job", "churn")
    wait_for(lambda: {one["address"] for one in release.held()} == before, "the end of the churn's addresses")


def test_the_database_goes_and_comes_back_and_so_does_the_service(release: Release) -> None:
    before = {address(pod) for pod in pods(release.cluster, "web")}
    database = release.cluster.get("-n", "ipamd", "pod", "ipamd-postgres-0")["metadata"]["uid"]

    release.kubectl("delete", "pod", "ipamd-postgres-0")
    running = run_deployment(release.cluster, "web", PODS + 4)

    assert {address(pod) for pod in running} > before
    assert len({address(pod) for pod in running}) == PODS + 4
    assert release.cluster.get("-n", "ipamd", "pod", "ipamd-postgres-0")["metadata"]["uid"] != database
    wait_for(lambda: ready_servers(release) == images("test"), "ready replicas")
    assert not_ready(release.cluster) == []
    assert "Phase:          Succeeded" in release.helm("test", "ipamd", "--timeout", "60s")


def test_uninstalled_no_file_and_no_interface_of_it_is_left_on_any_node(release: Release) -> None:
    delete_set(release.cluster, "deployment", "web")
    wait_for(lambda: release.held() == [], "all released")
    assert [found for found in release.interfaces() if "cni0" not in found] == []

    release.uninstall()

    assert [found for found in release.interfaces() if "cni0" in found] == []
