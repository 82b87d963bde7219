"""Create and change pools, reservations and quotas as a file says, in one change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from ipamd.engine.administration.editing import Editing
from ipamd.models.change_log import Action
from ipamd.models.documents import quota_document
from ipamd.models.errors import DomainError, NotApplied, Refusal, Unavailable
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation

KEPT_UNSAID: Final = ("gateway", "block_length")
"""Fields whose default follows from the subnet. An existing pool keeps them."""


Stated = Pool | Reservation | Quota


@dataclass(frozen=True, slots=True)
class DesiredPool:
    """A pool as a file has it. `unsaid` are the fields of `KEPT_UNSAID` that the file does not give."""

    pool: Pool
    unsaid: frozenset[str] = frozenset()

    def over(self, old: Pool) -> Pool:
        """The existing pool after the change."""
        kept: dict[str, Any] = {field: getattr(old, field) for field in self.unsaid}
        return replace(self.pool, **kept, revision=old.revision)


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The contents of a file. No name and no range comes twice. None means that the file has no such list."""

    pools: Sequence[DesiredPool] | None
    reservations: Sequence[Reservation] | None
    quotas: Sequence[Quota] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An entry before and after the change; None if there is none."""

    before: Stated | None
    after: Stated | None

    @property
    def action(self) -> Action:
        if self.before is None:
            return Action.CREATE
        return Action.DELETE if self.after is None else Action.CHANGE


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done, in its order, and how many entries were right already.

    `outside` are reservations that lie in no pool: they bind nobody until there is one.
    """

    changes: tuple[Change, ...]
    unchanged: int
    outside: tuple[Reservation, ...] = ()


async def apply(wanted: DesiredState, editing: Editing, *, prune: bool) -> Applied:
    """Take the steps from what stands to what is wanted; raises NotApplied with everything that was refused.

    What goes makes room first. Reservations come before the pools that they are in, though all of it is one
    change: so each step is refused for what the file says, not for what the next step would mend.
    """
    steps = _Steps(editing)
    pools, reservations = wanted.pools, wanted.reservations
    old_pools, old_reservations = dict(editing.pools), _by_range(editing.reservations.values())
    kept = _by_range(reservations or ())
    if reservations is not None:
        for key, old in old_reservations.items():
            if key in kept and not _same(kept[key], old):
                await steps.replace_later(old)
            elif key not in kept and prune:
                await steps.delete_reservation(old)
    if pools is not None and prune:
        names = {each.pool.name for each in pools}
        for pool in [pool for name, pool in old_pools.items() if name not in names]:
            await steps.delete_pool(pool)
    new = [key for key in kept if key not in old_reservations or not _same(kept[key], old_reservations[key])]
    await editing.expect_reservations(len(new))
    for key, reservation in kept.items():
        await steps.keep(reservation, old_reservations.get(key))
    # By name, as those lock the blocks of several pools who wait for them.
    for each in sorted(pools or (), key=lambda each: each.pool.name):
        await steps.make(each, old_pools.get(each.pool.name))
    if wanted.quotas is not None:
        await steps.make_quotas(wanted.quotas, prune=prune)
    # A step that was refused is not seen by those that depend on it, so that nothing more can be told.
    refusals = steps.refusals or [Refusal(_named(stated), why) for stated, why in editing.conflicts()]
    if refusals:
        raise NotApplied(tuple(refusals))
    return Applied(tuple(steps.changes), steps.unchanged, tuple(editing.outside()))


class _Steps:
    """Takes steps, and notes what each of them did or why it was refused."""

    def __init__(self, editing: Editing) -> None:
        self._editing = editing
        self.changes: list[Change] = []
        self.refusals: list[Refusal] = []
        self.unchanged = 0

    async def replace_later(self, old: Reservation) -> None:
        """Make room for a reservation of the same addresses."""
        await self._try(_named(old), lambda: self._editing.delete_reservation(old))

    async def delete_reservation(self, old: Reservation) -> None:
        if await self._try(_named(old), lambda: self._editing.delete_reservation(old)):
            self.changes.append(Change(old, None))

    async def delete_pool(self, old: Pool) -> None:
        if await self._try(_named(old), lambda: self._editing.delete_pool(old)):
            self.changes.append(Change(old, None))

    async def keep(self, wanted: Reservation, old: Reservation | None) -> None:
        if old is not None and _same(wanted, old):
            self.unchanged += 1
        elif await self._try(_named(wanted), lambda: self._editing.create_reservation(wanted)):
            self.changes.append(Change(old, wanted))

    async def make(self, wanted: DesiredPool, old: Pool | None) -> None:
        if old is None:
            if await self._try(_named(wanted.pool), lambda: self._editing.create_pool(wanted.pool)):
                self.changes.append(Change(None, wanted.pool))
            return
        new = wanted.over(old)
        if new == old:
            self.unchanged += 1
        elif await self._try(_named(new), lambda: self._editing.edit_pool(old, lambda _: new)):
            self.changes.append(Change(old, new))

    async def make_quotas(self, wanted: Sequence[Quota], *, prune: bool) -> None:
        """Create and change quotas, after the pools that they may name."""
        old_quotas, names = dict(self._editing.quotas), {quota.name for quota in wanted}
        for gone in [quota for name, quota in old_quotas.items() if prune and name not in names]:
            if await self._try(_named(gone), partial(self._editing.delete_quota, gone)):
                self.changes.append(Change(gone, None))
        for new in wanted:
            await self._make_quota(new, old_quotas.get(new.name))

    async def _make_quota(self, new: Quota, old: Quota | None) -> None:
        if old is not None and quota_document(old) == quota_document(new):
            self.unchanged += 1
        elif old is not None:
            if await self._try(_named(new), lambda: self._editing.edit_quota(old, lambda _: new)):
                self.changes.append(Change(old, new))
        elif await self._try(_named(new), lambda: self._editing.create_quota(new)):
            self.changes.append(Change(None, new))

    async def _try(self, what: str, step: Callable[[], Awaitable[object]]) -> bool:
        """Whether a step could be taken; the others are tried all the same, so that all refusals are told."""
        try:
            await step()
        except Unavailable:
            raise
        except DomainError as error:
            self.refusals.append(Refusal(what, error))
            return False
        return True


def _by_range(reservations: Iterable[Reservation]) -> dict[tuple[str, str], Reservation]:
    return {(each.space, str(each.addresses)): each for each in reservations}


def _same(wanted: Reservation, old: Reservation) -> bool:
    return replace(wanted, id=old.id, revision=old.revision) == old


def _named(entry: Stated) -> str:
    """An entry as people find it in their file."""
    if isinstance(entry, Quota):
        return f"quota {entry.name}"
    if isinstance(entry, Pool):
        return f"pool {entry.name}"
    return f"reservation {entry.addresses}" + (f" of space {entry.space}" if entry.space != "default" else "")
