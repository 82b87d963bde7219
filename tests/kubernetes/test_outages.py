"""What fails in a cluster, and what the docs say becomes of it: one story, in its tests' order."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tests.kubernetes.cluster import Cluster, wait_for
from tests.kubernetes.conftest import MakeClaim
from tests.kubernetes.pod_network import POSTGRES_USER, make_whole, wait_for_agents
from tests.kubernetes.release import Release
from tests.kubernetes.sandbox import Sandbox
from tests.kubernetes.talking import addresses
from tests.kubernetes.workload import (
    Pod,
    delete_pods,
    delete_set,
    not_ready,
    pods,
    run_deployment,
    run_stateful_set,
)

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

DUAL_STACK: Final = True
PODS: Final = 20
GRACE: Final = 45
CENSUS_SECONDS: Final = 60
"""An agent looks as often at least."""
DATABASE: Final = "ipamd-postgres-0"
SECOND: Final = timedelta(seconds=1)


@pytest.fixture(scope="module")
def release(cluster: Cluster, make_claim: MakeClaim) -> Release:
    return make_whole(
        cluster, make_claim(POSTGRES_USER), {"server": {"leakGrace": GRACE}, "nodes": {"removeAfter": "24h"}}
    )


def held(release: Release) -> set[str]:
    """The addresses that ipamd says containers have."""
    return {one["address"] for one in release.held()}


def living(cluster: Cluster) -> list[str]:
    """The addresses of all pods that have a sandbox."""
    found = cluster.get("pods")["items"]
    return [address for pod in found if "podIPs" in pod["status"] for address in addresses(pod)]


def free_seats(release: Release) -> dict[str, int]:
    """How many addresses each node holds in advance, for nobody yet."""
    return {one["node"]: one["seats"] - one["taken"] for one in release.ipamctl("lease", "list")["items"]}


def moment(told: str) -> datetime:
    return datetime.fromisoformat(told)


def test_pods_begin_while_ipamd_is_away_and_it_hears_when(release: Release) -> None:
    cluster = release.cluster
    run_deployment(cluster, "web", PODS)
    run_stateful_set(cluster, "db", 1)
    run_deployment(cluster, "earlier", PODS)
    delete_set(cluster, "deployment", "earlier")
    wait_for(
        lambda: all(seats > PODS // 2 for seats in free_seats(release).values()),
        "as many addresses in advance as pods begin and come again on a node",
    )

    release.scale(0)
    away = datetime.now(UTC)
    begun = run_deployment(cluster, "more", PODS)
    delete_pods(cluster, "db-0")
    [again] = run_stateful_set(cluster, "db", 1)
    assert not_ready(cluster) == []
    back = datetime.now(UTC)
    release.scale(2)

    expected = {(address, name(pod)) for pod in [*begun, again] for address in addresses(pod)}
    wait_for(
        lambda: expected <= {(one["address"], one["name"]) for one in release.held()}, "reports of both nodes"
    )
    since = {one["address"]: moment(one["since"]) for one in release.held()}
    for pod in [*begun, again]:
        running = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        for address in addresses(pod):
            assert away < since[address] < back
            assert moment(pod["status"]["startTime"]) <= since[address] <= moment(running) + SECOND
    delete_set(cluster, "deployment", "more")
    wait_for(lambda: held(release) == set(living(cluster)), "nothing of pods that ended")


def name(pod: Pod) -> str:
    found: str = pod["metadata"]["name"]
    return found


def test_the_address_of_a_pod_that_died_without_a_del_is_free_after_two_reports(release: Release) -> None:
    cluster = release.cluster
    pod = pods(cluster, "web")[0]
    was = set(addresses(pod))

    Sandbox(cluster, pod).die_unseen()
    wait_for(lambda: was.isdisjoint(living(cluster)), "another sandbox for the pod")

    wait_for(lambda: was.isdisjoint(held(release)), "the second report", GRACE + 3 * CENSUS_SECONDS)
    assert held(release) == set(living(cluster))
    for address in was:
        assert endings(release, address, pod) == {"dead"}


def endings(release: Release, address: str, of: Pod) -> set[str | None]:
    """How a pod's times with an address have ended, None if one has not."""
    items = release.ipamctl("history", address)["items"]
    return {one["ending"] for one in items if one["name"] == name(of)}


def test_a_database_put_back_gives_no_living_address_to_a_second_pod(release: Release) -> None:
    cluster = release.cluster
    run_deployment(cluster, "ending", 4)
    dump = in_database(release, "pg_dump --username=ipamd ipamd")
    delete_set(cluster, "deployment", "ending")
    run_deployment(cluster, "since", PODS)
    before = living(cluster)

    release.scale(0)
    restored = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n" + dump
    in_database(release, "psql --quiet --set=ON_ERROR_STOP=1 --username=ipamd ipamd", restored)
    release.upgrade({"server": {"afterRestore": True}}, over_others=True)

    assert release.ipamctl("restore", "status")["began"] is not None
    cluster.kubectl("scale", "deployment/since", f"--replicas={PODS + 30}")
    wait_for(lambda: release.ipamctl("restore", "status")["began"] is None, "the word of both nodes", 300)
    release.upgrade({"server": {"afterRestore": False}})
    cluster.kubectl("rollout", "status", "deployment/since", "--timeout=290s", seconds=300)
    after = living(cluster)
    assert set(before) < set(after)
    assert len(after) == len(set(after))
    wait_for(lambda: held(release) >= set(after), "all that lives")
    # The nodes have one kernel here: a new namespace on one may have the inode of a dead one on the other.
    delete_set(cluster, "deployment", "since")
    wait_for(lambda: held(release) == set(living(cluster)), "nothing else", GRACE + 3 * CENSUS_SECONDS)
    assert "0 contradictions" in release.kubectl(
        "exec", "deployment/ipamd", "-c", "ipamd", "--", "ipamctl", "check"
    )


def in_database(release: Release, command: str, given: str = "") -> str:
    """Run a command of PostgreSQL's as its owner."""
    shell = ("sh", "-c", f"PGPASSWORD=$POSTGRES_PASSWORD {command}")
    return release.cluster.kubectl("-n", "ipamd", "exec", "-i", DATABASE, "--", *shell, given=given)


def test_of_a_node_that_is_deleted_ipamd_hears_and_when_it_is_removed_another_joins_under_its_name(
    release: Release,
) -> None:
    cluster, node = release.cluster, release.cluster.machines[1]
    assert holders_on(release, node.name) != []

    cluster.lose(node)
    cluster.kubectl("delete", "node", node.name)

    def is_gone() -> bool:
        try:
            return release.ipamctl("node", "show", node.name)["gone_since"] is not None
        except AssertionError:  # ipamd, or its database, is about to begin anew on the other node
            return False

    wait_for(is_gone, "the inventory", 200)
    assert holders_on(release, node.name) != [], "its containers may run on"
    release.remove(node.name)
    assert holders_on(release, node.name) == []
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=170s", seconds=180)
    wait_for(lambda: held(release) == set(living(cluster)), "nothing but what lives on the other node")

    cluster.renew(node)
    wait_for_agents(release, "direct")


def holders_on(release: Release, node: str) -> list[str]:
    """The pods that have addresses on a node, says ipamd."""
    return [one["name"] for one in release.held() if one["node"] == node]
