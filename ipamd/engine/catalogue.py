"""The catalogue as the engine reads it: one revision, with what follows from it computed once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cached_property
from itertools import islice, takewhile
from typing import Final, NamedTuple

from ipamd.addressing.mask import Mask, meets
from ipamd.engine.holds import HoldIndex
from ipamd.engine.principals import principals
from ipamd.engine.quotas import QuotaIndex
from ipamd.models.address import IPAddress
from ipamd.models.catalogue import Snapshot
from ipamd.models.node import NodeKey
from ipamd.models.pool import Pool
from ipamd.models.reservation import Reservation
from ipamd.models.token import Principal, TokenHash

KEPT_CHOICES: Final = 50_000


class RequestContext(NamedTuple):
    """The context that selectors compare."""

    cluster: str | None
    network: str | None
    node: str | None
    namespace: str | None


class StaleCatalogue(Exception):
    """The catalogue has changed since a batch read it: load it and decide again."""


class Catalogue:
    """An immutable view of pools, reservations, nodes and tokens at one revision."""

    def __init__(self, snapshot: Snapshot, previous: Catalogue | None = None) -> None:
        self.snapshot = snapshot
        self._masks: dict[str, Mask] = {}
        self._by_workload: dict[tuple[str | None, str | None], list[Reservation]] = {}
        self._by_owner: dict[str, list[Reservation]] = {}
        for reservation in snapshot.reservations.values():
            if reservation.owner is not None:
                self._by_owner.setdefault(reservation.owner, []).append(reservation)
            elif reservation.name is not None:
                key = reservation.namespace, reservation.name
                self._by_workload.setdefault(key, []).append(reservation)
        self.choices: dict[object, tuple[tuple[Pool, ...], ...]] = {}
        """What selectors made of a question before; `choice` fills it, a new revision forgets it."""
        if previous is not None and previous.snapshot.tokens == snapshot.tokens:
            self.principals: Mapping[TokenHash, Principal] = previous.principals
        else:
            self.principals = principals(snapshot.tokens.values())
        if previous is not None and previous.snapshot.reservations == snapshot.reservations:
            self._masks = {
                name: mask for name, mask in previous._masks.items() if snapshot.pools.get(name) is mask.pool
            }

        if previous is not None and previous.snapshot.quotas == snapshot.quotas:
            self.quotas: QuotaIndex = previous.quotas
        else:
            self.quotas = QuotaIndex(snapshot.quotas.values())
        if previous is not None and previous.snapshot.holds == snapshot.holds:
            self.holds: HoldIndex = previous.holds
        else:
            self.holds = HoldIndex(snapshot.holds.values())

    @property
    def revision(self) -> int:
        return self.snapshot.revision

    @property
    def pools(self) -> Mapping[str, Pool]:
        return self.snapshot.pools

    @cached_property
    def has_sticky_pools(self) -> bool:
        """Whether any pool is sticky: else no call looks through the pools that it may have for one."""
        return any(pool.sticky for pool in self.pools.values())

    @cached_property
    def has_quotas(self) -> bool:
        """Whether there is any quota."""
        return bool(self.quotas)

    @cached_property
    def has_holds(self) -> bool:
        """Whether any pool has a hold, whatever its state."""
        return bool(self.holds)

    @cached_property
    def has_reservations(self) -> bool:
        """Whether anything is reserved for a workload or an owner."""
        return bool(self._by_workload or self._by_owner)

    @cached_property
    def draining(self) -> Set[NodeKey]:
        """The nodes whose containers get nothing new."""
        return {key for key, node in self.snapshot.nodes.items() if node.draining}

    def announces(self, pool: str, cluster: str) -> bool:
        """Whether the blocks that nodes of a cluster have of a pool are announced to the other nodes."""
        known = self.pools.get(pool)
        return known is not None and cluster in self.snapshot.networks and known.is_announced_in(cluster)

    def mask(self, pool: Pool) -> Mask:
        """The addresses that a pool may give."""
        mask = self._masks.get(pool.name)
        if mask is None:
            mask = self._masks[pool.name] = Mask(pool, self._reservations_in.get(pool.name, ()))
        return mask

    def reservations_in(self, pool: Pool) -> Sequence[Reservation]:
        """The reservations of addresses that a pool has."""
        return self._reservations_in.get(pool.name, ())

    def pools_with(self, address: IPAddress) -> Iterator[Pool]:
        """The pools in whose subnet an address lies, one in each space at most."""
        for (_, family), (firsts, pools) in self._by_subnet.items():
            at = bisect_right(firsts, int(address)) - 1
            if family == address.version and at >= 0 and address in pools[at].subnet:
                yield pools[at]

    def pools_of(self, space: str, family: int) -> Sequence[Pool]:
        """The pools of a space and a family, in the order of their addresses."""
        return self._by_subnet.get((space, family), ([], []))[1]

    def pool_with(self, address: IPAddress, space: str) -> Pool | None:
        """The pool of a space in whose subnet an address lies."""
        return next((pool for pool in self.pools_with(address) if pool.space == space), None)

    def is_in_a_pool(self, reservation: Reservation) -> bool:
        """Whether any address of a reservation lies in a pool of its space."""
        met = self._pools_about(reservation)
        return any(meets(reservation.addresses, pool, reservation.space) for pool in met)

    @cached_property
    def _reservations_in(self) -> Mapping[str, list[Reservation]]:
        """The reservations by the pools that they meet."""
        found: dict[str, list[Reservation]] = {}
        for reservation in self.snapshot.reservations.values():
            for pool in self._pools_about(reservation):
                found.setdefault(pool.name, []).append(reservation)
        return found

    def _pools_about(self, reservation: Reservation) -> Sequence[Pool]:
        """The pools that a reservation may meet: those in it, and the one that begins before it."""
        first, last = int(reservation.addresses.first), int(reservation.addresses.last)
        firsts, pools = self._by_subnet.get((reservation.space, reservation.addresses.family), ([], []))
        return pools[max(bisect_right(firsts, first) - 1, 0) : bisect_right(firsts, last)]

    @cached_property
    def _by_subnet(self) -> Mapping[tuple[str, int], tuple[list[int], list[Pool]]]:
        """The pools of each space and family, in the order of their subnets, which do not overlap."""
        groups: dict[tuple[str, int], list[Pool]] = {}
        for pool in self.pools.values():
            groups.setdefault((pool.space, pool.family), []).append(pool)
        for group in groups.values():
            group.sort(key=lambda pool: int(pool.subnet[0]))
        return {key: ([int(pool.subnet[0]) for pool in group], group) for key, group in groups.items()}

    @cached_property
    def _reservation_numbers(self) -> Sequence[int]:
        return sorted(self.snapshot.reservations)

    def reservations_after(self, number: int) -> Iterator[Reservation]:
        """The reservations with larger numbers, in their order."""
        begin = bisect_right(self._reservation_numbers, number)
        return (self.snapshot.reservations[each] for each in islice(self._reservation_numbers, begin, None))

    def reservations_with(self, address: IPAddress) -> list[Reservation]:
        """The reservations of an address, one of each space at most."""
        found = []
        for (_, family), (firsts, kept) in self._by_addresses.items():
            at = bisect_right(firsts, int(address)) - 1
            if family == address.version and at >= 0 and kept[at].addresses.contains(address):
                found.append(kept[at])
        return found

    @cached_property
    def _by_addresses(self) -> Mapping[tuple[str, int], tuple[list[int], list[Reservation]]]:
        """The reservations of each space and family, in the order of their addresses: none overlap."""
        groups: dict[tuple[str, int], list[Reservation]] = {}
        for each in self.snapshot.reservations.values():
            groups.setdefault((each.space, each.addresses.family), []).append(each)
        for group in groups.values():
            group.sort(key=lambda each: int(each.addresses.first))
        return {key: ([int(each.addresses.first) for each in group], group) for key, group in groups.items()}

    @cached_property
    def _node_keys(self) -> Sequence[NodeKey]:
        return sorted(self.snapshot.nodes)

    def nodes_after(self, key: NodeKey | None, cluster: str | None) -> Iterator[NodeKey]:
        """The nodes behind one, by cluster and name; those of one cluster if it is given."""
        first = max(each for each in (key, cluster and NodeKey(cluster, ""), NodeKey("", "")) if each)
        begin = bisect_right(self._node_keys, first)
        those = islice(self._node_keys, begin, None)
        return those if cluster is None else takewhile(lambda each: each.cluster == cluster, those)

    @cached_property
    def pools_by_name(self) -> Sequence[tuple[str, Pool]]:
        """The pools by name, each with the words by which people look for it: its name and its subnet."""
        return [(f"{name} {self.pools[name].subnet}", self.pools[name]) for name in sorted(self.pools)]

    @cached_property
    def pools_by_space(self) -> Mapping[str, Sequence[Pool]]:
        """The pools of each space, by family and address."""
        groups: dict[str, list[Pool]] = {}
        for (space, _), (_, pools) in sorted(self._by_subnet.items()):
            groups.setdefault(space, []).extend(pools)
        return groups

    def reserved_for(self, namespace: str | None, name: str | None, owner: str | None) -> list[Reservation]:
        """The reservations of a workload or an owner."""
        if owner is not None:
            return self._by_owner.get(owner, [])
        return self._by_workload.get((namespace, name), []) if name is not None else []

    def labels(self, node: NodeKey) -> Mapping[str, str]:
        """The labels of a node, none if no admin has set any."""
        known = self.snapshot.nodes.get(node)
        return known.labels if known is not None else {}
