"""A cluster made whole by the chart and an example of a pod network, and what its agents say of it."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, Final

import yaml

from tests.kubernetes.cluster import Cluster, wait_for
from tests.kubernetes.release import POSTGRES, Release
from tests.kubernetes.workload import not_ready
from tests.release.charts.chart import CHART, merged


def example(name: str) -> dict[str, Any]:
    """The values of one of the chart's examples."""
    values: dict[str, Any] = yaml.safe_load((CHART / "examples" / f"{name}.yaml").read_text())
    return values


EXAMPLE: Final = example("pod-network")
SUBNETS: Final = [ip_network(pool["subnet"]) for pool in EXAMPLE["pools"]]
POSTGRES_USER: Final = 999


def make_whole(
    cluster: Cluster,
    claim: str,
    change: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] = EXAMPLE,
) -> Release:
    """Install an example's values, but for the database and what is to change; wait for its network."""
    database = {
        "kind": "trial",
        "existingSecret": None,
        "trial": {"image": POSTGRES},
        "storage": {"existingClaim": claim},
    }
    own = {"database": database, "service": {"clusterIP": "10.98.0.77"}}
    made = Release(cluster, merged(merged(values, own), change or {}))
    made.upgrade()
    wait_for(lambda: not_ready(cluster) == [], "ready nodes")
    wait_for(lambda: unavailable(cluster) == [], "available nodes")
    return made


def unavailable(cluster: Cluster) -> list[str]:
    """The nodes on which no pod may begin for want of a network, by condition or taint."""
    return [
        node["metadata"]["name"]
        for node in cluster.get("nodes")["items"]
        if any(
            one["type"] == "NetworkUnavailable" and one["status"] != "False"
            for one in node["status"]["conditions"]
        )
        or any(one["key"].endswith("network-unavailable") for one in node["spec"].get("taints", []))
    ]


def wait_for_agents(release: Release, mode: str) -> None:
    """Wait until the agents have nothing to complain of, and reach each other in a mode."""
    said = ""

    def are_well() -> bool:
        nonlocal said
        try:
            told = _status(release)
        except AssertionError as error:
            said = str(error)
            return False
        said = "\n".join(told)
        return len(told) == len(release.cluster.machines) and all(mode in one for one in told)

    try:
        wait_for(are_well, f"agents that are well, peers by {mode}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {said}") from None


def _status(release: Release) -> list[str]:
    """What the agents say of the network; raises with it if one of them says that something is wrong."""
    found = release.cluster.get("-n", "ipamd", "pods", "-l", "app.kubernetes.io/component=node")["items"]
    names = [pod["metadata"]["name"] for pod in found]
    return [release.kubectl("exec", one, "-c", "agent", "--", "ipamd-agent", "status") for one in names]
