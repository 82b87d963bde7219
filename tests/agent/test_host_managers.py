"""What manages a host's network is told to leave ours alone, where it is at work."""

import subprocess
from pathlib import Path

import pytest

from tests.agent.conftest import NodeRoot
from tests.network.conftest import node
from tests.network.namespace import Namespace
from tests.veth.beyond import shown
from tests.waiting import eventually

__all__ = ["node"]

NETWORKD = "etc/systemd/networkd.conf.d/50-ipamd.conf"
UNMANAGED = "etc/systemd/network/00-ipamd.network"
NETWORK_MANAGER = "etc/NetworkManager/conf.d/50-ipamd.conf"
SYSCTL = "etc/sysctl.d/99-z-ipamd.conf"
MANAGERS_FILES = {NETWORKD, UNMANAGED, NETWORK_MANAGER, SYSCTL}

ROUTED = '{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"ipamd-veth","ipam":{"type":"ipamd-ipam"}}]}'


@pytest.mark.parametrize(
    ("there", "written"),
    [
        ((), set()),
        (("etc/systemd/system/multi-user.target.wants/systemd-networkd.service",), {NETWORKD, UNMANAGED}),
        (("usr/lib/systemd/system/multi-user.target.wants/systemd-networkd.service",), {NETWORKD, UNMANAGED}),
        (("run/systemd/netif/state",), {NETWORKD, UNMANAGED}),
        (("usr/lib/systemd/systemd-networkd",), set()),
        (("etc/systemd/system/multi-user.target.wants/NetworkManager.service",), {NETWORK_MANAGER}),
        (("run/NetworkManager/devices/2", "run/systemd/netif/state"), MANAGERS_FILES - {SYSCTL}),
        (("etc/sysctl.d/README",), {SYSCTL}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_who_is_at_work_gets_files_which_uninstall_takes_back(
    node_root: NodeRoot, there: tuple[str, ...], written: set[str]
) -> None:
    for path in there:
        node_root.foreign(path, "")
    before = node_root.snapshot()

    installed = node_root.install("--conflist", node_root.file("10-pods.conflist", ROUTED))

    assert installed.code == 0, installed
    assert {path for path in MANAGERS_FILES if node_root.read(path) is not None} == written
    assert node_root.uninstall().code == 0
    assert node_root.snapshot() == before


def test_forwarding_is_kept_for_main_plugins_of_ours_that_forward(node_root: NodeRoot) -> None:
    node_root.foreign("etc/sysctl.d/README", "")
    for plugin, is_kept in (
        ('"ipamd-veth"', True),
        ('"ipamd-veth","mode":"bridge"', False),
        ('"ipamd-veth","mode":"bridge","isGateway":true', True),
        ('"macvlan"', False),
    ):
        conflist = node_root.file("10-pods.conflist", ROUTED.replace('"ipamd-veth"', plugin))

        assert node_root.install("--conflist", conflist).code == 0
        assert (node_root.read(SYSCTL) is not None) is is_kept, plugin
        assert node_root.uninstall().code == 0


@pytest.mark.parametrize(("version", "names_next_hops"), [(252, False), (256, True), (None, True)])
def test_networkd_is_told_only_what_its_version_knows(
    node_root: NodeRoot, version: int | None, names_next_hops: bool
) -> None:
    node_root.foreign("run/systemd/netif/state", "")
    if version is not None:
        node_root.foreign(f"usr/lib/systemd/libsystemd-shared-{version}.so", "")

    assert node_root.install().code == 0

    told = (node_root.read(NETWORKD) or b"").decode().splitlines()
    assert {"[Network]", "ManageForeignRoutes=no", "ManageForeignRoutingPolicyRules=no"} <= set(told)
    assert ("ManageForeignNextHops=no" in told) is names_next_hops


def test_a_file_of_somebody_elses_in_the_way_stays(node_root: NodeRoot) -> None:
    node_root.foreign("run/systemd/netif/state", "")
    node_root.foreign(UNMANAGED, "his")

    ended = node_root.install()

    assert (ended.code, node_root.read(UNMANAGED)) == (1, b"his")
    assert UNMANAGED in ended.complaint


def test_forwarding_comes_after_what_a_router_advertised_is_kept(
    node_root: NodeRoot, node: Namespace
) -> None:
    node_root.foreign("etc/sysctl.d/README", "")
    node.run("ip", "link", "add", "up0.7", "type", "veth", "peer", "name", "far0")
    node.run("ip", "link", "set", "up0.7", "up")
    node.run("ip", "address", "add", "2001:db8::7/64", "dev", "up0.7", "nodad")
    node.run("ip", "-6", "route", "add", "default", "via", "fe80::9", "dev", "up0.7", "proto", "ra")

    installed = node_root.install_in(node, "--conflist", node_root.file("10-pods.conflist", ROUTED))

    assert installed.code == 0, installed
    lines = (node_root.read(SYSCTL) or b"").decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "-net/ipv6/conf/up0.7/accept_ra = 2",
        "net/ipv6/conf/all/forwarding = 1",
        "net/ipv4/ip_forward = 1",
    ]
    node.run("sysctl", "-q", "-p", str(node_root.folder / SYSCTL))
    found = node.run(
        "cat", "/proc/sys/net/ipv6/conf/up0.7/accept_ra", "/proc/sys/net/ipv6/conf/all/forwarding"
    )
    assert found.split() == ["2", "1"]


NETWORKD_HERE = """
set -e
mount -t sysfs -o ro none /sys # without udev, as in a container
mount -t tmpfs none /run/systemd
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
mount -t tmpfs none /etc/systemd
cp -r "$1"/etc/systemd/. /etc/systemd
printf '[Match]\\nName=*\\n' > /etc/systemd/network/50-all.network
chmod -R a+rX /etc/systemd
chown -R systemd-network /run/systemd/netif
exec /lib/systemd/systemd-networkd
"""


def test_networkd_understands_its_files_and_leaves_our_links_alone(
    node_root: NodeRoot, node: Namespace, scratch: Path
) -> None:
    node_root.foreign("run/systemd/netif/state", "")
    node_root.foreign("usr/lib/systemd/libsystemd-shared-252.so", "")
    assert node_root.install().code == 0
    for name in ("ipamdabcdefghij", "vxlan.ipamd", "other0"):
        node.run("ip", "link", "add", name, "up", "type", "bridge")
    indexes = {one["ifname"]: one["ifindex"] for one in shown(node, "link", "show")}
    log = scratch / "networkd.log"
    command = [*node.prefix(), "unshare", "--mount", "sh", "-c", NETWORKD_HERE, "sh", str(node_root.folder)]
    with log.open("wb") as out:
        networkd = subprocess.Popen(command, stdout=out, stderr=out)

    def state(name: str) -> str:
        file = Path(f"/proc/{networkd.pid}/root/run/systemd/netif/links/{indexes[name]}")
        lines = file.read_text().splitlines() if file.exists() else []
        return next((line for line in lines if line.startswith("ADMIN_STATE=")), "")

    try:
        eventually(lambda: state("other0") in ("ADMIN_STATE=configuring", "ADMIN_STATE=configured"))
        assert {state("ipamdabcdefghij"), state("vxlan.ipamd")} == {"ADMIN_STATE=unmanaged"}
    finally:
        networkd.kill()
        networkd.wait()
    assert "ignoring" not in log.read_text()
