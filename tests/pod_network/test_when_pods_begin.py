"""Pods begin once the peers of a node send to it. One that is silent is named, and not waited for long."""

import signal
import time

import pytest

from tests.pod_network.cluster import Fabric, Node, whole
from tests.pod_network.conftest import Ipam
from tests.service import IpamdProcess
from tests.waiting import eventually

LONGEST = 5.0
"""Seconds, as docs/pod-network.md says."""

REBOOT = "rm -r /run/ipamd/network; ip link delete vxlan.ipamd || true; ip route flush proto 151"


@pytest.fixture
def nodes(fabric: Fabric, service: IpamdProcess, request: pytest.FixtureRequest) -> tuple[Node, Node]:
    """Two nodes on one switch, in a mode."""
    if request.param == "direct":
        assert service.http.delete("/v1/pools/pods-v6").is_success  # there is no way for the other family
    assert service.http.patch("/v1/network", json={"mode": request.param}).is_success
    switch = fabric.switch("switch", 0)
    one, two = (fabric.node(f"node-{number}", switch, f"192.0.2.{number}") for number in (1, 2))
    for node in (one, two):
        node.start()
    whole([one, two])
    return one, two


@pytest.mark.parametrize("nodes", ["auto", "direct"], indirect=True)
def test_a_peer_that_is_dead_is_named_and_holds_pods_up_for_a_short_time(
    nodes: tuple[Node, Node], fabric: Fabric, ipam: Ipam
) -> None:
    one, two = nodes
    two.run("ip", "link", "set", "eth0", "down")
    one.stop()
    one.run("sh", "-ec", REBOOT)
    one.start()

    eventually(lambda: (one.document() or {}).get("waits_for") == ["node-2"])
    began = time.monotonic()
    pod = fabric.unborn_pod("pod", one, lambda node: ipam(node) | {"pools": ["pods-v4"]})
    assert pod.call("ADD")["code"] == 11
    eventually(lambda: "ips" in pod.call("ADD"))
    assert time.monotonic() - began < 2 * LONGEST  # the machine may be busy
    assert "peers do not answer" in one.log.read_text()
    assert "node-2" in one.log.read_text().partition("peers do not answer")[2]


@pytest.mark.parametrize("nodes", ["vxlan"], indirect=True)
def test_a_node_that_is_removed_begins_no_pod_until_it_has_joined_anew(
    nodes: tuple[Node, Node], service: IpamdProcess, fabric: Fabric, ipam: Ipam
) -> None:
    one, two = nodes
    pod = fabric.unborn_pod("pod", one, ipam)

    assert service.http.delete(f"/v1/nodes/default/{one.name}").is_success

    eventually(lambda: pod.call("STATUS").get("code") == 50)
    assert pod.call("ADD")["code"] == 11
    told = one.status().stdout
    assert "stands:       no, so no pod begins: see `wrong`" in told
    assert "ipamd announces no node node-1" in told
    one.stop(signal.SIGKILL)
    one.start()
    whole([one, two])
    pod.add()
    far = fabric.pod("far", two, ipam)
    assert all(far.sends(address) for address in pod.addresses)
