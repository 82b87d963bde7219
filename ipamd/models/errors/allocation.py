"""Why somebody gets no address, or gives none back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ipamd.models.address import IPAddress
from ipamd.models.errors.domain_error import DomainError
from ipamd.models.instant import Instant, rfc3339
from ipamd.models.quota import Tally

MOST_NAMED: Final = 8
"""How many holds one sentence names."""


@dataclass(frozen=True, slots=True)
class Fullness:
    """How full a pool is. `str()` says it. `ready_at` is when its next address has cooled down.

    What is free may lie in other nodes' blocks: `lends` says that a node may have it all the same. `held` are
    left of these `holds`.
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
    held: int = 0
    holds: tuple[str, ...] = ()

    @property
    def free(self) -> int:
        held = self.allocated + self.leased + self.held
        return self.size - held - self.cooling - self.reserved - self.excluded

    def __str__(self) -> str:
        if self.draining:
            return f"pool {self.pool} is draining"
        text = f"pool {self.pool} has {self.allocated} of {self.size} allocated, {self.cooling} cooling down"
        for count, what in (
            (self.leased, "held in advance by nodes"),
            (self.held, f"kept for others by {' and '.join(self.holds[:MOST_NAMED])}"),
            (self.reserved, "reserved"),
            (self.excluded, "excluded"),
        ):
            text += f", {count} {what}" if count else ""
        if self.free > 0 and not self.lends:
            text += ", and lends nothing out of other nodes' blocks (its borrow is false)"
        if self.ready_at is not None and self.free <= 0:
            text += f", the next ready at {rfc3339(self.ready_at)}"
        return text


class QuotaExceeded(DomainError):
    """A quota allows no more addresses to whom a request is for, or none that count as `weight`.

    It is the strictest of the quotas that refuse: `used_up` are the tallies of all of them.
    """

    code = "quota-exceeded"

    def __init__(
        self, tally: Tally, limit: int, used: int, weight: int = 1, used_up: tuple[Tally, ...] = ()
    ) -> None:
        prefix = f", and the prefix counts as {weight}" if weight > 1 else ""
        super().__init__(
            f"quota {tally.quota} allows {limit} IPv{tally.family} address{'' if limit == 1 else 'es'} for "
            f"{tally.whose}, and {used} {'is' if used == 1 else 'are'} used{prefix}: release what is not "
            f"needed, or raise the limit (`ipamctl quota edit {tally.quota} --limit NUMBER`)"
        )
        self.limit = limit
        self.used = used
        self.used_up = used_up or (tally,)


class NothingFree(DomainError):
    """No pool that may serve the request has an address ready. `why` gives the reason for each pool.

    With a `prefix_length` it is a prefix that none has as a whole. `closed_by` is the quota that closes the
    other pools.
    """

    code = "nothing-free"

    def __init__(
        self,
        pools: tuple[str, ...],
        why: str = "",
        prefix_length: int | None = None,
        closed_by: QuotaExceeded | None = None,
    ) -> None:
        lacking = "no address is free" if prefix_length is None else f"no /{prefix_length} is free as a whole"
        said = lacking if pools else "no pool may serve this request"
        beside = f"; {closed_by}" if closed_by is not None else ""
        super().__init__(f"{said}: {why or ', '.join(pools) or 'there is none'}{beside}")
        self.pools = pools
        self.prefix_length = prefix_length
        self.closed_by = closed_by


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


class HeldBack(DomainError):
    """An address that is to be released is what is left of a hold."""

    code = "held-back"

    def __init__(self, address: IPAddress, hold: str) -> None:
        super().__init__(
            f"{address} is left of {hold}, and no workload has it: give back all that is left with "
            "`ipamctl hold release`"
        )


class AddressUnavailable(DomainError):
    """The requested address is not available to this request, whoever holds it.

    `until` is when it will be, if that is known.
    """

    code = "address-unavailable"

    def __init__(self, address: IPAddress, why: str, until: Instant | None = None) -> None:
        super().__init__(f"{address} is not available: {why}")
        self.address = address
        self.until = until


class Overtaken(DomainError):
    """A call was issued before a release of the same holder, and the release has been carried out."""

    code = "overtaken"

    def __init__(self) -> None:
        super().__init__("a later DEL of this container was carried out first: this ADD takes nothing")


class NotHeld(DomainError):
    """A checked holder has no address."""

    code = "not-held"


class SeveralWorkloads(DomainError):
    """A workload that is to be released by its name is several: the name was used again."""

    code = "several-workloads"

    def __init__(self, name: str, lives: Sequence[str]) -> None:
        super().__init__(
            f"{name} is the name of {len(lives)} workloads that hold addresses: name one by its UID and "
            f"cluster ({', '.join(lives)})"
        )
