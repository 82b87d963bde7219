"""Mode bridge leaves what the reference plugin leaves, but for names and MACs."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.network.namespace import MakeNamespace, Namespace
from tests.veth.beyond import answers, shown
from tests.veth.executable import Document, MainPlugin

HOST_LOCAL: Document = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.88.0.0/24"}], [{"subnet": "fd88::/64"}]],
    "routes": [{"dst": "198.51.100.0/24"}, {"dst": "fd99::/48", "gw": "fd88::9"}],
}
# What names and MACs are replaced by; the host's side has a name of its own kind with each plugin.
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
GENERATED = re.compile(r"fe80::[0-9a-f:]+")
HOST_SIDE = re.compile(r"(veth[0-9a-f]{8}|ipamd[a-z2-7]{10})")

CONFIGURATIONS: dict[str, Document] = {
    "nothing": {},
    "a gateway": {"isGateway": True},
    "a default gateway": {"isDefaultGateway": True, "mtu": 1400},
    "a hairpin": {"isDefaultGateway": True, "hairpinMode": True},
    "a MAC": {
        "isGateway": True,
        "capabilities": {"mac": True},
        "runtimeConfig": {"mac": "02:00:00:00:00:99"},
    },
}


class Side:
    """A node with one container, for one of the two plugins."""

    def __init__(self, make_namespace: MakeNamespace, plugins: Path, name: str, kind: Document) -> None:
        self.node = make_namespace(f"{name}-node")
        self.container = make_namespace(f"{name}-c")
        for namespace in (self.node, self.container):
            for scope in ("all", "default"):
                namespace.sysctl(f"net/ipv6/conf/{scope}/accept_dad", "1")
        ipam = {**HOST_LOCAL, "dataDir": str(plugins.parent / f"{name}-addresses")}
        network = {"cniVersion": "1.0.0", "name": "pods", "bridge": "br7", **kind, "ipam": ipam}
        variables = {"CNI_CONTAINERID": "web", "CNI_NETNS": str(self.container.path)}
        self.plugin = MainPlugin(self.node, plugins, network, variables)

    def masked(self, value: Any) -> Any:
        """The value without names and MACs that each plugin chooses."""
        text = json.dumps(value).replace(str(self.container.path), "NETNS")
        text = re.sub(re.escape(self.container.name), "CONTAINER", text)
        text = re.sub(re.escape(self.node.name), "NODE", text)
        for pattern, word in ((HOST_SIDE, "HOST"), (GENERATED, "GENERATED"), (MAC, "MAC")):
            text = pattern.sub(word, text)
        return json.loads(text)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, namespace in (("node", self.node), ("container", self.container)):
            found[f"{name} links"] = [link_of(one) for one in shown(namespace, "link", "show")]
            found[f"{name} addresses"] = addresses_of(shown(namespace, "address", "show"))
            for family in ("-4", "-6"):
                found[f"{name} routes {family}"] = routes_of(shown(namespace, family, "route", "show"))
        found["container sysctls"] = sysctls(self.container, "eth0")
        found["bridge sysctls"] = sysctls(self.node, "br7")
        found["node sysctls"] = sysctls(self.node, "default")
        return {key: sorted(self.masked(value), key=str) for key, value in found.items()}


def link_of(one: dict[str, Any]) -> dict[str, Any]:
    kept = (
        "ifname",
        "flags",
        "mtu",
        "qdisc",
        "operstate",
        "master",
        "link_type",
        "promiscuity",
        "inet6_addr_gen_mode",
    )
    found = {key: one.get(key) for key in kept}
    info = one.get("linkinfo", {})
    for part in ("info_kind", "info_slave_kind"):
        found[part] = info.get(part)
    port = info.get("info_slave_data", {})
    found["port"] = {
        key: port.get(key) for key in ("state", "hairpin", "guard", "learning", "flood", "isolated")
    }
    bridge = info.get("info_data", {}) if info.get("info_kind") == "bridge" else {}
    found["bridge"] = {
        key: bridge.get(key) for key in ("vlan_filtering", "stp_state", "forward_delay", "mcast_snooping")
    }
    return found


def addresses_of(listed: list[dict[str, Any]]) -> list[Any]:
    """Addresses; those that the kernel generates are looked for as duplicates or not, as time goes."""
    return sorted(
        [
            one["ifname"],
            each["family"],
            each["local"],
            each["prefixlen"],
            each.get("broadcast"),
            each["scope"],
        ]
        for one in listed
        for each in one["addr_info"]
    )


def routes_of(listed: list[dict[str, Any]]) -> list[Any]:
    kept = ("dst", "gateway", "dev", "protocol", "scope", "prefsrc", "metric", "type")
    return sorted(([one.get(key) for key in kept] for one in listed), key=str)


def sysctls(namespace: Namespace, name: str) -> list[str]:
    lines = namespace.run(
        "sh", "-c", f"cd /proc/sys/net && grep -s . ipv[46]/conf/{name}/*; true"
    ).splitlines()
    return [line for line in lines if "stable_secret" not in line and "/mtu:" not in line]


@pytest.fixture
def sides(make_namespace: MakeNamespace, plugins: Path, request: pytest.FixtureRequest) -> tuple[Side, Side]:
    ours = Side(make_namespace, plugins, "ours", {"type": "ipamd-veth", "mode": "bridge"})
    theirs = Side(make_namespace, plugins, "theirs", {"type": "bridge"})
    return ours, theirs


@pytest.mark.parametrize("configuration", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_the_same_is_left_behind_and_told(sides: tuple[Side, Side], configuration: Document) -> None:
    ours, theirs = sides
    ours.plugin.network |= configuration
    theirs.plugin.network |= configuration

    told = [ours.masked(ours.plugin.add()), theirs.masked(by_reference(theirs))]

    assert told[0] == told[1] | {"dns": told[0]["dns"]}
    found, wanted = ours.state(), theirs.state()
    for key in wanted:
        assert found[key] == wanted[key], key


def by_reference(side: Side) -> Document:
    """Call the reference plugin in the way in which ours is called."""
    variables = {
        "PATH": os.environ["PATH"],
        "CNI_COMMAND": "ADD",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": str(side.plugin.folder),
        **side.plugin.container,
    }
    done = subprocess.run(
        [*side.node.prefix(), str(side.plugin.folder / "bridge")],
        input=json.dumps(side.plugin.config()),
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done
    result: Document = json.loads(done.stdout)
    return result


def test_a_container_of_the_reference_and_one_of_ours_are_neighbours(
    sides: tuple[Side, Side], make_namespace: MakeNamespace
) -> None:
    _, theirs = sides
    theirs.plugin.network |= {"isDefaultGateway": True}
    by_reference(theirs)
    container = make_namespace("next")
    network = {**theirs.plugin.network, "type": "ipamd-veth", "mode": "bridge"}
    ours = MainPlugin(theirs.node, theirs.plugin.folder, network)

    ours.add(CNI_CONTAINERID="next", CNI_NETNS=str(container.path))

    for target in ("10.88.0.2", "10.88.0.1"):
        assert answers(container, target)
    theirs.container.ping("fd88::3")
    container.ping("fd88::2")
