"""Main plugins that compete, each with its IPAM plugin, and the life of a pod under each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import spawn
from benchmarks.contenders import (
    DEBIAN_PLUGINS,
    HOST_LOCAL,
    Contender,
    host_local_section,
    ipamd_section,
    network,
)
from benchmarks.inside import inside
from benchmarks.spawn import Burst, containers
from tests.network.namespace import Namespace
from tests.node_executable import static_plugin
from tests.service import IpamdProcess

POOL: Final = "bench"
SUBNET: Final = "10.128.0.0/16"
ROUTED: Final = "ipamd-veth, routed"
BRIDGE: Final = "ipamd-veth, bridge"
REFERENCE: Final = "bridge + host-local"
REFERENCE_PTP: Final = "ptp + host-local"
OURS: Final = (ROUTED, BRIDGE)
PEERS: Final = (REFERENCE, REFERENCE_PTP)
_KEYS: Final[dict[str, dict[str, Any]]] = {
    REFERENCE: {"bridge": "reference0", "isGateway": True},
    REFERENCE_PTP: {},
    ROUTED: {},
    BRIDGE: {"mode": "bridge", "bridge": "ours0", "isGateway": True},
}
_SUBNETS: Final = {REFERENCE: "10.64.0.0/16", REFERENCE_PTP: "10.65.0.0/16"}


def main_plugins(
    service: IpamdProcess, folder: Path, names: Sequence[str] = (*PEERS, *OURS), **keys: Any
) -> dict[str, Contender]:
    """Those of these names, each with a network of its own; `keys` are for all of them."""
    files = executables(folder / "bin")
    made = {}
    for name in names:
        own = folder / name.replace(" ", "")
        own.mkdir()
        reference = name in PEERS
        kind = name.split()[0] if reference else "ipamd-veth"
        section = (
            host_local_section(own / "state", _SUBNETS[name]) if reference else ipamd_section(service, POOL)
        )
        config = own / "network.json"
        config.write_bytes(network(section, kind, **_KEYS[name] | keys))
        made[name] = Contender(name, files / kind, config, files)
    return made


def executables(folder: Path) -> Path:
    """A folder of all main plugins and IPAM plugins."""
    ours = static_plugin()
    assert ours is not None, "run `make node` first"
    folder.mkdir()
    for each in (
        DEBIAN_PLUGINS / "bridge",
        DEBIAN_PLUGINS / "ptp",
        HOST_LOCAL,
        ours,
        ours.with_name("ipamd-veth"),
    ):
        (folder / each.name).symlink_to(each)
    return folder


def call(
    verb: str,
    contender: Contender,
    node: Namespace,
    pods: dict[str, Namespace],
    folder: Path,
    at_once: int = 0,
) -> Burst:
    """The same call for pods by container ID, all at once unless said otherwise; raises if one fails."""
    with inside(node):
        calls = [contender.call(verb, container, str(pod.path)) for container, pod in pods.items()]
        burst = spawn.run(calls, at_once or len(calls), folder)
    spawn.succeeded(burst)
    return burst


def life(contender: Contender, node: Namespace, pods: Sequence[Namespace], folder: Path) -> dict[str, Burst]:
    """An ADD and a DEL of each pod; raises unless it has its address between them and no interface after."""
    living = dict(zip(containers(len(pods)), pods, strict=True))
    added = call("ADD", contender, node, living, folder)
    for pod, address in zip(pods, spawn.addresses(added), strict=True):
        assert pod.addresses("eth0") == {address}, "a pod does not have the address that was answered"
    deleted = call("DEL", contender, node, living, folder)
    assert not any(pod.has_interface("eth0") for pod in pods), "a pod still has its interface"
    return {"ADD": added, "DEL": deleted}


def milliseconds(bursts: Sequence[Burst]) -> list[float]:
    """What each burst took."""
    return [1000 * burst.seconds for burst in bursts]
