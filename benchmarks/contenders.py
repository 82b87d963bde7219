"""IPAM plugins that compete: ours with its service, and host-local with its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.spawn import Call, cni_environment
from tests.service import IpamdProcess

DEBIAN_PLUGINS: Final = Path("/usr/lib/cni")
HOST_LOCAL: Final = DEBIAN_PLUGINS / "host-local"
SUBNET: Final = "10.128.0.0/12"
NETWORK: Final = "bench"


@dataclass(frozen=True)
class Contender:
    """A plugin, ready to be called for one network."""

    name: str
    executable: Path
    config: Path
    plugins: Path = DEBIAN_PLUGINS

    def call(self, verb: str, container: str = "", netns: str = "/run/netns/none") -> Call:
        """The process for one command."""
        environment = cni_environment(verb, container, netns, self.plugins)
        return Call((str(self.executable),), environment, self.config)


def network(ipam: Mapping[str, Any], main_plugin: str = "none", version: str = "1.0.0", **more: Any) -> bytes:
    """A network configuration."""
    config = {"cniVersion": version, "name": NETWORK, "type": main_plugin, **more, "ipam": ipam}
    return json.dumps(config).encode()


def ipamd_section(service: IpamdProcess, pool: str, node: str = "node-1") -> dict[str, Any]:
    """The `ipam` object for our plugin."""
    return {
        "type": "ipamd-ipam",
        "endpoint": service.endpoint,
        "node": node,
        "stateDir": str(service.folder / node),
        "timeout": 60,
        "pools": [pool],
    }


def host_local_section(folder: Path, subnet: str = SUBNET, **bounds: str) -> dict[str, Any]:
    """The `ipam` object for host-local."""
    return {"type": "host-local", "dataDir": str(folder), "ranges": [[{"subnet": subnet, **bounds}]]}


def fill_host_local(folder: Path, addresses: list[str]) -> None:
    """Take addresses for host-local in the way it does itself: a file for each, and the last of them."""
    data = folder / NETWORK
    data.mkdir(parents=True)
    for number, address in enumerate(addresses):
        (data / address).write_text(f"{number:064x}\r\neth0")
    if addresses:
        (data / "last_reserved_ip.0").write_text(addresses[-1])
