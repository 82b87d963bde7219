"""What ipamd tells of the pod network, and what changes of it mean."""

from copy import deepcopy
from typing import Any

import pytest
from msgspec.json import encode

from node_agent.pod_network.announced import Malformed, changes, read
from node_agent.pod_network.network import Mode

NODE = {
    "name": "node-1",
    "machine": "m",
    "address": "192.0.2.1",
    "prefixes": ["192.0.2.0/24"],
    "mtu": 1500,
    "mac": "02:00:00:00:00:01",
    "pod_addresses": ["10.64.0.1", "fd00:64::1"],
    "blocks": ["10.64.0.0/26", "fd00:64::/122"],
    "borrowed": ["10.64.1.7/32"],
    "last_seen": "2026-11-29T12:00:00Z",
}
WHOLE: dict[str, Any] = {
    "cluster": "default",
    "epoch": "e",
    "number": 7,
    "settings": {
        "mode": "auto",
        "underlay": "ipv4",
        "vxlan": {"port": 8751, "vni": 8752},
        "masquerade_except": ["10.0.0.0/8"],
        "check_sources": True,
    },
    "pools": [{"name": "v4", "subnet": "10.64.0.0/16", "masquerade": True}],
    "nodes": [NODE],
}
NOTHING: dict[str, Any] = {
    "epoch": "e", "number": 7, "settings": None, "pools": None, "nodes": [], "removed": [],
}  # fmt: skip


def test_what_is_told_is_read() -> None:
    network = read(encode(WHOLE))

    assert (network.number, network.settings.mode, network.settings.vni) == (7, Mode.AUTO, 8752)
    assert str(network.nodes["node-1"].blocks[1]) == "fd00:64::/122"
    assert changes(network, encode(NOTHING)) == network


@pytest.mark.parametrize(
    ("changed", "names", "mode"),
    [
        ({"nodes": [{**NODE, "name": "node-2"}]}, {"node-1", "node-2"}, Mode.AUTO),
        ({"nodes": [{**NODE, "mtu": 9000}]}, {"node-1"}, Mode.AUTO),
        ({"removed": ["node-1"]}, set(), Mode.AUTO),
        ({"removed": ["nobody"]}, {"node-1"}, Mode.AUTO),
        ({"settings": {**WHOLE["settings"], "mode": "vxlan"}}, {"node-1"}, Mode.VXLAN),
        ({"pools": []}, {"node-1"}, Mode.AUTO),
    ],
)
def test_changes_alter_what_they_name(changed: dict[str, Any], names: set[str], mode: Mode) -> None:
    after = changes(read(encode(WHOLE)), encode({**NOTHING, "number": 8, **changed}))

    assert (set(after.nodes), after.settings.mode, after.number) == (names, mode, 8)
    assert after != read(encode(WHOLE))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("settings",), None),
        (("settings", "mode"), "fast"),
        (("settings", "vxlan"), None),
        (("pools", 0, "subnet"), "10.64.0.0/99"),
        (("pools", 0, "masquerade"), None),
        (("nodes", 0, "address"), "nowhere"),
        (("nodes", 0, "mac"), "xx"),
        (("nodes", 0, "blocks"), None),
        (("epoch",), None),
    ],
)
def test_what_cannot_be_read_is_refused(path: tuple[str | int, ...], value: str | None) -> None:
    document = deepcopy(WHOLE)
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value

    with pytest.raises(Malformed):
        read(encode(document))
