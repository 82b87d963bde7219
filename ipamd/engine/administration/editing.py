"""A change of pools and reservations, step by step, inside its transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from functools import cached_property

from ipamd.addressing.mask import Mask
from ipamd.backends.interface import CatalogueChange
from ipamd.engine.administration.agreement import why_never
from ipamd.engine.administration.disjoint import Disjoint
from ipamd.engine.administration.free_prefix import free_prefix
from ipamd.engine.administration.remasking import blocks_of, remask
from ipamd.engine.administration.statements import (
    validate,
    validate_edit,
    validate_hold,
    validate_quota,
    validate_reservation,
)
from ipamd.models.address import AddressRange, IPNetwork
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import (
    HoldExists,
    InvalidValue,
    PoolExists,
    PoolInUse,
    PoolOverlaps,
    QuotaExists,
    ReservationConflicts,
)
from ipamd.models.hold import Hold, HoldState
from ipamd.models.pod_network import Announced, AnnouncedKind
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation


class Editing:
    """Pools, reservations and quotas after the steps so far. A step that raises changes nothing here.

    The catalogue is locked: nobody else changes it before the transaction ends.
    """

    def __init__(self, catalogue: CatalogueChange, revision: int, snapshot: Snapshot) -> None:
        self._catalogue = catalogue
        self.revision = revision
        self.pools = dict(snapshot.pools)
        self.reservations = dict(snapshot.reservations)
        self.quotas = dict(snapshot.quotas)
        self.holds = dict(snapshot.holds)
        self._before = snapshot
        self._stated_pools: set[str] = set()
        self._stated_reservations: set[int] = set()
        self._unpooled: set[int] = set()
        self._ids = [revision]
        """Of the next reservations. Each is a revision that no entry had before."""

    @cached_property
    def _subnets(self) -> Disjoint[Pool]:
        return Disjoint((pool.space, _whole(pool), pool) for pool in self.pools.values())

    @cached_property
    def _former_subnets(self) -> Disjoint[Pool]:
        return Disjoint((pool.space, _whole(pool), pool) for pool in self._before.pools.values())

    @cached_property
    def _prefixes_of_nodes(self) -> Mapping[tuple[str, IPNetwork], str]:
        """The prefixes that nodes publish, with a node of each: most nodes are in the same few."""
        return {
            (node.cluster, prefix): node.name
            for node in self._before.nodes.values()
            if node.published is not None
            for prefix in node.published.prefixes
        }

    @cached_property
    def _formerly_kept(self) -> Set[tuple[str, AddressRange]]:
        return {(each.space, each.addresses) for each in self._before.reservations.values()}

    @cached_property
    def _kept(self) -> Disjoint[Reservation]:
        return Disjoint((each.space, each.addresses, each) for each in self.reservations.values())

    async def create_pool(self, pool: Pool) -> Pool:
        """Create a pool. Raises InvalidValue, PoolExists, PoolOverlaps."""
        validate(pool)
        if pool.name in self.pools:
            raise PoolExists(f"pool {pool.name!r} exists already: choose another name, or edit the pool")
        self._refuse_overlap(pool)
        return await self._save_pool(pool)

    async def edit_pool(self, old: Pool, edit: Callable[[Pool], Pool]) -> Pool:
        """Replace a pool by the result of `edit`.

        Raises InvalidValue, PoolOverlaps, WouldStrand, and what `edit` raises.
        """
        new = edit(old)
        validate_edit(old, new)
        self._refuse_overlap(new)
        if any(new.is_announced_in(each) > old.is_announced_in(each) for each in self._before.networks):
            await blocks_of(old, self._catalogue)  # before any other lock on them: they come in one order
        resized = (new.block_length, new.prefix_length) != (old.block_length, old.prefix_length)
        if resized and await blocks_of(old, self._catalogue):
            field = "block_size" if new.prefix_length == old.prefix_length else "prefix_length"
            raise InvalidValue(field, "it is fixed once the pool has given something: make another pool")
        await remask(Mask(old, self._kept_in(old)), Mask(new, self._kept_in(new)), self._catalogue)
        self._subnets.remove(old.space, _whole(old))
        return await self._save_pool(new)

    async def delete_pool(self, pool: Pool) -> None:
        """Delete a pool of which nothing is held. Raises PoolInUse; `agree` does if a quota is for it."""
        held = sum(block.allocated for block in await blocks_of(pool, self._catalogue))
        if held:
            raise PoolInUse(f"pool {pool.name} has {held} allocated addresses: drain it, or release them")
        await self._catalogue.remove(pool)
        self._unpooled |= {each.id for each in self._kept.all_meeting(pool.space, _whole(pool))}
        self._subnets.remove(pool.space, _whole(pool))
        del self.pools[pool.name]

    async def create_reservation(self, reservation: Reservation) -> Reservation:
        """Reserve addresses for a holder. Raises ReservationConflicts."""
        validate_reservation(reservation)
        await self.expect_reservations(1)
        made = replace(reservation, id=self._ids[0], revision=self.revision)
        other = self._kept.meeting(made.space, made.addresses)
        if other is not None:
            raise ReservationConflicts(
                f"{made.addresses} overlaps {other.addresses}, which is reserved for {other.holder}"
            )
        await self._rereserve(made, kept=True)
        await self._catalogue.save(made)
        self._kept.add(made.space, made.addresses, made)
        self.reservations[made.id] = made
        self._stated_reservations.add(self._ids.pop(0))
        return made

    async def reserve_prefix(
        self, pool: Pool, length: int, make: Callable[[AddressRange], Reservation]
    ) -> Reservation:
        """Reserve a prefix of a pool of which anybody may have every address, and nobody has one.

        Raises InvalidValue, ReservationConflicts.
        """
        mask = Mask(pool, self.reservations.values())
        return await self.create_reservation(make(await free_prefix(mask, length, self._catalogue)))

    async def expect_reservations(self, new: int) -> None:
        """Have ids for so many reservations: thousands would else take a question to the database each."""
        missing = new - len(self._ids)
        if missing > 0:
            self.revision = await self._catalogue.raise_revision(missing)
            self._ids += range(self.revision - missing + 1, self.revision + 1)

    async def delete_reservation(self, gone: Reservation) -> None:
        """End a reservation."""
        await self._rereserve(gone, kept=False)
        await self._catalogue.remove(gone)
        self._kept.remove(gone.space, gone.addresses)
        del self.reservations[gone.id]

    async def create_quota(self, quota: Quota) -> Quota:
        """Create a quota, which is to be counted. Raises InvalidValue, PoolUnknown, QuotaExists."""
        if quota.name in self.quotas:
            raise QuotaExists(f"quota {quota.name!r} exists already: choose another name, or edit the quota")
        return await self._save_quota(quota, counting=True)

    async def edit_quota(self, old: Quota, edit: Callable[[Quota], Quota]) -> Quota:
        """Replace a quota by the result of `edit`. It is counted anew if it counts others than before.

        Raises InvalidValue, PoolUnknown, and what `edit` raises.
        """
        new = edit(old)
        if new.name != old.name:
            raise InvalidValue("name", "the name of a quota cannot be changed: make another quota")
        return await self._save_quota(new, counting=old.counting or new.scope != old.scope)

    async def delete_quota(self, quota: Quota) -> None:
        """Delete a quota, and forget what it counted."""
        await self._catalogue.remove(quota)
        del self.quotas[quota.name]

    async def _save_quota(self, quota: Quota, *, counting: bool) -> Quota:
        validate_quota(quota, self.pools)
        saved = replace(quota, counting=counting, revision=self.revision)
        await self._catalogue.save(saved)
        self.quotas[saved.name] = saved
        return saved

    async def create_hold(self, hold: Hold) -> Hold:
        """Create a hold, which is to be filled. Raises InvalidValue, PoolUnknown, HoldExists."""
        known = self.holds.get(hold.name)
        if known is not None:
            ends = " (it ends: try again)" if known.state is HoldState.ENDING else ""
            raise HoldExists(f"hold {hold.name!r} exists already{ends}: choose another name, or release it")
        return await self._save_hold(replace(hold, state=HoldState.FILLING))

    async def edit_hold(self, old: Hold, edit: Callable[[Hold], Hold]) -> Hold:
        """Replace a hold by the result of `edit`. Raises InvalidValue, and what `edit` raises."""
        new = edit(old)
        if (new.name, new.size, new.pool) != (old.name, old.size, old.pool):
            raise InvalidValue("size", "name, size and pool of a hold stay as they are: make another")
        return await self._save_hold(new)

    async def _save_hold(self, hold: Hold) -> Hold:
        validate_hold(hold, self.pools)
        saved = replace(hold, revision=self.revision)
        await self._catalogue.save(saved)
        self.holds[saved.name] = saved
        return saved

    async def announce(self) -> None:
        """Announce the pools to those pod networks that carry others than before. Called last of all."""
        await self._catalogue.announce(
            {
                Announced(cluster, AnnouncedKind.POOLS)
                for cluster in self._before.networks
                if _announced(self._before.pools, cluster) != _announced(self.pools, cluster)
            }
        )

    def agree(self) -> None:
        """Raise ReservationConflicts or PoolInUse if these steps together cannot be meant."""
        for _, conflict in self.conflicts():
            raise conflict

    def conflicts(self) -> Iterator[tuple[Pool | Reservation, ReservationConflicts | PoolInUse]]:
        """What these steps leave without a sense: reservations without an address, quotas without a pool.

        Called after the last step: the order of steps is ours, and no step is judged by what the next mends.
        What stood before is let be, as an older ipamd took it.
        """
        yield from self._quotas_without_pool()
        yield from self._holds_without_use()
        concerned: dict[int, Pool | Reservation] = {}
        for name in sorted(self._stated_pools & self.pools.keys()):
            pool = self.pools[name]
            for reservation in self._kept.all_meeting(pool.space, _whole(pool)):
                concerned.setdefault(reservation.id, pool)
        for number in self._stated_reservations & self.reservations.keys():
            concerned[number] = self.reservations[number]
        masks: dict[str, Mask] = {}
        for number, stated in concerned.items():
            reservation = self.reservations[number]
            met = self._subnets.all_meeting(reservation.space, reservation.addresses)
            named = replace(reservation, id=0) if stated is reservation else reservation
            why = why_never(named, [_mask_of(pool, masks) for pool in met])
            if why is None or self._stood_before(reservation):
                continue
            remedy = "reserve another" if stated is reservation else "delete the reservation first"
            yield stated, ReservationConflicts(f"{why}; {remedy}, or change the pool")

    def _quotas_without_pool(self) -> Iterator[tuple[Pool, PoolInUse]]:
        for quota in self.quotas.values():
            pool = self._before.pools.get(quota.pool) if quota.pool is not None else None
            if pool is not None and pool.name not in self.pools:
                sentence = (
                    f"quota {quota.name} is for pool {pool.name} alone: delete the quota first, or let it "
                    f"count every pool (`ipamctl quota edit {quota.name} --clear pool`)"
                )
                yield pool, PoolInUse(sentence)

    def _holds_without_use(self) -> Iterator[tuple[Pool, PoolInUse]]:
        """The holds whose workloads could not have their addresses on every node any more."""
        for hold in self.holds.values():
            pool = self.pools.get(hold.pool)
            if pool is None or not pool.lends:
                why = "is gone" if pool is None else "would lend no single addresses (its borrow is false)"
                sentence = (
                    f"hold {hold.name} has addresses of pool {hold.pool}, which {why}: release it first"
                )
                yield pool or self._before.pools[hold.pool], PoolInUse(sentence)

    def outside(self) -> Iterator[Reservation]:
        """The reservations that were stated in these steps, or lost their pool in them, and lie in none."""
        for number in sorted((self._stated_reservations | self._unpooled) & self.reservations.keys()):
            reservation = self.reservations[number]
            if self._subnets.meeting(reservation.space, reservation.addresses) is None:
                yield reservation

    def _stood_before(self, reservation: Reservation) -> bool:
        """Tell whether these addresses were reserved in vain before these steps, too."""
        if (reservation.space, reservation.addresses) not in self._formerly_kept:
            return False
        met = self._former_subnets.all_meeting(reservation.space, reservation.addresses)
        return why_never(reservation, map(Mask, met)) is not None

    async def _save_pool(self, pool: Pool) -> Pool:
        saved = replace(pool, revision=self.revision)
        await self._catalogue.save(saved)
        self._subnets.add(saved.space, _whole(saved), saved)
        self.pools[saved.name] = saved
        self._stated_pools.add(saved.name)
        return saved

    def _refuse_overlap(self, pool: Pool) -> None:
        """Raise PoolOverlaps if a pool overlaps another of its space."""
        for other in self._subnets.all_meeting(pool.space, _whole(pool)):
            if other.name != pool.name:
                raise PoolOverlaps(
                    f"subnet {pool.subnet} overlaps pool {other.name} ({other.subnet}) of space {pool.space}"
                )
        former = self._before.pools.get(pool.name)
        for (cluster, prefix), node in self._prefixes_of_nodes.items():
            if not pool.is_announced_in(cluster) or not _overlap(prefix, pool.subnet):
                continue
            if former is None or not (former.is_announced_in(cluster) and _overlap(prefix, former.subnet)):
                raise PoolOverlaps(
                    f"subnet {pool.subnet} overlaps {prefix}, in which node {node} of cluster {cluster} is: "
                    "pods and nodes need networks of their own"
                )

    def _kept_in(self, pool: Pool) -> list[Reservation]:
        """The reservations that a pool meets. Among a hundred thousand each step looks at these alone."""
        return list(self._kept.all_meeting(pool.space, _whole(pool)))

    def _kept_near(self, pool: Pool, addresses: AddressRange) -> list[Reservation]:
        """The reservations in the blocks of a pool that have any of these addresses: no others change."""
        numbers = pool.numbers_of(addresses)
        first = max(pool.block_of(numbers.start), pool.first_number)
        last = min(pool.block_of(numbers.stop - 1) + pool.block_size - 1, pool.last_number)
        return list(self._kept.all_meeting(pool.space, pool.addresses_of(first, last)))

    async def _rereserve(self, about: Reservation, *, kept: bool) -> None:
        """Adapt the pools that a reservation touches, which is to be kept or goes."""
        touched = self._subnets.all_meeting(about.space, about.addresses)
        # By name, for that is the order in which whoever waits for blocks of several pools locks them.
        for pool in sorted(touched, key=lambda pool: pool.name):
            before = self._kept_near(pool, about.addresses)
            others = [each for each in before if each.id != about.id]
            after = [*others, about] if kept else others
            await remask(Mask(pool, before), Mask(pool, after), self._catalogue, about, self.holds)


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _announced(pools: Mapping[str, Pool], cluster: str) -> Set[tuple[str, IPNetwork, bool]]:
    """What nodes are told of pools."""
    return {
        (pool.name, pool.subnet, pool.masquerade) for pool in pools.values() if pool.is_announced_in(cluster)
    }


def _mask_of(pool: Pool, masks: dict[str, Mask]) -> Mask:
    """What a pool may give at all; made once for all reservations in it."""
    if pool.name not in masks:
        masks[pool.name] = Mask(pool)
    return masks[pool.name]


def _whole(pool: Pool) -> AddressRange:
    return AddressRange(pool.subnet[0], pool.subnet[-1])
