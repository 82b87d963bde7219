"""Owners' addresses whose rows contradict those of their holders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ipamd.backends.interface import HeldAddress, Ledger
from ipamd.engine.inspection.row_findings import about
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.finding import Finding, FindingKind


async def owner_findings(rows: Iterable[Allocation], ledger: Ledger) -> list[Finding]:
    """What contradicts what at the addresses of some rows, read as of one moment. Raises Unavailable."""
    places = {
        HeldAddress(row.space, row.address): None
        for row in rows
        if row.until is None and (row.slot or row.is_of_owner)
    }
    found: dict[HeldAddress, list[Allocation]] = {}
    for row in await ledger.of_addresses(list(places)) if places else ():
        found.setdefault(HeldAddress(row.space, row.address), []).append(row)
    return [finding for at_place in found.values() for finding in contradictions(at_place)]


async def held_without_owner(found: Iterable[Finding], ledger: Ledger) -> set[IPAddress]:
    """The addresses that only holders of a missing owner have, of those that a block keeps for nobody."""
    kept = [
        HeldAddress(each.space, each.address)
        for each in found
        if each.kind is FindingKind.HELD_WITHOUT_ALLOCATION and each.space and each.address
    ]
    return {row.address for row in await ledger.of_addresses(kept)} if kept else set()


def contradictions(rows: Sequence[Allocation]) -> Iterator[Finding]:
    """What is wrong with the live rows of one address."""
    holders = [row for row in rows if row.slot]
    owner = next((row for row in rows if not row.slot), None)
    if owner is None or not owner.is_of_owner:
        for holder in holders:
            has = "nobody has it" if owner is None else f"{owner.held_by} has it"
            what = f"{holder.address} is held by {holder.held_by} for owner {holder.held_for}, but {has}"
            yield about(holder, FindingKind.HOLDER_WITHOUT_OWNER, what)
        return
    for holder in holders:
        if _owner_of(holder) != _owner_of(owner):
            what = (
                f"{holder.address} is held by {holder.held_by} for owner {holder.held_for}, but "
                f"{owner.held_by} has it"
            )
            yield about(holder, FindingKind.HOLDER_WITHOUT_OWNER, what)
    if holders and owner.away_since is not None:
        what = f"{owner.held_by} is away according to its row, but {holders[0].held_by} holds {owner.address}"
        yield about(owner, FindingKind.OWNER_HOLDERS, what)
    if not holders and owner.away_since is None:
        what = f"{owner.held_by} has a holder of {owner.address} according to its row, but nobody holds it"
        yield about(owner, FindingKind.OWNER_HOLDERS, what)


def _owner_of(row: Allocation) -> tuple[str | None, str | None, str | None]:
    """The owner of a row: its cluster, namespace and name."""
    return row.holder.cluster, row.workload.namespace, row.owner_name
