"""The pod network of an empty cluster with one layer 2, on SQLite: one story, in its tests' order."""

import json
import time
from ipaddress import ip_address, ip_network
from typing import Final

import pytest

from tests.kubernetes.cluster import Cluster, wait_for
from tests.kubernetes.conftest import MakeClaim
from tests.kubernetes.machine import join_bridges
from tests.kubernetes.release import COMMON, Release
from tests.kubernetes.workload import (
    address,
    delete_set,
    not_ready,
    ping_pods_and_nodes,
    pods,
    run_deployment,
)
from tests.release.charts.chart import CHART, merged

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

PODS: Final = 40
SUBNET: Final = ip_network("10.64.0.0/16")
POOL: Final = {"name": "pods-v4", "subnet": str(SUBNET), "cooldown": 1, "routes": [{"dst": "0.0.0.0/0"}]}
USER: Final = 8750
AWAY_SECONDS: Final = 60


@pytest.fixture(scope="module")
def release(cluster: Cluster, make_claim: MakeClaim) -> Release:
    """The chart with its database in a file on the first node, and one layer 2 for the pods of both."""
    join_bridges(cluster.machines, "cni0")
    values = {
        "database": {"kind": "sqlite", "storage": {"existingClaim": make_claim(USER)}},
        "server": {"hostNetwork": True, "nodeSelector": {"kubernetes.io/hostname": cluster.control.name}},
        "nodes": {"conflist": {"enabled": True, "plugin": "bridge", "ipMasq": False, "pools": [["pods-v4"]]}},
        "pools": [POOL],
    }
    made = Release(cluster, values)
    made.upgrade()
    return made


def test_a_cluster_without_a_network_gets_one(release: Release) -> None:
    wait_for(lambda: not_ready(release.cluster) == [], "ready nodes")

    assert release.ipamctl("status")["ready"] is True
    assert release.ipamctl("pool", "show", "pods-v4")["subnet"] == str(SUBNET)


def test_pods_get_addresses_and_reach_each_other_and_the_nodes(release: Release) -> None:
    running = run_deployment(release.cluster, "web", PODS)

    addresses = {address(pod) for pod in running}
    assert len(addresses) == PODS
    assert [one for one in addresses if ip_address(one) not in SUBNET] == []
    expected = {(address(pod), pod["metadata"]["name"]) for pod in running}
    wait_for(
        lambda: {(one["address"], one["name"]) for one in release.held()} == expected, "reports of all nodes"
    )
    ping_pods_and_nodes(release.cluster, running)


def test_a_pod_gets_the_address_that_its_annotation_asks_for(release: Release) -> None:
    asking = run_deployment(release.cluster, "asking", 1, annotations={"ipamd.io/addresses": "10.64.9.9"})

    assert [address(pod) for pod in asking] == ["10.64.9.9"]
    release.cluster.kubectl("delete", "deployment", "asking")


def test_an_upgrade_keeps_tokens_and_addresses_and_applies_the_pools(release: Release) -> None:
    def secrets() -> list[object]:
        names = ("ipamd-tokens", "ipamd-tls")
        return [release.cluster.get("-n", "ipamd", "secret", name)["data"] for name in names]

    before = secrets(), {address(pod) for pod in pods(release.cluster, "web")}

    release.upgrade(
        {
            "image": {"tag": "next"},
            "pools": [{**POOL, "exclusions": ["10.64.200.0/24"]}],
            "server": {"logLevel": "debug"},
        }
    )

    assert (secrets(), {address(pod) for pod in pods(release.cluster, "web")}) == before
    assert release.ipamctl("pool", "show", "pods-v4")["exclusions"] == ["10.64.200.0/24"]
    assert "Phase:          Succeeded" in release.helm("test", "ipamd", "--timeout", "60s")


def test_service_and_agents_that_are_restarted_know_what_they_gave(release: Release) -> None:
    before = {address(pod) for pod in pods(release.cluster, "web")}

    for restarted in ("deployment/ipamd", "daemonset/ipamd-node"):
        release.kubectl("rollout", "restart", restarted)
        release.kubectl("rollout", "status", restarted, "--timeout=100s")
    running = run_deployment(release.cluster, "web", PODS + 2)

    addresses = {address(pod) for pod in running}
    assert len(addresses) == PODS + 2
    assert addresses > before


def test_pods_end_while_ipamd_is_away_and_everything_is_released_when_it_is_back(release: Release) -> None:
    release.scale(0)
    back = time.monotonic() + AWAY_SECONDS

    delete_set(release.cluster, "deployment", "web")
    wait_for(lambda: pods(release.cluster, "web") == [], "the end of all pods")
    while time.monotonic() < back:
        assert not_ready(release.cluster) == []
        time.sleep(1)

    release.scale(1)
    wait_for(lambda: release.held() == [], "all released")


def test_a_database_that_cannot_be_reached_is_a_sentence_in_the_log(release: Release) -> None:
    url = "--from-literal=url=postgresql://ipamd@127.0.0.1:1/ipamd"
    release.cluster.kubectl("create", "secret", "generic", "wrong", url)
    values = {
        "database": {"kind": "postgresql", "existingSecret": "wrong", "migrateWaitSeconds": 1},
        "server": {"hostNetwork": True, "port": 8790, "replicas": 1},
        "service": {"clusterIP": ""},
        "nodes": {"enabled": False},
    }

    given = json.dumps(merged(COMMON, values))
    release.cluster.helm("install", "wrong", str(CHART), "-f", "-", given=given)

    def log() -> str:
        return release.cluster.kubectl("logs", "deployment/wrong-ipamd", "-c", "migrate", check=False)

    wait_for(lambda: "check that it runs" in log(), "the sentence")
    release.cluster.helm("uninstall", "wrong")


def test_uninstalled_nothing_of_it_is_left_on_any_node_and_their_own_bridge_is(release: Release) -> None:
    assert "10-pods.conflist" in release.files()[0]

    release.uninstall()

    assert {"cni0", "uplink0"} <= release.interfaces()[0]
