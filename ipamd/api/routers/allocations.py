"""Allocations: who has an address now, addresses for owners that are not containers, release by hand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import uuid4

import structlog
from fastapi import APIRouter, Header, Query, Response

from ipamd.api.paging import PageQuery, page
from ipamd.api.routers.access import Asker, CurrentCatalogue, Page, RowId, TheEngine
from ipamd.api.schemas.allocation import AllocationFilter, NewAllocation, ShownAllocation, document_of
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.address import AddressRange, IPAddress, parse_address
from ipamd.models.allocation import Allocation, Ending, Idempotency, Workload
from ipamd.models.errors import (
    AddressUnavailable,
    IdempotencyEnded,
    IdempotencyMismatch,
    InvalidValue,
    Unavailable,
)
from ipamd.models.host_address import why_no_host
from ipamd.models.identity import Owner, digest_of
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Refused
from ipamd.models.pool import DEFAULT_SPACE
from ipamd.models.query import AllocationQuery
from ipamd.models.request import AllocationRequest, Release
from ipamd.models.token import Principal

router = APIRouter(prefix="/v1/allocations", tags=["allocations"])
log = structlog.get_logger()

_KEY: Final = re.compile(r"[!-~]{1,255}")

IdempotencyKey = Annotated[
    str | None,
    Header(description="1 to 255 printable characters. The same key again answers as the first time did."),
]


class AllocationsQuery(AllocationFilter, PageQuery):
    """Which allocations, and which page of them."""


@router.get("", response_model=Page[ShownAllocation])
async def list_allocations(query: Annotated[AllocationsQuery, Query()], engine: TheEngine) -> dict[str, Any]:
    """List who has an address now, by address, in a namespace by name.

    `address` is of `space` (`default`).
    """
    given = query.model_dump(exclude={"limit", "cursor", "address"})
    address = parse_address(query.address) if query.address is not None else None
    wanted = AllocationQuery(**given, address=address)
    rows = await engine.queries.allocations(wanted, query.after_number(), query.limit + 1)
    return page(rows, query.limit, document_of, lambda row: row.stored_id)


@router.post("", status_code=HTTPStatus.CREATED)
async def allocate(
    body: NewAllocation,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    asker: Asker,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ShownAllocation:
    """Give an address to a VM, a device or a load balancer."""
    key = _Key(_checked(idempotency_key), body.fingerprint(), asker)
    allocation = await key.first_answer(engine)
    if allocation is None:
        allocation = await _allocate(body, key, engine, catalogue)
    response.headers["Location"] = f"/v1/allocations/{allocation.id}"
    return document_of(allocation)


@router.get("/{number}")
async def read_allocation(number: RowId, engine: TheEngine) -> ShownAllocation:
    """Show one allocation, live or ended."""
    return document_of(await engine.queries.allocation(number))


@router.delete("/{number}", status_code=HTTPStatus.NO_CONTENT)
async def release(number: RowId, engine: TheEngine, asker: Asker) -> None:
    """Release an address, whoever holds it. An allocation that has ended stays as it is."""
    row = await engine.queries.allocation(number)
    if row.until is not None:
        return
    outcome = await engine.submit(
        Release(
            digest=row.digest,
            ending=Ending.ADMIN,
            allocation=number,
            by=asker.name if asker is not None else None,
        )
    )
    if isinstance(outcome, Refused):
        raise outcome.error
    log.info("release", outcome="released by hand", allocation=number, address=str(row.address))


@dataclass(frozen=True, slots=True)
class _Key:
    """An `Idempotency-Key`, if there is one, and a fingerprint of its body."""

    key: str | None
    fingerprint: bytes
    asker: Principal | None

    @property
    def kept(self) -> str | None:
        """The key as it is stored, different for every token: no key contains a blank."""
        if self.key is None or self.asker is None:
            return self.key
        return f"{'file' if self.asker.token is None else self.asker.token} {self.key}"

    async def first_answer(self, engine: Engine) -> Allocation | None:
        """What this key got before, and its holder still has.

        Raises IdempotencyMismatch if it came with another body, IdempotencyEnded if that has ended.
        """
        if self.kept is None:
            return None
        row = await engine.queries.by_idempotency_key(self.kept)
        if row is not None:
            self.check(row)
            if row.until is not None:
                raise IdempotencyEnded(self.key or "", row.address, row.until)
        return row

    def check(self, row: Allocation) -> None:
        """Raise IdempotencyMismatch unless an allocation is what this key asked for."""
        if self.key is not None and (row.idempotency is None or row.idempotency.body != self.fingerprint):
            raise IdempotencyMismatch(
                f"the Idempotency-Key {self.key!r} came before with another body: use a new key"
            )

    def owner(self, name: str) -> Owner:
        """The holder. With a key a repeated request has the same one."""
        if self.kept is None:
            return Owner(name, uuid4().bytes)
        return Owner(name, digest_of("idempotency", self.kept))

    def value(self) -> Idempotency | None:
        return Idempotency(self.kept, self.fingerprint) if self.kept is not None else None


async def _allocate(body: NewAllocation, key: _Key, engine: Engine, catalogue: Catalogue) -> Allocation:
    holder = key.owner(body.owner)
    address = _of_a_host(parse_address(body.address)) if body.address is not None else None
    request = AllocationRequest(
        holder=holder,
        pool_names=((body.pool,) if body.pool is not None else _pools(body, catalogue),),
        requested=(address,) if address is not None else (),
        workload=Workload(body.namespace, body.name),
        idempotency=key.value(),
        node=NodeKey(body.cluster, body.node) if body.node is not None else None,
        by=key.asker.name if key.asker is not None else None,
    )
    outcome = await engine.submit(request)
    if isinstance(outcome, Refused):
        await key.first_answer(engine)  # it may have come to its end since it was looked up
        log.info("allocate", outcome=outcome.error.code, owner=body.owner, why=str(outcome.error))
        raise outcome.error
    rows = await engine.queries.held_by(holder.digest)
    if not rows:
        await key.first_answer(engine)
        raise Unavailable("the address was released again before it could be shown: ask once more")
    key.check(rows[0])
    log.info("allocate", outcome="granted", owner=body.owner, address=str(rows[0].address), pool=rows[0].pool)
    return rows[0]


def _of_a_host(address: IPAddress) -> IPAddress:
    """An address that a host may have; raises InvalidValue."""
    why = why_no_host(AddressRange(address, address))
    if why is not None:
        raise InvalidValue("address", why)
    return address


def _pools(body: NewAllocation, catalogue: Catalogue) -> tuple[str, ...]:
    """The pools for a request that names none: that of the address, else those of `space`.

    The first pool that has an address gives it: pools of higher priority come first, then by name.
    """
    in_space = [pool for pool in catalogue.pools.values() if pool.space == (body.space or DEFAULT_SPACE)]
    if body.address is not None:
        address = parse_address(body.address)
        found = tuple(pool.name for pool in in_space if address in pool.subnet)
        if not found:
            raise AddressUnavailable(address, f"no pool of space {body.space or DEFAULT_SPACE} has it")
        return found
    chosen = sorted(
        (pool for pool in in_space if pool.auto_assign), key=lambda pool: (-pool.priority, pool.name)
    )
    if not chosen:
        raise InvalidValue("pool", "no pool gives addresses unasked: name one")
    return tuple(pool.name for pool in chosen)


def _checked(key: str | None) -> str | None:
    if key is not None and _KEY.fullmatch(key) is None:
        raise InvalidValue("Idempotency-Key", "write 1 to 255 printable ASCII characters without spaces")
    return key
