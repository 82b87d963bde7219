"""libcni's cached results, in the format of libcni's own writer."""

import base64
import json
from pathlib import Path
from typing import Any

RESULTS: dict[str, dict[str, Any]] = {
    "0.1.0": {"ip4": {"ip": "10.1.0.11/24", "gateway": "10.1.0.1"}, "ip6": {"ip": "fd00:1::11/64"}},
    "0.3.1": {
        "interfaces": [{"name": "cni0", "mac": "0a:00:00:00:00:01"}],
        "ips": [
            {"version": "4", "interface": 0, "address": "10.1.0.12/24", "gateway": "10.1.0.1"},
            {"version": "6", "interface": 0, "address": "fd00:1::12/64"},
        ],
    },
    "1.1.0": {
        "interfaces": [{"name": "eth0", "mtu": 1500, "sandbox": "/run/netns/x"}],
        "ips": [
            {"interface": 0, "address": "10.1.0.13/24", "gateway": "10.1.0.1"},
            {"interface": 0, "address": "fd00:1::13/64"},
        ],
    },
}
"""One container's dual-stack result, as the versions of the specification write it."""


def cache(
    folder: Path,
    container_id: str,
    result: dict[str, Any] | None,
    *,
    network: str = "pods",
    ifname: str = "eth0",
    version: str = "1.0.0",
    pod: str | None = None,
    ipam: dict[str, Any] | None = None,
) -> Path:
    """Write what libcni would after this ADD."""
    plugin = {"type": "bridge", "ipam": ipam or {"type": "host-local"}}
    config = {"cniVersion": version, "name": network, "plugins": [plugin, {"type": "portmap"}]}
    document: dict[str, Any] = {
        "kind": "cniCacheV1",
        "containerId": container_id,
        "config": base64.b64encode(json.dumps(config).encode()).decode(),
        "ifName": ifname,
        "networkName": network,
    }
    if pod is not None:
        pair = [["IgnoreUnknown", "1"], ["K8S_POD_NAMESPACE", "web"], ["K8S_POD_NAME", pod]]
        document["cniArgs"] = pair
    if result is not None:
        document["result"] = {"cniVersion": version, "dns": {}, **result}
    file = folder / f"{network}-{container_id}-{ifname}"
    file.write_text(json.dumps(document))
    return file


def one(address: str) -> dict[str, Any]:
    """A result with one address."""
    return {"ips": [{"address": address}]}
