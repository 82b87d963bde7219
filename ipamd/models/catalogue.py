"""What admins decide, whole, at one revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ipamd.models.node import Node, NodeKey
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Pools by name, reservations by id, nodes by key, as they were at `revision`."""

    revision: int = 0
    pools: Mapping[str, Pool] = field(default_factory=dict)
    reservations: Mapping[int, Reservation] = field(default_factory=dict)
    nodes: Mapping[NodeKey, Node] = field(default_factory=dict)
