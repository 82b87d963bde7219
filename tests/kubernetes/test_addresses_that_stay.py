"""Addresses that stay while pods end, begin and move over three nodes: one story, in its tests' order."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from ipaddress import ip_address
from itertools import cycle, pairwise
from typing import Final

import pytest

from tests.kubernetes.cluster import Cluster, wait_for
from tests.kubernetes.conftest import MakeClaim
from tests.kubernetes.pod_network import POSTGRES_USER, example, make_whole
from tests.kubernetes.release import Release
from tests.kubernetes.talking import (
    Answer,
    Target,
    addresses,
    answering,
    ask,
    keep_asking,
    run_answering,
)
from tests.kubernetes.workload import (
    Pod,
    apply_stateful_set,
    delete_pods,
    delete_set,
    is_ready,
    pods,
    run_deployment,
    run_pod,
)

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(3600)]

DUAL_STACK: Final = True
NODES: Final = 3
PODS: Final = 50
WAVE: Final = 25
"""How many pods of a set are rolled at once. By itself Kubernetes 1.20 rolls one by one, too slowly."""
ROLLS: Final = 10
STICKY: Final = {"ipamd.io/pools": "databases-v4,databases-v6"}
OWNED: Final = {**STICKY, "ipamd.io/owner": "disk-of-$(POD_NAME)"}
VM: Final = {**STICKY, "ipamd.io/owner": "vm"}
LIMIT: Final = 50
"""Of the example's quota for the namespace team-a."""

MOST_LOST: Final = 60
"""Datagrams of twenty in a second: nodes send to a pod from when it begins; it answers when it is ready."""

Had = dict[str, list[str]]
"""The addresses of each pod, by its name."""


@pytest.fixture(scope="module")
def release(cluster: Cluster, make_claim: MakeClaim) -> Release:
    return make_whole(cluster, make_claim(POSTGRES_USER), values=example("addresses-that-stay"))


@pytest.fixture(scope="module")
def watchers(release: Release) -> list[Pod]:
    """A pod on each node, which asks those that move."""
    return run_answering(release.cluster, "watcher", NODES)


def name(pod: Pod) -> str:
    found: str = pod["metadata"]["name"]
    return found


def had(found: list[Pod]) -> Had:
    return {name(pod): addresses(pod) for pod in found}


def nodes_of(found: list[Pod]) -> dict[str, str]:
    return {name(pod): pod["spec"]["nodeName"] for pod in found}


def each_answers_each_node(cluster: Cluster, watchers: list[Pod], found: list[Pod]) -> None:
    """Each pod answers at both its addresses, whichever node asks, and sees who asks."""
    targets = [(pod, host) for pod in found for host in addresses(pod)]
    for watcher in watchers:
        own = {ip_address(one).version: one for one in addresses(watcher)}
        answers = ask(cluster, watcher, [Target("tcp", host) for _, host in targets])
        assert answers == [Answer(name(pod), own[ip_address(host).version]) for pod, host in targets]


def uids(found: list[Pod]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in found}


def run(cluster: Cluster, app: str, annotations: dict[str, str]) -> list[Pod]:
    """Have a set of pods that answer, of which each is replaced when somebody deletes it."""
    apply_stateful_set(cluster, app, PODS, answering(), annotations, strategy="OnDelete")
    return wait_for_others(cluster, app, set())


def wait_for_others(cluster: Cluster, app: str, before: set[str]) -> list[Pod]:
    """Wait until all pods of a set are ready and none is one of those that were there."""
    found: list[Pod] = []

    def came() -> bool:
        found[:] = pods(cluster, app)
        return len(found) == PODS and all(map(is_ready, found)) and before.isdisjoint(uids(found))

    wait_for(came, f"{PODS} pods of {app}", 240)
    return found


@contextmanager
def cordoned(cluster: Cluster, node: str) -> Iterator[None]:
    """While a node takes no pod, so that those that were there go to others."""
    cluster.kubectl("cordon", node)
    try:
        yield
    finally:
        cluster.kubectl("uncordon", node)


def roll(cluster: Cluster, app: str) -> list[Pod]:
    """Give a set another revision, and to its pods wave by wave, the last first."""
    cluster.kubectl("rollout", "restart", f"statefulset/{app}")
    found = pods(cluster, app)
    for start in reversed(range(0, PODS, WAVE)):
        wave = {f"{app}-{number}" for number in range(start, start + WAVE)}
        before = uids([pod for pod in found if name(pod) in wave])
        cluster.kubectl("delete", "pod", *sorted(wave), "--wait=false")
        found = wait_for_others(cluster, app, before)
    return found


def test_a_set_of_pods_that_is_rolled_ten_times_over_three_nodes_keeps_all_addresses(
    release: Release, watchers: list[Pod]
) -> None:
    cluster = release.cluster
    found = run(cluster, "sticky", STICKY)
    first, been = had(found), {pod: {node} for pod, node in nodes_of(found).items()}
    assert len({host for hosts in first.values() for host in hosts}) == 2 * PODS
    each_answers_each_node(cluster, watchers, found)

    for number, node in zip(range(ROLLS), cycle(cluster.machines), strict=False):
        began, were = time.monotonic(), nodes_of(found)
        with cordoned(cluster, node.name):
            found = roll(cluster, "sticky")
        took = time.monotonic() - began

        assert had(found) == first
        each_answers_each_node(cluster, watchers, found)
        moved = [pod for pod, now in nodes_of(found).items() if now != were[pod]]
        assert node.name not in nodes_of(found).values()
        print(f"roll {number + 1}: {PODS} pods in {took:.0f} s, {len(moved)} on another node")
        for pod, now in nodes_of(found).items():
            been[pod].add(now)

    assert {len(nodes) for nodes in been.values()} <= {2, NODES}, "each has moved"
    no_contradiction(release)


def no_contradiction(release: Release) -> None:
    inside = ("exec", "deployment/ipamd", "-c", "ipamd", "--", "ipamctl", "check")
    assert "0 contradictions" in release.kubectl(*inside)


def test_owners_keep_their_addresses_if_the_next_pod_comes_before_the_last_is_gone(
    release: Release, watchers: list[Pod]
) -> None:
    cluster = release.cluster
    delete_set(cluster, "statefulset", "sticky")
    found = run(cluster, "owned", OWNED)
    first = had(found)

    for node in cluster.machines:
        were = nodes_of(found)
        with cordoned(cluster, node.name):
            at_once = ("--force", "--grace-period=0", "--wait=false")
            cluster.kubectl("delete", "pod", "-l", "app=owned", *at_once)
            found = wait_for_others(cluster, "owned", uids(found))
        wait_for(partial(hold_alone, release, found), "the end of the pods before", 240)

        assert had(found) == first
        each_answers_each_node(cluster, watchers, found)
        assert [pod for pod, now in nodes_of(found).items() if now != were[pod]] != []

    assert overlaps(release) > 0, "some pods began before the last under their name had ended"
    no_contradiction(release)


def hold_alone(release: Release, found: list[Pod]) -> bool:
    """Whether these pods hold the addresses of their owners in both families, and nobody else does."""
    return holders(release) == sorted([*nodes_of(found).items()] * 2)


def holders(release: Release) -> list[tuple[str, str]]:
    """Each pod that holds an owner's address, and its node: once for each family."""
    items = release.ipamctl("owner", "list", "--namespace", "default")["items"]
    return sorted((one["name"], one["node"]) for item in items for one in item["holders"])


def overlaps(release: Release) -> int:
    """How many pods began to hold an owner's address before the one before them had ended."""
    items = release.ipamctl("history", "--namespace", "default", "--after", "2026-01-01T00:00:00Z")["items"]
    held = sorted(
        (one["address"], one["since"], one["until"] or "9") for one in items if one["held_for"] is not None
    )
    return sum(one[0] == other[0] and other[1] < one[2] for one, other in pairwise(held))


def test_owners_that_are_scaled_to_zero_are_away_and_nobody_else_gets_their_addresses(
    release: Release, watchers: list[Pod]
) -> None:
    cluster = release.cluster
    first = had(pods(cluster, "owned"))
    cluster.kubectl("scale", "statefulset", "owned", "--replicas=0")
    wait_for(lambda: pods(cluster, "owned") == [] and holders(release) == [], "the end of all pods")

    others = had(run_deployment(cluster, "others", PODS // 2, annotations=STICKY))
    cluster.kubectl("scale", "statefulset", "owned", f"--replicas={PODS}")
    found = wait_for_others(cluster, "owned", set())

    assert had(found) == first
    assert set(flat(others)).isdisjoint(flat(first))
    each_answers_each_node(cluster, watchers, found)
    delete_set(cluster, "statefulset", "owned")
    delete_set(cluster, "deployment", "others")


def flat(all_had: Had) -> list[str]:
    return [host for hosts in all_had.values() for host in hosts]


def test_a_vm_that_moves_is_reached_all_the_while_and_so_it_is_if_the_move_is_cancelled(
    release: Release, watchers: list[Pod]
) -> None:
    cluster = release.cluster
    one, other, third = (machine.name for machine in cluster.machines)
    [watcher] = [pod for pod in watchers if pod["spec"]["nodeName"] == third]
    source = addresses(run_pod(cluster, "source", one, answering(), VM))

    with ExitStack() as follow:
        seen = [follow.enter_context(keep_asking(cluster, watcher, host)) for host in source]
        assert addresses(run_pod(cluster, "target", other, answering(), VM)) == source
        answers(cluster, watcher, source, "target")
        delete_pods(cluster, "source")
        answers(cluster, watcher, source, "target")
    assert [one.answered for one in seen] == [["source", "target"]] * 2

    with ExitStack() as follow:
        cancelled = [follow.enter_context(keep_asking(cluster, watcher, host)) for host in source]
        assert addresses(run_pod(cluster, "again", one, answering(), VM)) == source
        answers(cluster, watcher, source, "again")
        delete_pods(cluster, "again")
        answers(cluster, watcher, source, "target")
    assert [one.answered for one in cancelled] == [["target", "again", "target"]] * 2
    lost = [one.lost for one in seen + cancelled]
    print(f"datagrams lost in the move and in the one that was cancelled, by family: {lost}")
    assert max(lost) < MOST_LOST


def answers(cluster: Cluster, asker: Pod, hosts: list[str], expected: str) -> None:
    """Wait until a pod answers at all addresses."""

    def do() -> bool:
        return {one.name for one in ask(cluster, asker, [Target("udp", host) for host in hosts])} == {
            expected
        }

    wait_for(do, f"answers of {expected}")


def test_the_pod_beyond_a_quota_waits_and_its_event_says_why(release: Release) -> None:
    cluster = release.cluster
    cluster.kubectl("create", "namespace", "team-a")
    apply_stateful_set(cluster, "crew", LIMIT + 1, annotations=STICKY, namespace="team-a")

    def ready() -> int:
        return sum(map(is_ready, pods(cluster, "crew", "team-a")))

    wait_for(lambda: ready() == LIMIT, f"{LIMIT} pods of team-a", 240)
    [waiting] = [pod for pod in pods(cluster, "crew", "team-a") if not is_ready(pod)]
    why = f"quota team-a allows {LIMIT} IPv4 addresses for namespace team-a of cluster default"
    described = ("-n", "team-a", "describe", "pod", name(waiting))
    wait_for(lambda: why in cluster.kubectl(*described), "the event")
    assert ready() == LIMIT

    release.ipamctl("quota", "edit", "team-a", "--limit", str(LIMIT + 1))
    wait_for(lambda: ready() == LIMIT + 1, "the pod that waited")
