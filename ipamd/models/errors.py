"""What can go wrong, named in the domain. Each edge maps these once: to CNI codes, to problem documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from ipamd.models.address import IPAddress
from ipamd.models.instant import Instant, rfc3339

MOST_REFUSALS: Final = 8
"""How many refusals one sentence names."""


class DomainError(Exception):
    """A request that changes nothing, and why. `str()` is a sentence that says what to do.

    `code` is stable: programs compare it, people search for it.
    """

    code: ClassVar[str]


class InvalidValue(DomainError):
    """A value of a request that cannot be meant: `field` names it as the caller wrote it."""

    code = "invalid"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class RequestTooLarge(DomainError):
    """A request beyond the limits of one transaction."""

    code = "too-large"


class PoolUnknown(DomainError):
    """A request names a pool that does not exist."""

    code = "pool-unknown"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no pool {name!r}: create it, or name another")
        self.name = name


class NotAllowed(DomainError):
    """A pool's selectors, or the caller's role, forbid it."""

    code = "not-allowed"


@dataclass(frozen=True, slots=True)
class Fullness:
    """How full a pool is, as a sentence says it. `ready_at`: when its next address has cooled down."""

    pool: str
    size: int
    allocated: int
    cooling: int
    reserved: int
    excluded: int
    draining: bool
    ready_at: Instant | None

    @property
    def free(self) -> int:
        return self.size - self.allocated - self.cooling - self.reserved - self.excluded

    def __str__(self) -> str:
        if self.draining:
            return f"pool {self.pool} is draining"
        text = f"pool {self.pool} has {self.allocated} of {self.size} allocated, {self.cooling} cooling down"
        for count, what in ((self.reserved, "reserved"), (self.excluded, "excluded")):
            text += f", {count} {what}" if count else ""
        if self.ready_at is not None and self.free <= 0:
            text += f", the next ready at {rfc3339(self.ready_at)}"
        return text


class NothingFree(DomainError):
    """No pool that may serve the request has an address ready; `why` says of each pool why not."""

    code = "nothing-free"

    def __init__(self, pools: tuple[str, ...], why: str = "") -> None:
        said = "no address is free" if pools else "no pool may serve this request"
        super().__init__(f"{said}: {why or ', '.join(pools) or 'there is none'}")
        self.pools = pools


class AddressTaken(DomainError):
    """A requested or reserved address is held by somebody else."""

    code = "address-taken"

    def __init__(
        self, space: str, address: IPAddress, by: str | None = None, allocation: int | None = None
    ) -> None:
        sentence = f"{address} is held by {by or 'another holder'}"
        if allocation is not None:
            sentence += f": release it with `ipamctl allocation release {allocation}` if that is wrong"
        super().__init__(sentence)
        self.space = space
        self.address = address
        self.by = by
        self.allocation = allocation


class AddressUnavailable(DomainError):
    """A requested address that this request cannot get, whoever holds it."""

    code = "address-unavailable"

    def __init__(self, address: IPAddress, why: str) -> None:
        super().__init__(f"{address} cannot be had: {why}")
        self.address = address


class Overtaken(DomainError):
    """A call that was issued before a release of the same holder that has been carried out."""

    code = "overtaken"

    def __init__(self) -> None:
        super().__init__("a later DEL of this container has been carried out: this ADD takes nothing")


class NotHeld(DomainError):
    """A check of a holder that has no address."""

    code = "not-held"


class Unavailable(DomainError):
    """ipamd cannot answer now; the same request may succeed later. `cause` is one word, for counting."""

    code = "unavailable"

    def __init__(self, why: str, cause: str = "other") -> None:
        super().__init__(why)
        self.cause = cause


class PoolExists(DomainError):
    """A pool is made with a name that is taken."""

    code = "pool-exists"


class PoolOverlaps(DomainError):
    """A pool would share addresses with another of its space."""

    code = "pool-overlaps"


class PoolInUse(DomainError):
    """A pool is deleted while addresses of it are held."""

    code = "pool-in-use"


class WouldStrand(DomainError):
    """A change would put held addresses outside what their pool may hand out."""

    code = "would-strand"


class ReservationConflicts(DomainError):
    """A reservation would share addresses with another, or with a holder that is not its own."""

    code = "reservation-conflicts"


class NodeJoined(DomainError):
    """Somebody wants to join as a node that is somebody else's: the proof is another."""

    code = "node-joined"

    def __init__(self, cluster: str, node: str) -> None:
        super().__init__(
            f"node {node} of cluster {cluster} has joined with another proof, or has a token already: "
            f"`ipamctl node forget {node} --cluster {cluster}` lets it join anew"
        )


class NotFound(DomainError):
    """Something is named that does not exist."""

    code = "not-found"

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"there is no {what} {name!r}")


class NodeAlive(DomainError):
    """What a node holds shall be taken from it, and it was heard from lately."""

    code = "node-alive"

    def __init__(self, name: str, heard: Instant) -> None:
        super().__init__(
            f"node {name!r} was heard from at {rfc3339(heard)}: its containers may be using their addresses; "
            "see that it is down, then say even_if_alive"
        )
        self.heard = heard


@dataclass(frozen=True, slots=True)
class Refusal:
    """One entry of a file that cannot be had: which, and why."""

    what: str
    error: DomainError

    def __str__(self) -> str:
        return f"{self.what}: {self.error}"


class NotApplied(DomainError):
    """A file of which something was refused; nothing of it was applied."""

    code = "not-applied"

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        more = len(refusals) - MOST_REFUSALS
        said = "; ".join(map(str, refusals[:MOST_REFUSALS])) + (f"; and {more} more" if more > 0 else "")
        super().__init__(f"nothing was applied: {said}")
        self.refusals = refusals


class StaleRevision(DomainError):
    """A change was made from a version of something that has changed since."""

    code = "stale"


class IdempotencyMismatch(DomainError):
    """An idempotency key comes again with another body."""

    code = "idempotency-mismatch"


class SchemaUnfit(DomainError):
    """The database's schema is not one that this ipamd can work on."""

    code = "schema-unfit"


class DatabaseUnfit(DomainError):
    """The database's address is wrong, or the database cannot be opened."""

    code = "database-unfit"
