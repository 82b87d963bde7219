"""`ipamctl network`, `route table`, and what `node` shows of the pod network."""

from collections.abc import Iterator

import pytest

from tests.ctl.conftest import Ipamctl
from tests.service import IpamdProcess

NODE = {
    "machine": "m1",
    "address": "192.0.2.11",
    "prefixes": ["192.0.2.0/24"],
    "mtu": 1500,
    "mac": "02:00:00:00:00:0b",
    "version": "0.1.0",
}


@pytest.fixture
def ipamd_process(lasting_ipamd: IpamdProcess) -> Iterator[IpamdProcess]:
    """One service for the module, with a pod network of one node."""
    yield lasting_ipamd
    lasting_ipamd.http.delete("/v1/nodes/default/node-1")
    lasting_ipamd.empty()


@pytest.fixture
def joined(ipamd_process: IpamdProcess) -> IpamdProcess:
    ipamd_process.create_pool("pods", "10.64.0.0/16", affinity="node")
    assert ipamd_process.http.put("/v1/network/nodes/default/node-1", json=NODE).is_success
    return ipamd_process


def test_the_settings_are_shown_and_changed(joined: IpamdProcess, ipamctl: Ipamctl) -> None:
    changed = ipamctl(
        *("network", "edit", "--mode", "vxlan", "--vxlan-port", "4790", "--no-check-sources"),
        *("--masquerade-except", "192.0.2.0/24", "--masquerade-except", "198.51.100.0/24"),
    )

    shown = ipamctl("network", "show")
    settings = ipamctl.json("network", "show")["settings"]
    assert changed == "the pod network of cluster default changed\n"
    assert "pods (10.64.0.0/16)" in shown
    assert settings == {
        "mode": "vxlan",
        "underlay": "ipv4",
        "vxlan": {"port": 4790, "vni": 8751},
        "masquerade_except": ["192.0.2.0/24", "198.51.100.0/24"],
        "check_sources": False,
    }
    ipamctl("network", "edit", "--clear-masquerade-except", "--mode", "auto", "--check-sources")
    assert ipamctl.json("network", "show")["settings"]["masquerade_except"] == []


def test_an_edit_that_says_nothing_is_refused(ipamctl: Ipamctl) -> None:
    done = ipamctl.run("network", "edit")

    assert (done.returncode, "nothing to change" in done.stderr) == (2, True)


def test_the_table_of_routes_has_each_block_and_the_nodes_own_address(
    joined: IpamdProcess, ipamctl: Ipamctl
) -> None:
    rows = [line.split() for line in ipamctl("route", "table").splitlines()[1:]]

    assert rows == [
        ["10.64.0.0/26", "node-1", "192.0.2.11", "block"],
        ["10.64.0.2/32", "node-1", "192.0.2.11", "node"],
    ]


def test_nodes_are_shown_with_what_they_have(joined: IpamdProcess, ipamctl: Ipamctl) -> None:
    listed = ipamctl("node", "list")
    node = ipamctl.json("node", "show", "node-1")

    assert "192.0.2.11" in listed
    assert "10.64.0.0/26" in listed
    assert (node["network"]["version"], node["network"]["blocks"]) == ("0.1.0", ["10.64.0.0/26"])
