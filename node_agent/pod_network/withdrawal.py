"""Takes away all that the agent wrote into this machine's kernel and /run for the pod network."""

from __future__ import annotations

from cni_plugin.failure import Failure
from netlink import route
from netlink.attribute import Malformed
from netlink.connection import NETFILTER, ROUTE, Interrupted
from node_agent.failure import CommandFailed
from node_agent.pod_network import device, files, filters
from node_agent.pod_network.difference import named
from node_agent.pod_network.reading import routes
from veth_plugin.kernel.asking import connect


def withdraw() -> None:
    """Take it away; nothing if nothing is there. Raises CommandFailed."""
    try:
        files.remove()  # first: no pod begins on a network that goes
        routing, packets = connect(ROUTE), connect(NETFILTER)
        try:
            routing.exchange([route.delete(named(one)) for one in routes(routing)])
            device.remove(routing)
            filters.remove(packets)
            left = routes(routing)
        finally:
            routing.close()
            packets.close()
    except (OSError, Failure, Interrupted, Malformed, device.Unmade, filters.Refused) as error:
        raise CommandFailed(f"the pod network is not wholly removed: {error}; then run this again") from None
    if left:
        raise CommandFailed(f"{len(left)} routes of the pod network stay: does `ipamd-agent run` still run?")
