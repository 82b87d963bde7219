"""The catalogue: everything that admins decide, at one revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ipamd.models.hold import Hold
from ipamd.models.node import Node, NodeKey
from ipamd.models.pod_network import PodNetwork
from ipamd.models.pool import Affinity, Pool
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation
from ipamd.models.restoration import Restoration
from ipamd.models.token import Token

Removable = Pool | Reservation | Node | Token | Quota | Hold
Entry = Removable | PodNetwork | Restoration
"""An entry of the catalogue: admins create, change and delete it. The last two only change."""


@dataclass(frozen=True)
class Snapshot:
    """Pools, quotas and holds by name, reservations and tokens by id, nodes by key, as of `revision`.

    `networks` are the settings of pod networks by cluster.
    """

    revision: int = 0
    pools: Mapping[str, Pool] = field(default_factory=dict)
    reservations: Mapping[int, Reservation] = field(default_factory=dict)
    nodes: Mapping[NodeKey, Node] = field(default_factory=dict)
    tokens: Mapping[int, Token] = field(default_factory=dict)
    networks: Mapping[str, PodNetwork] = field(default_factory=dict)
    restoration: Restoration = field(default_factory=Restoration)
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)

    @cached_property
    def pools_of_nodes(self) -> Sequence[Pool]:
        """The pools in which blocks belong to nodes, by name. Few of thousands: they are looked for once."""
        pools = (pool for pool in self.pools.values() if pool.affinity is Affinity.NODE)
        return sorted(pools, key=lambda pool: pool.name)
