"""An empty cluster made whole by the chart and examples/pod-network.yaml: one story, in its tests' order."""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

import pytest

from tests.kubernetes.cluster import Cluster, wait_for
from tests.kubernetes.conftest import MakeClaim
from tests.kubernetes.machine import Machine
from tests.kubernetes.pod_network import POSTGRES_USER, SUBNETS, make_whole, wait_for_agents
from tests.kubernetes.release import Release
from tests.kubernetes.sandbox import Sandbox
from tests.kubernetes.talking import (
    PORT,
    PROTOCOLS,
    Answer,
    Target,
    addresses,
    answer_on,
    answering,
    ask,
    keep_talking,
    run_answering,
    service,
)
from tests.kubernetes.workload import Pod, delete_pods, delete_set, not_ready, on_both_nodes, run_pod

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

DUAL_STACK: Final = True
PODS: Final = 4
HOST_PORT: Final = 8123
PREFIX_LENGTHS: Final = {"router-v4": "28", "router-v6": "124"}
NODE_PORTS: Final = {"cluster": 30080, "local": 30180}
OWN_PROTOCOLS: Final = ("150", "151")
"""Of routes that the plugin and the agent write."""
BY_TUNNEL: Final = {"nodes": {"podNetwork": {"settings": {"mode": "vxlan"}}}}


@pytest.fixture(scope="module")
def release(cluster: Cluster, make_claim: MakeClaim) -> Release:
    """In a cluster whose cloud awaits somebody's routes."""
    for machine in cluster.machines:
        wait_for_routes(cluster, machine.name)
    return make_whole(cluster, make_claim(POSTGRES_USER))


def wait_for_routes(cluster: Cluster, node: str) -> None:
    """What a cloud's controller says of a node that has no routes yet."""
    condition = {"type": "NetworkUnavailable", "status": "True", "reason": "NoRouteCreated"}
    patch = json.dumps({"status": {"conditions": [condition]}})
    cluster.kubectl("patch", "node", node, "--subresource=status", "--type=strategic", "-p", patch)


@pytest.fixture(scope="module")
def web(release: Release) -> list[Pod]:
    """Pods on both nodes, and the Services and ports by which they are reached."""
    cluster = release.cluster
    for machine in cluster.machines:
        answer_on(machine)
    answering = run_answering(cluster, "web", PODS)
    ports = {one: {"nodePort": NODE_PORTS["cluster"]} for one in PROTOCOLS}
    local = {one: {"nodePort": NODE_PORTS["local"]} for one in PROTOCOLS}
    documents = [
        service("web", "web", type="NodePort", **ports),
        service("local", "web", type="NodePort", externalTrafficPolicy="Local", **local),
        service("published", "published"),
    ]
    for document in documents:
        cluster.kubectl("apply", "-f", "-", given=json.dumps(document))
    return answering


@pytest.fixture(scope="module")
def routers(release: Release) -> dict[str, Pod]:
    """Pods with a prefix each, by the address of their prefix that they have on their loopback."""
    found = {}
    node = release.cluster.control.name
    for called, length in PREFIX_LENGTHS.items():
        pod = run_pod(release.cluster, called, node, answering(), {"ipamd.io/prefix": length})
        [prefix] = prefixes(release, pod)
        address = prefix[5]
        Sandbox(release.cluster, pod).run("ip", "address", "add", str(address), "dev", "lo")
        found[str(address)] = pod
    return found


def prefixes(release: Release, pod: Pod) -> list[IPv4Network | IPv6Network]:
    """What ipamd says that a pod has beside its addresses."""
    return [
        ip_network(f"{one['address']}/{one['prefix_length']}")
        for one in release.held()
        if one["name"] == name(pod) and one["prefix_length"] is not None
    ]


def machine_of(cluster: Cluster, pod: Pod) -> Machine:
    [found] = [one for one in cluster.machines if one.name == pod["spec"]["nodeName"]]
    return found


def name(pod: Pod) -> str:
    found: str = pod["metadata"]["name"]
    return found


def of_both(hosts: Iterable[str], port: int = PORT) -> list[Target]:
    return [Target(protocol, host, port) for host in hosts for protocol in PROTOCOLS]


def service_addresses(cluster: Cluster, of: str) -> list[str]:
    found: list[str] = cluster.get("service", of)["spec"]["clusterIPs"]
    return found


def each_reaches_each(cluster: Cluster, found: list[Pod]) -> None:
    """Pods reach pods in both families by both protocols, and are seen with their own addresses."""
    for asker in found:
        others = [(pod, host) for pod in found if pod is not asker for host in addresses(pod)]
        answers = ask(cluster, asker, of_both(host for _, host in others))
        own = {ip_address(one).version: one for one in addresses(asker)}
        expected = [
            Answer(name(pod), own[ip_address(host).version]) for pod, host in others for _ in PROTOCOLS
        ]
        assert answers == expected


def services_answer(cluster: Cluster, found: list[Pod]) -> None:
    """Services answer pods and nodes, by pods of both nodes; so do the nodes' ports, whoever asks."""
    expected = {name(pod) for pod in found}
    hosts = service_addresses(cluster, "web")
    askers: list[Pod | Machine] = [found[0], *cluster.machines]
    for asker in askers:
        answers = ask(cluster, asker, of_both(hosts * 8, 80))
        assert {one.name for one in answers} <= expected
        assert len({one.name for one in answers}) > len(expected) // 2, "pods of both nodes answer"
    for machine in cluster.machines:
        hosts = [machine.address, machine.address6]
        askers = [cluster.outside, found[0]]
        for asker in askers:
            answers = ask(cluster, asker, of_both(hosts * 4, NODE_PORTS["cluster"]))
            assert {one.name for one in answers} <= expected
        answers = ask(cluster, cluster.outside, of_both(hosts * 4, NODE_PORTS["local"]))
        here = {name(pod) for pod in found if pod["spec"]["nodeName"] == machine.name}
        assert {one.name for one in answers} <= here
        assert {one.asker for one in answers} == {cluster.outside.address, cluster.outside.address6}


def nodes_reach_pods(cluster: Cluster, found: list[Pod]) -> None:
    """Nodes reach pods of both nodes; pods reach both nodes."""
    for machine in cluster.machines:
        hosts = [host for pod in found for host in addresses(pod)]
        answers = ask(cluster, machine, of_both(hosts))
        assert [one.name for one in answers] == [name(pod) for pod in found for _ in range(4)]
    for pod in on_both_nodes(found):
        for machine in cluster.machines:
            answers = ask(cluster, pod, of_both([machine.address, machine.address6]))
            assert [one.name for one in answers] == [machine.name] * 4


def prefixes_lead_to_their_pods(cluster: Cluster, found: list[Pod], routers: Mapping[str, Pod]) -> None:
    """Pods and nodes reach the addresses of prefixes, and pods are seen with their own address.

    By TCP alone: a pod that answers a datagram at all its addresses does so from the one of its interface.
    """
    targets = [Target("tcp", host) for host in routers]
    for pod in on_both_nodes(found):
        own = {ip_address(one).version: one for one in addresses(pod)}
        expected = [Answer(name(to), own[ip_address(host).version]) for host, to in routers.items()]
        assert ask(cluster, pod, targets) == expected
    for machine in cluster.machines:
        assert [one.name for one in ask(cluster, machine, targets)] == list(map(name, routers.values()))


def everything_works(cluster: Cluster, found: list[Pod]) -> None:
    each_reaches_each(cluster, found)
    services_answer(cluster, found)
    nodes_reach_pods(cluster, found)


def test_the_chart_alone_makes_an_empty_cluster_whole(release: Release, web: list[Pod]) -> None:
    for pod in web:
        assert all(ip_address(one) in subnet for one, subnet in zip(addresses(pod), SUBNETS, strict=True))
    wait_for_agents(release, "direct")
    each_reaches_each(release.cluster, web)


def test_services_answer_pods_nodes_and_whoever_is_beside_the_cluster(
    release: Release, web: list[Pod]
) -> None:
    services_answer(release.cluster, web)
    nodes_reach_pods(release.cluster, web)


def test_one_pod_behind_a_service_reaches_itself_and_is_reached_from_the_other_node(
    release: Release, web: list[Pod]
) -> None:
    cluster = release.cluster
    [pod] = run_answering(cluster, "published", 1, [HOST_PORT])
    hosts = service_addresses(cluster, "published")

    def answers(asker: Pod | Machine, targets: list[Target]) -> set[str]:
        return {one.name for one in ask(cluster, asker, targets)}

    assert answers(pod, of_both(hosts, 80)) == {name(pod)}, "hairpin"
    for machine in cluster.machines:
        assert answers(machine, of_both(hosts, 80)) == {name(pod)}, machine.name
    published = of_both([machine_of(cluster, pod).address, machine_of(cluster, pod).address6], HOST_PORT)
    askers: list[Pod | Machine] = [cluster.outside, pod, *on_both_nodes(web)]
    for asker in askers:
        assert answers(asker, published) == {name(pod)}, "hostPort"


def test_a_prefix_leads_to_the_pod_whose_annotation_asks_for_it(
    release: Release, web: list[Pod], routers: Mapping[str, Pod]
) -> None:
    prefixes_lead_to_their_pods(release.cluster, web, routers)


def test_pods_talk_on_while_the_chart_is_upgraded_and_rolled_back(release: Release, web: list[Pod]) -> None:
    first, _, distant = on_both_nodes(web)

    with ExitStack() as talks:
        found = [
            talks.enter_context(keep_talking(release.cluster, first, host)) for host in addresses(distant)
        ]
        release.upgrade({"image": {"tag": "next"}})
        release.roll_back(1)

    assert [talk.lost for talk in found] == [0, 0]
    assert all(talk.asked > 100 for talk in found)


def test_by_the_tunnel_all_of_it_works_too(release: Release, web: list[Pod]) -> None:
    first, _, distant = on_both_nodes(web)

    with ExitStack() as talks:
        for host in addresses(distant):
            talks.enter_context(keep_talking(release.cluster, first, host))
        release.upgrade(BY_TUNNEL)
        wait_for_agents(release, "vxlan")

    everything_works(release.cluster, web)


def test_by_the_tunnel_prefixes_lead_to_their_pods_and_end_with_them(
    release: Release, web: list[Pod], routers: Mapping[str, Pod]
) -> None:
    cluster = release.cluster
    prefixes_lead_to_their_pods(cluster, web, routers)
    ended = [prefix for pod in routers.values() for prefix in prefixes(release, pod)]
    assert len(ended) == len(routers)

    delete_pods(cluster, *map(name, routers.values()))

    wait_for(
        lambda: [prefix for pod in routers.values() for prefix in prefixes(release, pod)] == [], "no prefix"
    )
    for prefix in ended:
        assert cluster.control.run("ip", f"-{prefix.version}", "route", "show", "exact", str(prefix)) == ""


def test_a_drained_node_and_one_that_was_deleted_come_back(release: Release, web: list[Pod]) -> None:
    cluster, node = release.cluster, release.cluster.machines[1]

    cluster.kubectl(
        "drain", node.name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=110s"
    )
    cluster.kubectl("delete", "node", node.name)
    wait_for(lambda: release.daemons() == 1, "the end of the agent that was on it")
    cluster.restart_kubelet(node)

    is_whole_again(release)


def test_a_machine_that_is_made_anew_under_a_nodes_name_joins_after_the_old_one_is_forgotten(
    release: Release,
) -> None:
    cluster, node = release.cluster, release.cluster.machines[1]
    cluster.kubectl("delete", "node", node.name)
    cluster.lose(node)
    cluster.renew(node)
    answer_on(node)
    refusal = f"ipamctl node forget {node.name}"
    wait_for(lambda: refusal in release.log_of_agents(), "the refusal of a name that is taken")

    release.remove(node.name)

    is_whole_again(release)


def is_whole_again(release: Release) -> None:
    cluster = release.cluster
    wait_for(lambda: len(cluster.get("nodes")["items"]) == len(cluster.machines), "both nodes")
    wait_for(lambda: not_ready(cluster) == [], "ready nodes")
    wait_for_agents(release, "vxlan")
    delete_set(cluster, "deployment", "web")
    everything_works(cluster, run_answering(cluster, "web", PODS))


def test_uninstalled_no_route_no_device_no_rule_and_no_file_is_left(release: Release) -> None:
    cluster = release.cluster
    for app in ("web", "published"):
        delete_set(cluster, "deployment", app)
    assert all(kernel_state(machine) for machine in cluster.machines)

    release.uninstall()

    assert [kernel_state(machine) for machine in cluster.machines] == [[], []]


def kernel_state(machine: Machine) -> list[str]:
    """What the kernel of a node has of ours, beside interfaces."""
    routes = [
        line
        for family in ("-4", "-6")
        for protocol in OWN_PROTOCOLS
        for line in machine.run("ip", family, "route", "show", "table", "all", "proto", protocol).splitlines()
    ]
    tables = machine.run("nft", "list", "tables").splitlines()
    return routes + [table for table in tables if "ipamd" in table]
