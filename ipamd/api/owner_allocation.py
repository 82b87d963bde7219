"""An address for an owner that is no container, and the key under which a repeated request gets the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import structlog
from msgspec import structs

from ipamd.api.schemas.allocation import NewAllocation
from ipamd.api.waiting import NO_WAIT, Wait
from ipamd.engine.allocation.owners import OwnerKey
from ipamd.engine.allocation.prefixes import of_families, pools_beside
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.address import AddressRange, IPAddress, parse_address
from ipamd.models.allocation import Allocation, Idempotency, Workload
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
from ipamd.models.pool import DEFAULT_SPACE, Pool
from ipamd.models.request import AllocationRequest, PrefixRequest
from ipamd.models.token import Principal

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AllocationKey:
    """An `Idempotency-Key`, if there is one, and a fingerprint of its body. `whose` tells keys apart."""

    key: str | None
    fingerprint: bytes
    whose: str | None = None

    @classmethod
    def of_asker(cls, key: str | None, fingerprint: bytes, asker: Principal | None) -> AllocationKey:
        """A key that a principal sent: each token has keys of its own."""
        if asker is None:
            return cls(key, fingerprint)
        return cls(key, fingerprint, "file" if asker.token is None else str(asker.token))

    @property
    def kept(self) -> str | None:
        """The key as it is stored. No key contains a blank."""
        if self.key is None or self.whose is None:
            return self.key
        return f"{self.whose} {self.key}"

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


async def allocate_for_owner(
    body: NewAllocation,
    key: AllocationKey,
    engine: Engine,
    catalogue: Catalogue,
    by: str | None,
    wait: Wait = NO_WAIT,
) -> Allocation:
    """Give an owner an address. Raises what the engine refuses with, and IdempotencyEnded."""
    holder = key.owner(body.owner)
    outcome = await wait.outcome(partial(_request, body, holder, key, by), engine, catalogue)
    if isinstance(outcome, Refused):
        await key.first_answer(engine)  # it may have come to its end since it was looked up
        log.info("allocate", outcome=outcome.error.code, owner=body.owner, why=str(outcome.error))
        raise outcome.error
    rows = await engine.queries.held_by(holder.digest)
    if not rows:
        await key.first_answer(engine)
        raise Unavailable("the address was released again before it could be shown: ask once more")
    key.check(rows[0])
    log.info("allocate", outcome="granted", owner=body.owner, address=rows[0].written, pool=rows[0].pool)
    return rows[0]


async def allocate_for_named_owner(
    key: OwnerKey, body: NewAllocation, engine: Engine, catalogue: Catalogue, by: str | None, wait: Wait
) -> None:
    """Give an owner whom workloads name an address, unless it has one there.

    Raises what the engine refuses with.
    """
    holder = key.owner

    def make(catalogue: Catalogue) -> AllocationRequest:
        plain = _request(body, holder, AllocationKey(None, b""), by, catalogue)
        return structs.replace(plain, for_owner=holder)

    outcome = await wait.outcome(make, engine, catalogue)
    if isinstance(outcome, Refused):
        log.info("owner", outcome=outcome.error.code, owner=body.owner, why=str(outcome.error))
        raise outcome.error
    log.info("owner", outcome="granted", owner=body.owner, namespace=body.namespace)


async def try_for_owner(body: NewAllocation, engine: Engine, catalogue: Catalogue) -> None:
    """Raise what an owner would be refused with. Nothing is taken."""
    key = AllocationKey(None, body.fingerprint())
    outcome = await engine.allocator.dry_run(_request(body, key.owner(body.owner), key, None, catalogue))
    if isinstance(outcome, Refused):
        raise outcome.error


def _request(
    body: NewAllocation, holder: Owner, key: AllocationKey, by: str | None, catalogue: Catalogue
) -> AllocationRequest:
    """What an owner asks the engine for. Raises InvalidValue, AddressUnavailable."""
    address = _of_a_host(parse_address(body.address)) if body.address is not None else None
    pools = (body.pool,) if body.pool is not None else _pools(body, catalogue)
    length = body.prefix_length
    return AllocationRequest(
        holder=holder,
        pool_names=(pools,),
        requested=(address,) if address is not None and length is None else (),
        prefix=PrefixRequest(length, pools, address, alone=True) if length is not None else None,
        workload=Workload(body.namespace, body.name),
        idempotency=key.value(),
        node=NodeKey(body.cluster, body.node) if body.node is not None else None,
        by=by,
    )


def _of_a_host(address: IPAddress) -> IPAddress:
    """An address that a host may have; raises InvalidValue."""
    why = why_no_host(AddressRange(address, address))
    if why is not None:
        raise InvalidValue("address", why)
    return address


def _gives(pool: Pool, prefix_length: int | None) -> bool:
    """Whether a pool gives what is asked for: a pool of prefixes gives no addresses."""
    return prefix_length is not None or pool.prefix_length is None


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
        (pool for pool in in_space if pool.auto_assign and _gives(pool, body.prefix_length)),
        key=lambda pool: (-pool.priority, pool.name),
    )
    if not chosen:
        raise InvalidValue("pool", "no pool gives addresses unasked: name one")
    if body.prefix_length is not None:
        chosen = list(pools_beside(body.prefix_length, of_families(chosen)))
    return tuple(pool.name for pool in chosen)
