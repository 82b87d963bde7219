"""What is announced of pod networks, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Set
from uuid import uuid4

from ipamd.backends.interface import KEPT_ANNOUNCEMENTS
from ipamd.backends.memory.journal import Journal
from ipamd.models.node import Node, NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind, NetworkPosition


class Announcing:
    """What is announced of pod networks, each with the number under which it last changed."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.positions: dict[str, NetworkPosition] = {}
        self.forgotten: dict[str, int] = {}
        self.numbers: dict[Announced, int] = {}

    def announce(self, announced: Set[Announced]) -> None:
        """Note changes under the next numbers of their clusters."""
        for cluster in {each.cluster for each in announced}:
            known = self.positions.get(cluster) or NetworkPosition(str(uuid4()), 0)
            self.journal.put(self.positions, cluster, known._replace(number=known.number + 1))
        for each in announced:
            self.journal.put(self.numbers, each, self.positions[each.cluster].number)

    def renew_epochs(self) -> None:
        """Begin a new epoch of each cluster's numbers."""
        for cluster, known in list(self.positions.items()):
            self.journal.put(self.positions, cluster, known._replace(epoch=str(uuid4())))

    def forget(self, cluster: str, nodes: Mapping[NodeKey, Node]) -> None:
        """Drop what is noted of nodes that are gone, if it is old."""
        back_to = self.positions[cluster].number - KEPT_ANNOUNCEMENTS
        for each, number in list(self.numbers.items()):
            if each.cluster != cluster or each.kind is not AnnouncedKind.NODE or number > back_to:
                continue
            node = nodes.get(NodeKey(cluster, each.name))
            if node is None or node.published is None:
                self.journal.drop(self.numbers, each)
                self.journal.put(self.forgotten, cluster, back_to)
