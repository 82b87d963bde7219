"""What ipamd promises, as plainly as it can be said: one dictionary, no blocks, no batches, no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from ipamd.models.address import AddressRange, IPAddress, IPNetwork
from ipamd.models.instant import SECOND, Instant
from ipamd.models.issued import Issued
from ipamd.models.pool import Pool, PoolState
from tests.properties.history.values import (
    Former,
    Freed,
    Had,
    Held,
    Holding,
    Kept,
    Limit,
    Moment,
    Owned,
    Waiter,
    each_of,
    first_of,
    is_machine,
    node_of,
    weight_of,
    workload_of,
)


@dataclass
class Model:
    """Pools, what is held in them, and since when the rest is free."""

    pools: dict[str, Pool] = field(default_factory=dict)
    kept: dict[int, Kept] = field(default_factory=dict)
    holdings: dict[int, Holding] = field(default_factory=dict)
    freed: dict[tuple[str, IPAddress], Instant] = field(default_factory=dict)
    deletes: dict[int, list[Moment]] = field(default_factory=dict)
    undone: dict[int, list[Moment]] = field(default_factory=dict)
    boots: dict[str, list[str]] = field(default_factory=dict)
    owned: dict[IPAddress, Owned] = field(default_factory=dict)
    former: dict[tuple[str, int], Former] = field(default_factory=dict)
    freed_at: dict[tuple[str, IPAddress], Instant] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)
    holds: dict[str, Held] = field(default_factory=dict)
    line: list[Waiter] = field(default_factory=list)
    now: Instant = 0
    ahead: Instant = 0

    @property
    def wall(self) -> Instant:
        """What the clock says, which may be ahead of the time that has passed."""
        return self.now + self.ahead

    def moment(self, node: str, issued: Issued, delivered: Issued | None = None) -> Moment:
        """Boots count in the order in which they were heard of, a spooled call's before its deliverer's."""
        heard = self.boots.setdefault(node, [])
        if issued.boot not in heard:
            at = heard.index(delivered.boot) if delivered and delivered.boot in heard else len(heard)
            heard.insert(at, issued.boot)
            self._renumber(node, at)
        if delivered and delivered.boot not in heard:
            heard.append(delivered.boot)
        return heard.index(issued.boot), issued.uptime_ns

    def _renumber(self, node: str, at: int) -> None:
        """A boot found its place before others: what was noted by number moves up."""

        def moved(moment: Moment) -> Moment:
            return (moment[0] + 1, moment[1]) if moment[0] >= at else moment

        for container, holding in self.holdings.items():
            if node_of(container) == node:
                holding.taken, holding.repeated = moved(holding.taken), moved(holding.repeated)
        for noted in (self.deletes, self.undone):
            for container, moments in noted.items():
                if node_of(container) == node:
                    noted[container] = [moved(moment) for moment in moments]

    def usable(self, pool: Pool) -> set[IPAddress]:
        """Every address that a holder of the pool may have."""
        ends = {pool.subnet[0]} | ({pool.subnet[-1]} if pool.family == 4 else set())
        excluded = {a for a in pool.subnet if any(each.contains(a) for each in pool.exclusions)}
        never = ends | excluded | {pool.gateway}
        return {a for a in pool.subnet if a not in never}

    def held(self, pool: str) -> set[IPAddress]:
        owned = {address for address, owned in self.owned.items() if owned.pool == pool}
        left = {address for hold in self.holds.values() if hold.pool == pool for address in hold.left}
        return (
            owned
            | left
            | {
                address
                for holding in self.holdings.values()
                for name, had in holding.addresses
                if name == pool
                for address in each_of(had)
            }
        )

    def owned_by(self, owner: int, pool_names: list[list[str]]) -> list[IPAddress | None]:
        """What an owner has at each place of an answer already. No two places have a pool in common."""
        return [
            next((a for a, each in self.owned.items() if each.owner == owner and each.pool in slot), None)
            for slot in pool_names
        ]

    def given_to_owner(
        self, container: int | None, owner: int, addresses: list[tuple[str, IPAddress]], moment: Moment
    ) -> None:
        """An owner has these from now on, and a container holds them, unless an admin made them."""
        for pool, address in addresses:
            self._take(pool, address)
            if address not in self.owned:
                self.owned[address] = Owned(owner, pool, set(), never_held=container is None)
            else:
                self.owned[address].told += 1
            if container is not None:
                known = self.owned[address]
                known.holders.add(container)
                known.first = container if known.never_held else known.first
                known.away, known.never_held = None, False
        if container is not None:
            self.holdings[container] = Holding(list(addresses), moment, moment, self.wall, owner=owner)

    def release_those_away(self) -> int:
        """End the owners who were away for long enough; how many addresses that are."""
        over = [
            address
            for address, owned in self.owned.items()
            if owned.away is not None and owned.away <= self.now - self.pools[owned.pool].owner_keep * SECOND
        ]
        for address in over:
            self.end_owner(address)
        return len(over)

    def end_owner(self, address: IPAddress) -> None:
        self._give_back(self.owned.pop(address).pool, address)

    def _take(self, pool: str, address: IPAddress) -> None:
        """An address is somebody's from now on, maybe out of a hold."""
        self.freed.pop((pool, address), None)
        self.freed_at.pop((pool, address), None)
        for hold in self.holds.values():
            if address in hold.left:
                del hold.left[address]
                hold.taken.add(address)

    def _give_back(self, pool: str, address: IPAddress) -> None:
        """An address is free from now on, or its hold's again."""
        hold = next((each for each in self.holds.values() if address in each.taken), None)
        if hold is not None:
            hold.taken.remove(address)
            hold.left[address] = Freed(self.now, self.wall)
        else:
            self.freed[pool, address] = self.now
            self.freed_at[pool, address] = self.wall

    def hold(self, name: str, made: Held, addresses: set[IPAddress]) -> None:
        """A hold has these addresses from now on."""
        for address in addresses:
            now = self.freed.pop((made.pool, address), None)
            wall = self.freed_at.pop((made.pool, address), None)
            made.left[address] = None if now is None or wall is None else Freed(now, wall)
        self.holds[name] = made

    def end_hold(self, name: str) -> None:
        """What is left of a hold is free as it was."""
        hold = self.holds.pop(name)
        for address, freed in hold.left.items():
            if freed is not None:
                self.freed[hold.pool, address] = freed.now
                self.freed_at[hold.pool, address] = freed.wall

    def out_of_a_hold(self, container: int | None, slot: Sequence[str], position: int) -> set[IPAddress]:
        """What a workload may get first of all: its own, else any of the hold that ends first."""
        workload = workload_of(container) if container is not None else None
        giving = [
            (hold, self.pools[hold.pool])
            for _, hold in sorted(self.holds.items(), key=lambda item: (item[1].until, item[0]))
            if hold.pool in slot and hold.is_for(workload) and self.pools[hold.pool].state is PoolState.ACTIVE
        ]
        former = self.former_of(container, position) if container is not None else None
        for hold, pool in giving:
            own = hold.left.get(former.address) if former is not None and former.pool == hold.pool else None
            if former is not None and own is not None and pool.sticky and own.wall == former.freed:
                return {former.address}
        for hold, pool in giving:
            cooled = self.now - pool.cooldown * SECOND
            ready = {a for a, freed in hold.left.items() if freed is None or freed.now <= cooled}
            if ready:
                return ready
        return set()

    def hold_with(self, container: int, address: IPAddress) -> Held | None:
        """The hold that has an address for a workload."""
        having = (hold for hold in self.holds.values() if address in hold.left)
        return next((hold for hold in having if hold.is_for(workload_of(container))), None)

    def keeper(self, address: IPAddress) -> Kept | None:
        return next((kept for kept in self.kept.values() if kept.addresses.contains(address)), None)

    def cooling(self, pool: Pool) -> set[IPAddress]:
        since = self.now - pool.cooldown * SECOND
        return {a for (name, a), freed in self.freed.items() if name == pool.name and freed > since}

    def ready(self, pool: Pool) -> set[IPAddress]:
        """What the pool would give to somebody who asks for nothing in particular."""
        if pool.state is PoolState.DRAINING:
            return set()
        assignable = {address for address in self.usable(pool) if self.keeper(address) is None}
        return assignable - self.held(pool.name) - self.cooling(pool)

    def again(self, container: int, slot: list[str], position: int) -> IPAddress | None:
        """What the workload had at this position of its answer, if it gets it again."""
        former = self.former_of(container, position)
        if former is None or former.pool not in slot or not self.has_been_free(former):
            return None
        pool, address = self.pools[former.pool], former.address
        gives = pool.sticky and pool.state is PoolState.ACTIVE
        return address if gives and address in self.usable(pool) and not self.keeper(address) else None

    def former_of(self, container: int, position: int) -> Former | None:
        """What is remembered of a container's workload at a position. Of machines nothing is."""
        return None if is_machine(container) else self.former.get((workload_of(container), position))

    def has_been_free(self, former: Former) -> bool:
        """Whether nobody has had an address since its former workload."""
        return self.freed_at.get((former.pool, former.address)) == former.freed

    def is_kept_from(self, container: int, pool: Pool, address: IPAddress) -> bool:
        """Whether a sticky pool refuses an address that somebody asks for, since another's cools down."""
        own = any(
            former.address == address and self.has_been_free(former)
            for (workload, _), former in self.former.items()
            if not is_machine(container) and workload == workload_of(container)
        )
        return pool.sticky and address in self.cooling(pool) and not own and not self.keeper(address)

    def is_kept_in_its_hold(self, container: int, pool: Pool, address: IPAddress, hold: Held) -> bool:
        """The same of an address that is left of a hold."""
        freed = hold.left[address]
        if not pool.sticky or freed is None or freed.now <= self.now - pool.cooldown * SECOND:
            return False
        return not any(
            former.address == address and former.freed == freed.wall
            for (workload, _), former in self.former.items()
            if not is_machine(container) and workload == workload_of(container)
        )

    def used(self, limit: Limit, family: int, of_machines: bool, more: Sequence[str] = ()) -> int:
        """How many addresses of a family a quota counts, with one more of each of these pools."""
        held = [owned.pool for owned in self.owned.values() if limit.shared or not of_machines]
        for container, holding in self.holdings.items():
            if holding.owner is None and (limit.shared or is_machine(container) is of_machines):
                for name, had in holding.addresses:
                    held += [name] * weight_of(had)
        counted = [self.pools[name] for name in (*held, *more)]
        return sum(limit.counts(pool) and pool.family == family for pool in counted)

    def open(self, slot: list[str], before: Sequence[str] = (), of_machines: bool = False) -> list[str]:
        """The pools that quotas leave open to an answer that has addresses of some pools already."""
        return [
            name
            for name in slot
            if not any(
                limit.counts(self.pools[name])
                and self.used(limit, self.pools[name].family, of_machines, before) >= limit.limit
                for limit in self.limits.values()
            )
        ]

    def fits(self, container: int, pool_names: list[list[str]], addresses: list[IPAddress]) -> bool:
        """Whether these addresses, in the order of the pool_names, are an answer that the promises allow."""
        own = self.reserved_for(container)
        before: list[str] = []
        for position, (wanted, address) in enumerate(zip(pool_names, addresses, strict=True)):
            slot = self.open(wanted, before, is_machine(container))
            before += [name for name in wanted if address in self.pools[name].subnet]
            pools = [self.pools[name] for name in slot]
            reserved = [p for p in pools if any(r.first in p.subnet for r in own)]
            if reserved:
                if not any(r.contains(address) for r in own) or address in self.held(reserved[0].name):
                    return False
                continue
            again = self.again(container, slot, position)
            if again is not None:
                if address != again:
                    return False
                continue
            held = self.out_of_a_hold(container, slot, position)
            if held:
                if address not in held:
                    return False
                continue
            first = next((pool for pool in pools if self.ready(pool)), None)
            if first is None or address not in self.ready(first):
                return False
        return len(set(addresses)) == len(addresses)

    def can_be_served(self, waiter: Waiter) -> bool:
        """Whether there is room for one that waits, whoever stands before it."""
        number, address = waiter.number, waiter.address
        if address is None:
            return self.serves(number, [[waiter.pool]])
        pool = self.pools[waiter.pool]
        if pool.state is PoolState.DRAINING or not self.open([pool.name], of_machines=True):
            return False
        hold = self.hold_with(number, address)
        if hold is not None:
            return not self.is_kept_in_its_hold(number, pool, address, hold)
        return address not in self.held(pool.name) and not self.is_kept_from(number, pool, address)

    def is_passed(self, waiter: Waiter, address: IPAddress, hold: Held | None) -> bool:
        """Whether a waiter would have had this address, if it had not been given, out of a hold maybe."""
        subnet = self.pools[waiter.pool].subnet
        reserved = any(kept.first in subnet for kept in self.reserved_for(waiter.number))
        certain = waiter.address is not None or reserved
        may = address == waiter.address if certain else address in subnet
        return may and (hold is None or hold.is_for(workload_of(waiter.number)))

    def reserved_for(self, container: int) -> list[AddressRange]:
        return [kept.addresses for kept in self.kept.values() if kept.workload == workload_of(container)]

    def serves(self, container: int, pool_names: list[list[str]]) -> bool:
        """Whether every slot has something to give, when nothing in particular is asked for."""
        own = self.reserved_for(container)
        before: list[str] = []
        for position, wanted in enumerate(pool_names):
            named = [self.pools[name] for name in wanted]
            reserved = next((p for p in named if any(r.first in p.subnet for r in own)), None)
            asked = wanted if reserved is None else [reserved.name]
            slot = self.open(asked, before, is_machine(container))
            if not slot:
                return False
            pools = [self.pools[name] for name in slot]
            if reserved is None:
                again = self.again(container, slot, position)
                held = self.out_of_a_hold(container, slot, position)
                giving = [pool for pool in pools if (held & set(pool.subnet) if held else self.ready(pool))]
                ready = next((pool.name for pool in giving), None)
                if again is None and ready is None:
                    return False
                before.append(self.former[workload_of(container), position].pool if again else ready or "")
            elif reserved.state is PoolState.DRAINING or not any(
                a in self.usable(reserved) and a not in self.held(reserved.name)
                for r in own[:1]
                for a in reserved.subnet
                if r.contains(a)
            ):
                return False
            else:
                before.append(reserved.name)
        return True

    def overtaken(self, container: int, moment: Moment) -> bool:
        late = any(moment < delete for delete in self.deletes.get(container, []))
        return late or moment in self.undone.get(container, [])

    def allows(self, pool: Pool, length: int) -> bool:
        """Whether quotas leave room for a prefix of a pool."""
        prefix = ip_network((pool.subnet[0], length), strict=False)
        return not any(
            limit.counts(pool)
            and self.used(limit, pool.family, of_machines=False) + weight_of(prefix) > limit.limit
            for limit in self.limits.values()
        )

    def prefixes(self, pool: Pool, length: int) -> list[IPNetwork]:
        """The prefixes of which a pool would give each address to anybody. Each is in one block."""
        if not pool.block_length <= length or not pool.subnet.prefixlen < length:
            return []
        ready = self.ready(pool)
        return [each for each in pool.subnet.subnets(new_prefix=length) if ready.issuperset(each)]

    def granted(self, container: int, addresses: list[tuple[str, Had]], moment: Moment) -> None:
        self.holdings[container] = Holding(addresses, moment, moment, self.wall)
        for pool, had in addresses:
            for address in each_of(had):
                self._take(pool, address)

    def repeated(self, container: int, moment: Moment) -> None:
        holding = self.holdings[container]
        holding.told_others |= moment != holding.taken
        holding.repeated = max(holding.repeated, moment)

    def release(self, container: int, moment: Moment, undo: bool = False) -> set[IPAddress]:
        """Carry a release out, and remember it: the addresses that it frees."""
        (self.undone if undo else self.deletes).setdefault(container, []).append(moment)
        holding = self.holdings.get(container)
        if holding is None:
            return set()
        own = holding.taken == moment and not holding.told_others
        if own if undo else holding.repeated < moment:
            return self.end(container, undo=undo)
        return set()

    def end(self, container: int, undo: bool = False) -> set[IPAddress]:
        holding = self.holdings.pop(container)
        if holding.owner is not None:
            for _, had in holding.addresses:
                address = first_of(had)
                owned = self.owned[address]
                owned.holders.remove(container)
                was_first = owned.first == container
                owned.first = None if was_first else owned.first
                if not owned.holders and undo and was_first:
                    owned.never_held = True
                elif not owned.holders:
                    owned.away = self.now
                    if undo and owned.told == 1:
                        self.end_owner(address)
            return {first_of(had) for _, had in holding.addresses}
        for position, (pool, had) in enumerate(holding.addresses):
            for address in each_of(had):
                self._give_back(pool, address)
            key = workload_of(container), position
            known = self.former.get(key)
            is_address = not isinstance(had, IPv4Network | IPv6Network)
            is_remembered = not is_machine(container) and self.pools[pool].sticky
            if is_address and is_remembered and (known is None or known.since <= holding.since):
                self.former[key] = Former(pool, first_of(had), holding.since, self.wall)
        return {first_of(had) for _, had in holding.addresses}

    def edit(self, name: str, **fields: object) -> str | None:
        """Change a pool, or say why not: that strands somebody, or leaves a reservation in vain."""
        changed = replace(self.pools[name], **fields)  # type: ignore[arg-type]  # fields of Pool, by the caller
        if not self.held(name) <= self.usable(changed):
            return "would-strand"
        if any(self.in_vain(kept.addresses, changed) for kept in self.kept.values()):
            return "reservation-conflicts"
        self.pools[name] = changed
        return None

    def in_vain(self, addresses: AddressRange, pool: Pool) -> bool:
        """Whether a pool has addresses of a reservation, and none that anybody may have."""
        met = {address for address in pool.subnet if addresses.contains(address)}
        return bool(met) and not met & self.usable(pool)
