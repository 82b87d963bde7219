"""The Service network of Kubernetes, as far as this process is told of it."""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import Final

from node_agent.pod_network.network import Address

VARIABLE: Final = "KUBERNETES_SERVICE_HOST"
"""What Kubernetes tells each of its containers: an address of the Service network."""


def address() -> Address | None:
    """An address of the Service network; None if this is no container of Kubernetes', or it tells a name."""
    try:
        return ip_address(os.environ.get(VARIABLE, ""))
    except ValueError:
        return None
