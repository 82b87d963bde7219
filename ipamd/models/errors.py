"""The errors of the domain. Each edge maps them once: to CNI codes, to problem documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from ipamd.models.address import IPAddress
from ipamd.models.instant import Instant, rfc3339

MOST_REFUSALS: Final = 8
"""How many refusals one sentence names."""


class DomainError(Exception):
    """Why a request changes nothing. `str()` is a sentence that says what is wrong and what to do.

    `code` never changes: programs compare it, people search for it.
    """

    code: ClassVar[str]


class InvalidValue(DomainError):
    """A value of a request is invalid. `field` names it as the caller wrote it."""

    code = "invalid"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class RequestTooLarge(DomainError):
    """A request exceeds the limits of one transaction."""

    code = "too-large"


class PoolUnknown(DomainError):
    """A request names a pool that does not exist."""

    code = "pool-unknown"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no pool {name!r}: create it, or name another")
        self.name = name


class NotAllowed(DomainError):
    """The selectors of a pool or the role of the caller forbid the request."""

    code = "not-allowed"


@dataclass(frozen=True, slots=True)
class Fullness:
    """How full a pool is. `str()` says it. `ready_at` is when its next address has cooled down.

    What is free may lie in other nodes' blocks: `lends` says that a node may have it all the same.
    """

    pool: str
    size: int
    allocated: int
    cooling: int
    reserved: int
    excluded: int
    draining: bool
    ready_at: Instant | None
    lends: bool = True
    leased: int = 0

    @property
    def free(self) -> int:
        return self.size - self.allocated - self.leased - self.cooling - self.reserved - self.excluded

    def __str__(self) -> str:
        if self.draining:
            return f"pool {self.pool} is draining"
        text = f"pool {self.pool} has {self.allocated} of {self.size} allocated, {self.cooling} cooling down"
        for count, what in (
            (self.leased, "held in advance by nodes"),
            (self.reserved, "reserved"),
            (self.excluded, "excluded"),
        ):
            text += f", {count} {what}" if count else ""
        if self.free > 0 and not self.lends:
            text += ", and lends nothing out of other nodes' blocks (its borrow is false)"
        if self.ready_at is not None and self.free <= 0:
            text += f", the next ready at {rfc3339(self.ready_at)}"
        return text


class NothingFree(DomainError):
    """No pool that may serve the request has an address ready. `why` gives the reason for each pool."""

    code = "nothing-free"

    def __init__(self, pools: tuple[str, ...], why: str = "") -> None:
        said = "no address is free" if pools else "no pool may serve this request"
        super().__init__(f"{said}: {why or ', '.join(pools) or 'there is none'}")
        self.pools = pools


class QuotaExceeded(DomainError):
    """A quota allows no more addresses to whom a request is for."""

    code = "quota-exceeded"

    def __init__(self, quota: str, limit: int, used: int, family: int, whose: str) -> None:
        super().__init__(
            f"quota {quota} allows {limit} IPv{family} address{'' if limit == 1 else 'es'} for {whose}, and "
            f"{used} {'is' if used == 1 else 'are'} used: release what is not needed, or raise the limit "
            f"(`ipamctl quota edit {quota} --limit NUMBER`)"
        )
        self.quota = quota
        self.limit = limit
        self.used = used


class AddressTaken(DomainError):
    """Somebody else holds the requested or reserved address; `reserved` names the reservation."""

    code = "address-taken"

    def __init__(
        self,
        space: str,
        address: IPAddress,
        by: str | None = None,
        allocation: int | None = None,
        reserved: str | None = None,
    ) -> None:
        sentence = f"{address} is held by {by or 'another holder'}"
        if allocation is not None:
            sentence += f": if that is wrong, release it with `ipamctl allocation release {allocation}`"
        super().__init__(sentence if reserved is None else f"{sentence}; {reserved}")
        self.space = space
        self.address = address
        self.by = by
        self.allocation = allocation
        self.reserved = reserved


class OwnerFull(DomainError):
    """An owner's address has as many living holders as it may have."""

    code = "owner-full"

    def __init__(self, owner: str, address: IPAddress, holders: Sequence[str]) -> None:
        super().__init__(
            f"{owner} has {address}, and it is held by {' and by '.join(holders)}: one of them must end first"
        )
        self.address = address


class OwnerHeld(DomainError):
    """An owner shall lose an address that somebody holds."""

    code = "owner-held"

    def __init__(self, owner: str, address: IPAddress, holders: Sequence[str]) -> None:
        super().__init__(
            f"{owner} has {address}, and it is held by {' and by '.join(holders)}: end them first, or "
            "release the owner with its holders (`ipamctl owner release --holders`)"
        )
        self.address = address


class AddressUnavailable(DomainError):
    """The requested address is not available to this request, whoever holds it."""

    code = "address-unavailable"

    def __init__(self, address: IPAddress, why: str) -> None:
        super().__init__(f"{address} is not available: {why}")
        self.address = address


class Overtaken(DomainError):
    """A call was issued before a release of the same holder, and the release has been carried out."""

    code = "overtaken"

    def __init__(self) -> None:
        super().__init__("a later DEL of this container was carried out first: this ADD takes nothing")


class NotHeld(DomainError):
    """A checked holder has no address."""

    code = "not-held"


class Unavailable(DomainError):
    """ipamd cannot answer now; the same request may succeed later. `cause` is one word, for metrics."""

    code = "unavailable"

    def __init__(self, why: str, cause: str = "other") -> None:
        super().__init__(why)
        self.cause = cause


class PoolExists(DomainError):
    """A pool with this name exists already."""

    code = "pool-exists"


class QuotaExists(DomainError):
    """A quota with this name exists already."""

    code = "quota-exists"


class PoolOverlaps(DomainError):
    """A pool would overlap another pool of its space."""

    code = "pool-overlaps"


class PoolInUse(DomainError):
    """A pool cannot be deleted: some of its addresses are held, or a quota is for it alone."""

    code = "pool-in-use"


class WouldStrand(DomainError):
    """After a change a pool could no longer give addresses that are held."""

    code = "would-strand"


class ReservationConflicts(DomainError):
    """A reservation overlaps another or an address that somebody else holds, or its pool gives none of it."""

    code = "reservation-conflicts"


class NodeJoined(DomainError):
    """A node joined under this name with another proof."""

    code = "node-joined"

    def __init__(self, cluster: str, node: str) -> None:
        super().__init__(
            f"node {node} of cluster {cluster} has joined with another proof or has a token: to let it join "
            f"again, run `ipamctl node forget {node} --cluster {cluster}`"
        )


class NodeShutOut(DomainError):
    """An admin revoked the last token of a node, which wants to join again."""

    code = "node-shut-out"

    def __init__(self, cluster: str, node: str) -> None:
        super().__init__(
            f"an admin revoked the token of node {node} of cluster {cluster}, so it stays out: to let it "
            f"join again, run `ipamctl node forget {node} --cluster {cluster}`"
        )


class NodeNameTaken(DomainError):
    """Another machine that lives takes part in the pod network under this name."""

    code = "node-name-taken"

    def __init__(self, cluster: str, node: str, known: str, machine: str) -> None:
        super().__init__(
            f"machine {known} takes part as node {node} of cluster {cluster}, and machine {machine} wants "
            "the same name: give one of them another name, or stop the first for two minutes"
        )


class NodeAddressTaken(DomainError):
    """Another node that lives takes part in the pod network with this address."""

    code = "node-address-taken"

    def __init__(self, address: IPAddress, node: str, other: str) -> None:
        super().__init__(
            f"node {node} publishes {address}, which is the address of node {other}: give each an address of "
            "its own, or stop the other for two minutes"
        )


class NetworkChangesTooOld(DomainError):
    """Changes of a pod network are asked for after a number from which they are not known."""

    code = "network-changes-too-old"

    def __init__(self, after: int, number: int) -> None:
        super().__init__(
            f"the changes after {after} are not known any more (the latest is {number}): read all again, by "
            "GET /v1/network"
        )


class NotFound(DomainError):
    """A request names something that does not exist."""

    code = "not-found"

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"there is no {what} {name!r}")


class NodeAlive(DomainError):
    """A node whose addresses are to be released called not long ago."""

    code = "node-alive"

    def __init__(self, name: str, heard: Instant) -> None:
        super().__init__(
            f"node {name!r} called at {rfc3339(heard)}, and its containers may still use their addresses: "
            "make sure that it is down, then set even_if_alive"
        )
        self.heard = heard


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused entry of a file, and why."""

    what: str
    error: DomainError

    def __str__(self) -> str:
        return f"{self.what}: {self.error}"


class NotApplied(DomainError):
    """A part of a file was refused, so nothing of it was applied."""

    code = "not-applied"

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        more = len(refusals) - MOST_REFUSALS
        said = "; ".join(map(str, refusals[:MOST_REFUSALS])) + (f"; and {more} more" if more > 0 else "")
        super().__init__(f"nothing was applied: {said}")
        self.refusals = refusals


class RequestDecided(DomainError):
    """A request was approved or refused before, or is being approved."""

    code = "request-decided"


class TooManyRequests(DomainError):
    """Too many requests wait for an admin."""

    code = "too-many-requests"


class StaleRevision(DomainError):
    """Something has changed since the caller read it."""

    code = "stale"


class IdempotencyMismatch(DomainError):
    """An idempotency key comes again with another body."""

    code = "idempotency-mismatch"


class IdempotencyEnded(DomainError):
    """An idempotency key comes again, and what it gave is not the holder's any more."""

    code = "idempotency-ended"

    def __init__(self, key: str, address: IPAddress, until: Instant) -> None:
        super().__init__(
            f"the Idempotency-Key {key!r} gave {address}, which ended at {rfc3339(until)}: use a new key"
        )


class SchemaUnfit(DomainError):
    """The schema of the database does not fit this ipamd."""

    code = "schema-unfit"


class DatabaseUnfit(DomainError):
    """The database's address is wrong, or the database cannot be opened."""

    code = "database-unfit"


class LeaseOver(DomainError):
    """The epoch of a node's lease is over: its store is closed, and it asks anew."""

    code = "lease-over"

    def __init__(self, node: str) -> None:
        super().__init__(
            f"the lease of node {node} was fenced, or its database was put back: close the store, and ask "
            "without an epoch"
        )


class LeaseSuperseded(DomainError):
    """Another machine has the lease of a node's name."""

    code = "lease-superseded"

    def __init__(self, node: str, machine: str, other: str) -> None:
        super().__init__(
            f"machine {other} has the lease of node {node}, and this is machine {machine}: if that one is "
            f"gone, run `ipamctl node release {node} --why REASON`; if it lives, give the nodes "
            "different names"
        )


class LeaseSettling(DomainError):
    """A new boot or store asks for a lease, and the present one may still live."""

    code = "lease-settling"

    def __init__(self, node: str, seconds: int) -> None:
        super().__init__(
            f"the lease of node {node} belongs to another boot or store, which may still live: ask again in "
            f"{seconds} seconds"
        )
        self.seconds = seconds


class SeveralWorkloads(DomainError):
    """A workload that is to be released by its name is several: the name was used again."""

    code = "several-workloads"

    def __init__(self, name: str, lives: Sequence[str]) -> None:
        super().__init__(
            f"{name} is the name of {len(lives)} workloads that hold addresses: name one by its UID and "
            f"cluster ({', '.join(lives)})"
        )


class CensusSettling(DomainError):
    """Another boot speaks for a node, and the present one may still live."""

    code = "census-settling"

    def __init__(self, node: str, seconds: int) -> None:
        super().__init__(
            f"another boot has spoken for node {node}, and may still live: speak again in {seconds} seconds"
        )
        self.seconds = seconds


class CensusTooOften(DomainError):
    """The agent of a node speaks again and again."""

    code = "census-too-often"

    def __init__(self, node: str, seconds: int) -> None:
        super().__init__(f"the agent of node {node} speaks too often: speak again in {seconds} seconds")
        self.seconds = seconds


class CensusSuperseded(DomainError):
    """Another machine speaks for a node."""

    code = "census-superseded"

    def __init__(self, node: str, machine: str, other: str) -> None:
        super().__init__(
            f"machine {other} speaks for node {node}, and this is machine {machine}: if that one is gone, "
            f"run `ipamctl node release {node} --why REASON`; if it lives, give the nodes different names"
        )


class ReportGap(DomainError):
    """A report of a node's events begins after the one that is wanted."""

    code = "report-gap"

    def __init__(self, wanted: int) -> None:
        super().__init__(f"the next event is number {wanted}: report from there on")
        self.wanted = wanted


class SeatLeased(DomainError):
    """An address that is to be released is a free seat of a node's lease."""

    code = "seat-leased"

    def __init__(self, address: IPAddress, seat: str) -> None:
        super().__init__(
            f"{address} is held in advance ({seat}), by a node that may give it at any moment: take it back "
            "with `ipamctl lease recall`"
        )


class NodeHoldsSeats(DomainError):
    """A node that is to be forgotten holds addresses in advance, which nobody else would get any more."""

    code = "node-holds-seats"

    def __init__(self, node: str, seats: int) -> None:
        super().__init__(
            f"node {node} holds {seats} seats in advance: if it is off, first run `ipamctl node release "
            f"{node} --why REASON`; if it comes back to them, add --keep-lease"
        )


class NodeMayGive(DomainError):
    """A node that is to be released may still give addresses of its lease."""

    code = "node-may-give"

    def __init__(self, node: str, until: Instant) -> None:
        super().__init__(
            f"node {node} may give addresses of its lease until {rfc3339(until)}: release it then, or with "
            "--even-if-alive if it is surely off"
        )
        self.until = until


class NodeDraining(DomainError):
    """An address is asked for by a container of a node that gets nothing new."""

    code = "node-draining"

    def __init__(self, cluster: str, node: str) -> None:
        super().__init__(
            f"node {node} of cluster {cluster} is draining, so its containers get nothing new: run "
            f"`ipamctl node undrain {node} --cluster {cluster}`, or begin the container on another node"
        )
