"""Network configurations of the node that do not go with the pod network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cni_plugin.scanner import NotJson, parse_object
from node_agent.doctor.finding import Finding
from node_agent.doctor.told import Told
from node_agent.installation.network import EXTENSIONS, own_plugins
from node_agent.installation.root import Root

_OURS: Final = "ipamd-veth"
_BRIDGE: Final = "bridge"


@dataclass(frozen=True, slots=True)
class Network:
    """A plugin that gets its addresses from ipamd, in a file that runtimes read."""

    file: str
    plugin: dict[str, Any]

    def is_routed(self) -> bool:
        return self.plugin.get("type") == _OURS and self.plugin.get("mode") != _BRIDGE

    def pools(self) -> list[str]:
        """The pools that it names; all of a list in the list."""
        named = self.plugin["ipam"].get("pools", [])
        return [
            pool
            for one in named
            for pool in (one if isinstance(one, list) else [one])
            if isinstance(pool, str)
        ]


def read(root: Root, folder: str) -> list[Network]:
    """The networks in a folder. What cannot be read as one is the runtime's to name. Raises OSError."""
    there = root / f"{folder.rstrip('/')}/."
    found = []
    for path in sorted(there.iterdir()) if there.is_dir() else []:
        if path.suffix not in EXTENSIONS:
            continue
        try:
            value = parse_object(path.read_bytes())
        except NotJson:
            continue
        found += [Network(f"{folder.rstrip('/')}/{path.name}", plugin) for plugin in own_plugins(value)]
    return found


def find(networks: list[Network], told: Told) -> list[Finding]:
    """Compare the networks with what is announced."""
    return [finding for one in networks for finding in _of(one, told)]


def _of(network: Network, told: Told) -> Iterator[Finding]:
    announced = [pool for pool in network.pools() if pool in told.pools]
    if not network.is_routed():
        for pool in announced:
            yield Finding(
                f"{network.file} puts pods of pool {pool} on a bridge, and all nodes route this pool",
                'use ipamd-veth in mode routed with "podNetwork": true, or a pool of affinity any',
            )
        return
    if not network.plugin.get("podNetwork"):
        if announced:
            yield Finding(
                f'{network.file} uses pool {announced[0]} without "podNetwork": true, so pods begin before '
                "the pod network stands",
                "add the key",
            )
        return
    for pool in network.pools():
        if pool not in told.pools:
            yield Finding(
                f"{network.file} uses pool {pool}, which is not announced, so no other node knows the way to "
                "its pods",
                f"see `ipamctl pool show {pool}`: its affinity must be node",
            )
    mtu = network.plugin.get("mtu")
    if isinstance(mtu, int) and mtu > told.mtu:
        yield Finding(
            f"{network.file} gives pods an MTU of {mtu}, and their packets have room for {told.mtu} bytes",
            "remove the key mtu: the agent tells the plugin the right one",
        )
