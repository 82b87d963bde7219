"""What is announced of pod networks: a table of positions, one of what was forgotten, one of numbers."""

from __future__ import annotations

from collections.abc import Set
from uuid import uuid4

from ipamd.backends.interface import KEPT_ANNOUNCEMENTS, PodNetworkReading
from ipamd.models.allocation import Allocation, youngest_holders
from ipamd.models.identity import Owner
from ipamd.models.node import NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind, NetworkPosition, NodeAddress, NodeBlock
from ipamd_file.store import Store


def announce(store: Store, announced: Set[Announced]) -> None:
    """Note changes under the next numbers of their clusters."""
    for cluster in sorted({each.cluster for each in announced}):
        epoch, number = store.get("position", cluster, NetworkPosition(str(uuid4()), 0))
        store.put("position", cluster, NetworkPosition(epoch, number + 1))
        for each in announced:
            if each.cluster == cluster:
                store.put("announced", each, number + 1)


def forget_announced(store: Store, cluster: str) -> None:
    """Drop what is noted of nodes that are gone, if it is old."""
    back_to = store.get("position", cluster).number - KEPT_ANNOUNCEMENTS
    for each, number in list(store.tables["announced"].items()):
        if not isinstance(each, Announced) or each.cluster != cluster or number > back_to:
            continue
        node = store.get("node", NodeKey(cluster, each.name))
        if each.kind is AnnouncedKind.NODE and (node is None or node.published is None):
            store.drop("announced", each)
            store.put("forgotten", cluster, back_to)


def read_network(store: Store, cluster: str, after: int | None) -> PodNetworkReading:
    """See `Ledger.pod_network`. All of it is at hand, so that more is read than has changed."""
    snapshot = store.snapshot()
    pools = {name for name, pool in snapshot.pools.items() if pool.is_announced_in(cluster)}
    known = store.tables["announced"].items()
    rows = [row for row in store.values("allocation") if row.until is None and row.pool in pools]
    live = youngest_holders(rows)
    of_node = [row for row in live if row.announced_for is not None and row.announced_for.cluster == cluster]
    return PodNetworkReading(
        store.get("position", cluster, NetworkPosition()),
        store.get("forgotten", cluster, 0),
        snapshot,
        {
            each
            for each, number in known
            if isinstance(each, Announced) and each.cluster == cluster and (after is None or number > after)
        },
        [
            NodeBlock(block.node.name, block.pool, block.first)
            for block in store.values("block")
            if block.pool in pools and block.node is not None and block.node.cluster == cluster
        ],
        [_single(row) for row in of_node if row.borrowed],
        [_single(row) for row in of_node if isinstance(row.holder, Owner)],
    )


def _single(row: Allocation) -> NodeAddress:
    return NodeAddress(row.announced_for.name if row.announced_for else "", row.pool, row.address)
