"""Who gets nothing new on a node that drains: its containers and its lease. Pure."""

from __future__ import annotations

from ipamd.engine.catalogue import Catalogue
from ipamd.models.errors import NodeDraining
from ipamd.models.identity import Identity
from ipamd.models.request import AllocationRequest


def refuse_draining(request: AllocationRequest, catalogue: Catalogue) -> None:
    """Raise NodeDraining if a request is for a container or a seat of a node that drains.

    An owner that REST names may be told a node to choose pools, and the node's own address in the pod network
    is an owner's: they are no pods. What is adopted lives already.
    """
    if request.seat is not None:
        node = request.seat.seat.node
    elif isinstance(request.holder, Identity) and request.adopted_in is None:
        node = request.holder.node_key
    else:
        return
    if node in catalogue.draining:
        raise NodeDraining(node.cluster, node.name)
