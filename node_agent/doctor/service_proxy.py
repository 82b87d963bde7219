"""The kube-proxy of the node, if it runs: how it tells local traffic, which is that of this node's pods.

It changes the source of all other traffic to a Service. So Services would see a node in a pod's place, or
`externalTrafficPolicy: Local` would lose the client's address.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any, Final

import httpx

from node_agent.doctor.finding import Finding
from node_agent.doctor.told import Told
from veth_plugin.kernel import naming

URL: Final = "http://127.0.0.1:10249/configz"
"""Where it tells its settings, unless its `metricsBindAddress` says otherwise."""
_GROUP: Final = "kubeproxy.config.k8s.io"
_SECONDS: Final = 2.0
_BY_PREFIX, _BY_NODE, _BY_NAME, _BY_BRIDGE = (
    "ClusterCIDR",
    "NodeCIDR",
    "InterfaceNamePrefix",
    "BridgeInterface",
)
_REMEDY: Final = (
    f"set its detectLocalMode to {_BY_NAME}, and detectLocal.interfaceNamePrefix to {naming.PREFIX}"
)


def find(told: Told) -> list[Finding]:
    """Ask it. Nothing is found if nothing answers: a node need not have one."""
    try:
        answer = httpx.get(URL, timeout=_SECONDS, trust_env=False)
        settings = answer.raise_for_status().json()[_GROUP]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return []
    return list(_of(settings, told)) if isinstance(settings, dict) else []


def _of(settings: dict[str, Any], told: Told) -> Iterator[Finding]:
    """The settings as kube-proxy writes them: by the names that its own code has for them."""
    mode = settings.get("DetectLocalMode") or _BY_PREFIX
    detected = settings.get("DetectLocal") or {}
    if mode == _BY_PREFIX:
        # The one until Kubernetes 1.30, the other since.
        prefixes = detected.get("ClusterCIDRs") or (settings.get("ClusterCIDR") or "").split(",")
        yield from _of_prefixes([one.strip() for one in prefixes if one.strip()], told)
    elif mode == _BY_NODE:
        yield Finding("kube-proxy takes the podCIDR of its Node for its pods, and ipamd sets none", _REMEDY)
    elif mode == _BY_NAME and detected.get("InterfaceNamePrefix") != naming.PREFIX:
        yield Finding(
            f"kube-proxy takes interfaces {detected.get('InterfaceNamePrefix')}… for those of pods", _REMEDY
        )
    elif mode == _BY_BRIDGE:
        yield Finding(f"kube-proxy takes bridge {detected.get('BridgeInterface')} for that of pods", _REMEDY)


def _of_prefixes(texts: list[str], told: Told) -> Iterator[Finding]:
    """Compare with the pools. Without a prefix of a family kube-proxy takes none of it for a stranger."""
    for pool, subnet in told.pools.items():
        same = [one for one in map(ip_network, texts) if one.version == subnet.version]
        if same and not any(subnet.subnet_of(one) for one in same):  # type: ignore[arg-type]
            yield Finding(
                f"kube-proxy takes {', '.join(map(str, same))} for the pods', and pool {pool} is {subnet}",
                _REMEDY,
            )
