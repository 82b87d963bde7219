"""The requests to the engine."""

from __future__ import annotations

from msgspec import Struct

from ipamd.models.address import IPAddress
from ipamd.models.allocation import Ending, Idempotency, NetworkNamespace, Workload
from ipamd.models.identity import Digest, Holder, Identity, Owner
from ipamd.models.instant import Instant
from ipamd.models.issued import Issued
from ipamd.models.lease import SeatKey
from ipamd.models.node import NodeKey

PoolNames = tuple[tuple[str, ...], ...]
"""The pools that a request names: one entry for each address, each with its alternatives in order."""


class SeatRequest(Struct, frozen=True):
    """A seat of a node's lease that gets addresses, under an epoch. The rest is as in `Seat`."""

    seat: SeatKey
    epoch: int
    key: str
    configuration: Digest
    network: str


class PrefixRequest(Struct, frozen=True):
    """A prefix of a length: from the first of these pools that has one, or this very one.

    Without pools it is one out of the pools that the request's addresses come from. `alone`: the holder
    gets the prefix and no addresses beside it.
    """

    length: int
    pools: tuple[str, ...] = ()
    first: IPAddress | None = None
    alone: bool = False


class LeftToOthers(Struct, frozen=True):
    """What those wait for who came before a request: it takes nothing out of these pools and holds.

    Out of another hold of such a pool it may take.
    """

    pools: tuple[str, ...]
    holds: tuple[str, ...]


class AllocationRequest(Struct, frozen=True, kw_only=True):
    """Addresses for one holder: all of them, or none.

    Each entry of `pool_names` asks for one address, from the first of its pools that has one. Without
    `pool_names` selectors choose, one address for each family. `requested` are addresses that the holder must
    get. `timeout` is how many seconds the caller waits. `by` is the principal if an admin asks.
    """

    holder: Holder
    pool_names: PoolNames = ()
    requested: tuple[IPAddress, ...] = ()
    workload: Workload = Workload()
    issued: Issued | None = None
    netns: NetworkNamespace | None = None
    idempotency: Idempotency | None = None
    node: NodeKey | None = None
    """For an `Owner`: on whose behalf selectors and affinity are read. An `Identity` names its own."""
    timeout: float = 10.0
    by: str | None = None
    adopted_in: str | None = None
    """A space in which the holder uses `requested` already: the pools that have them give them to it,
    whatever their selectors, `auto_assign` and state say of new ones."""
    seat: SeatRequest | None = None
    """What the addresses are for, if a node is to hold them in advance."""
    for_owner: Owner | None = None
    """The owner whom the workload names: the addresses are the owner's. It may be the `holder` itself."""
    prefix: PrefixRequest | None = None
    """A prefix that the holder gets too, behind its addresses."""

    hold: str | None = None
    """The name of the hold that is filled: it is the `holder`, and says itself what it gets."""
    left: LeftToOthers | None = None
    """What it leaves to others who wait."""

    @property
    def digest(self) -> Digest:
        return self.holder.digest

    @property
    def node_key(self) -> NodeKey | None:
        return self.holder.node_key if isinstance(self.holder, Identity) else self.node

    @property
    def owner(self) -> str | None:
        """The name of an owner that is the holder, but of one whom workloads name: anybody could."""
        return self.holder.name if isinstance(self.holder, Owner) and self.for_owner is None else None


class Release(Struct, frozen=True, kw_only=True):
    """The release of what a holder has.

    With `undo` it frees only what the ADD with this very `issued` took, and only if nobody has repeated it
    since. `delivered` is the moment when a spooled release is delivered. `allocation` restricts it to one
    row, `generation` to rows of which nobody was told since. `issued` orders the calls of `node`. `seat` is
    one that goes back to the pool, unless a container has it, or its lease has another `epoch`. With
    `away_since` an owner loses only what nobody has held since this very moment, if its pool keeps it no
    longer. `by` is the principal if an admin releases, and `reason` is why.
    """

    digest: Digest
    node: NodeKey | None = None
    issued: Issued | None = None
    delivered: Issued | None = None
    undo: bool = False
    ending: Ending = Ending.RELEASED
    allocation: int | None = None
    generation: int | None = None
    seat: SeatKey | None = None
    epoch: int | None = None
    away_since: Instant | None = None
    timeout: float = 10.0
    by: str | None = None
    reason: str | None = None
