"""Adoption: give containers the addresses that they already use.

A runtime keeps the results of its plugins on the node. They say who uses which address, whatever gave it:
another IPAM before ipamd, or ipamd itself before its database was restored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ipamd.backends.interface import Ledger
from ipamd.engine.allocation.allocator import Allocator
from ipamd.engine.allocation.call import AllocateCall, ReleaseCall
from ipamd.engine.allocation.call_order import frees
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation, Ending, NetworkNamespace, Workload, written
from ipamd.models.errors import AddressTaken, Unavailable
from ipamd.models.identity import Identity
from ipamd.models.issued import CallOrder, Issued
from ipamd.models.outcome import Outcome, Refused, Released
from ipamd.models.request import AllocationRequest, PrefixRequest, Release

BEFORE_EVERY_CALL: Final = CallOrder(0, 0)
"""Nobody knows when an attachment was made: every DEL that was carried out is later."""

WHAT_WAS_ADOPTED: Final = CallOrder(0, 1)
"""A release with this order frees what was adopted, and nothing that a call took or repeated since."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One interface of a container: the addresses and the prefix that it uses, and where it lives."""

    identity: Identity
    addresses: tuple[IPAddress, ...]
    workload: Workload = field(default_factory=Workload)
    boot: str | None = None
    netns: NetworkNamespace | None = None
    prefix: PrefixRequest | None = None

    @property
    def used(self) -> tuple[str, ...]:
        """All that it uses, as people read it."""
        prefix = self.prefix
        beside = () if prefix is None or prefix.first is None else (written(prefix.first, prefix.length),)
        return (*map(str, self.addresses), *beside)


class AdoptionOutcome(StrEnum):
    """What became of an attachment."""

    TAKEN = "taken"  # its addresses are its own from now on
    HELD = "held"  # they were before
    CONFLICT = "conflict"  # ipamd knows another holder, or other addresses of this one
    REFUSED = "refused"  # no holder like this one may have them
    OUTSIDE = "outside"  # no pool has any of them
    RELEASED = "released"  # it is gone, and what was taken over for it is free


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of an attachment, or would: `why` if it is not simply its own.

    `inside` are its addresses that a pool has, which are taken together or not at all; `outside` the others.
    `rival` is the allocation that stands in the way.
    """

    attachment: Attachment
    standing: AdoptionOutcome
    inside: tuple[IPAddress, ...]
    outside: tuple[IPAddress, ...]
    why: str | None = None
    rival: Allocation | None = None


class Adoption:
    """Gives containers the addresses that they already use. Releases them when the containers are gone."""

    def __init__(self, allocator: Allocator, ledger: Ledger, cache: CatalogueCache) -> None:
        self._allocator = allocator
        self._ledger = ledger
        self._cache = cache

    async def adopt(
        self, attachments: Sequence[Attachment], space: str, by: str | None, *, dry_run: bool
    ) -> list[Adopted]:
        """Give containers the addresses that they use already; a dry run takes nothing.

        Raises Unavailable: the same again goes on.
        """
        await self._cache.refresh()
        if dry_run:
            return [await self._adopt(each, space, by, self._allocator.dry_run_call) for each in attachments]
        calls = (self._adopt(each, space, by, self._allocator.submit_call) for each in attachments)
        return await asyncio.gather(*calls)

    async def disown(self, gone: Sequence[Identity], by: str | None, *, dry_run: bool) -> list[Adopted]:
        """Free what was adopted for containers that are gone, and nothing that a call of theirs was told of.

        Runtimes that delete a container by the configuration that it began with never tell ipamd of its end.
        Answers for those that had something; raises what stopped it.
        """
        freed = []
        for identity in gone:
            addresses = adopted_only(await self._ledger.held_by(identity.digest))
            if addresses and not dry_run:
                release = Release(digest=identity.digest, ending=Ending.COLLECTED, by=by)
                outcome = await self._allocator.submit_call(ReleaseCall(release, WHAT_WAS_ADOPTED, None))
                if isinstance(outcome, Refused):
                    raise outcome.error
                addresses = outcome.addresses if isinstance(outcome, Released) else ()
            if addresses:
                freed.append(
                    Adopted(Attachment(identity, addresses), AdoptionOutcome.RELEASED, addresses, ())
                )
        return freed

    async def _adopt(self, attachment: Attachment, space: str, by: str | None, decide: Decide) -> Adopted:
        catalogue = self._cache.catalogue
        inside = tuple(each for each in attachment.addresses if catalogue.pool_with(each, space) is not None)
        outside = tuple(each for each in attachment.addresses if each not in inside)
        prefix = attachment.prefix
        if prefix is not None and prefix.first is not None:
            prefix = prefix if catalogue.pool_with(prefix.first, space) is not None else None
        if not inside:
            why = f"{_joined(outside)} is in no pool of space {space}"
            return Adopted(attachment, AdoptionOutcome.OUTSIDE, inside, outside, why)
        held = await self._ledger.held_by(attachment.identity.digest)
        if held:
            return _compared(attachment, inside, outside, held)
        request = AllocationRequest(
            holder=attachment.identity,
            requested=inside,
            prefix=prefix,
            workload=attachment.workload,
            issued=Issued(attachment.boot, 0) if attachment.boot is not None else None,
            netns=attachment.netns,
            adopted_in=space,
            by=by,
        )
        call = AllocateCall(request, BEFORE_EVERY_CALL, request.digest, request.node_key)
        outcome = await decide(call)
        if not isinstance(outcome, Refused):
            return Adopted(attachment, AdoptionOutcome.TAKEN, inside, outside)
        error = outcome.error
        if isinstance(error, Unavailable):
            raise error
        if isinstance(error, AddressTaken):
            rival = await self._ledger.allocation(error.allocation) if error.allocation is not None else None
            return Adopted(attachment, AdoptionOutcome.CONFLICT, inside, outside, str(error), rival)
        return Adopted(attachment, AdoptionOutcome.REFUSED, inside, outside, str(error))


Decide = Callable[[AllocateCall], Awaitable[Outcome]]
"""Decides a call, for good or as a dry run."""


def _compared(
    attachment: Attachment,
    inside: tuple[IPAddress, ...],
    outside: tuple[IPAddress, ...],
    held: Sequence[Allocation],
) -> Adopted:
    """What is to be said of a holder that has something already."""
    own = [row.written for row in held]
    used = [each for each in attachment.used if each not in map(str, outside)]
    if set(used) <= set(own):
        return Adopted(attachment, AdoptionOutcome.HELD, inside, outside)
    why = f"the container uses {' and '.join(used)}, but ipamd gave it {' and '.join(own)}"
    return Adopted(attachment, AdoptionOutcome.CONFLICT, inside, outside, why, held[0])


def _joined(addresses: Sequence[IPAddress]) -> str:
    return " and ".join(map(str, addresses))


def adopted_only(held: Sequence[Allocation]) -> tuple[IPAddress, ...]:
    """What a holder has by adoption alone, no call of its own ever having been told of it."""
    return tuple(row.address for row in held if frees(WHAT_WAS_ADOPTED, undo=False, row=row))
