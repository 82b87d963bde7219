"""Give many owners the addresses that a table names: all are tried before the first is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ipamd.api.owner_allocation import AllocationKey, allocate_for_owner, try_for_owner
from ipamd.api.schemas.allocation import NewAllocation
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.address import parse_address
from ipamd.models.errors import DomainError, NotApplied, Refusal, Unavailable
from ipamd.models.identity import Owner
from ipamd.models.query import AllocationQuery

MOST_REFUSED: Final = 100
"""After so many refusals no more rows are tried."""


async def give(
    wanted: Sequence[NewAllocation], engine: Engine, catalogue: Catalogue, by: str | None, *, dry_run: bool
) -> tuple[Sequence[NewAllocation], int]:
    """What was given, and how many owners had theirs already. Raises NotApplied.

    Rows are given one after another. If somebody takes one of the addresses in between, the refusal of that
    row is raised: those before it are given then, and the same table again says what is with the others.
    """
    lacking = [body for body in wanted if not await _has_it(body, engine)]
    refusals: list[Refusal] = []
    for body in lacking:
        try:
            await try_for_owner(body, engine, catalogue)
        except Unavailable:
            raise
        except DomainError as why:
            refusals.append(Refusal(f"{body.address} for {body.owner}", why))
            if len(refusals) == MOST_REFUSED:
                break
    if refusals:
        raise NotApplied(tuple(refusals))
    for body in () if dry_run else lacking:
        await allocate_for_owner(body, AllocationKey(None, body.fingerprint()), engine, catalogue, by)
    return lacking, len(wanted) - len(lacking)


async def _has_it(body: NewAllocation, engine: Engine) -> bool:
    query = AllocationQuery(address=parse_address(body.address or ""), space=body.space)
    rows = await engine.queries.allocations(query, None, 1)
    asked = query.address, body.prefix_length, body.owner
    return any(
        isinstance(row.holder, Owner) and (row.address, row.prefix_length, row.holder.name) == asked
        for row in rows
    )
