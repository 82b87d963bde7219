"""The body of a plugin's call, as ipamd-ipam sends it."""

from typing import Any

BOOT = "0b7a9d0e-6f4b-4a39-9c3b-3e9f6f1f7a11"


def call(
    container_id: str = "c1",
    *,
    ipam: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """An ADD of version 1.1.0 in the network `pods`, with other keys where they are given."""
    network = {"cniVersion": "1.1.0", "name": "pods", "ipam": {"type": "ipamd-ipam", **(ipam or {})}}
    body = {
        "container_id": container_id,
        "netns": f"/run/netns/{container_id}",
        "netns_id": [4, 4026532000],
        "ifname": "eth0",
        "args": "",
        "path": "/opt/cni/bin",
        "cluster": "default",
        "node": "n1",
        "timeout": 10,
        "config": {**network, **(config or {})},
    }
    return {**body, **changes}


def issued(uptime_ns: int, boot: str = BOOT) -> dict[str, Any]:
    """A moment by a node's own clock."""
    return {"boot": boot, "uptime_ns": uptime_ns, "time": "2026-01-31T12:00:00Z"}
