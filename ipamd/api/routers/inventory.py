"""Inventories: which nodes a cluster has, as its orchestrator says."""

from __future__ import annotations

from fastapi import APIRouter

from ipamd.api.access import INVENTORY
from ipamd.api.routers.access import Asker, TheEngine
from ipamd.api.schemas.inventory import ShownTaken, StatedInventory, taken_document
from ipamd.engine.inventory import Inventory
from ipamd.models.errors import NotAllowed
from ipamd.models.node import NodeKey, node_name
from ipamd.models.token import Role

router = APIRouter(tags=["nodes"])


@router.put(INVENTORY)
async def take_inventory(body: StatedInventory, engine: TheEngine, asker: Asker) -> ShownTaken:
    """Say which nodes a cluster has: all of them, each minute or so.

    A node that an earlier inventory named is noted as gone. If it is gone, and was not heard from, for
    `remove_after` seconds, it is removed with all that it holds; but none is while more than half of them are
    gone.
    """
    if asker is not None and asker.role is Role.INVENTORY and asker.cluster != body.cluster:
        raise NotAllowed(f"{asker.name} speaks for cluster {asker.cluster}, not for {body.cluster}")
    nodes = frozenset(map(node_name, body.nodes))
    await engine.nodes.refuse_unknown_names("nodes", (NodeKey(body.cluster, name) for name in nodes))
    inventory = Inventory(
        cluster=body.cluster,
        nodes=nodes,
        remove_after=body.remove_after,
        by=asker.name if asker is not None else None,
    )
    return taken_document(body.cluster, await engine.inventories.take(inventory))
