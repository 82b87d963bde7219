"""Records what a change does to the catalogue, for the change log, so that no change can forget it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence, Set

from ipamd.backends.interface import CatalogueChange
from ipamd.engine.administration.description import described
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Entry, Removable, Snapshot
from ipamd.models.change_log import LogEntry
from ipamd.models.change_request import ChangeRequest
from ipamd.models.hold import Hold, HoldState
from ipamd.models.instant import Instant
from ipamd.models.node import Boot, Node, NodeKey
from ipamd.models.pod_network import Announced, PodNetwork
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation
from ipamd.models.restoration import Restoration
from ipamd.models.token import Token


class RecordedChange:
    """See `CatalogueChange`. What is saved and removed is noted beside it, and `flush` logs it."""

    def __init__(self, catalogue: CatalogueChange, at: Instant, by: str) -> None:
        self._catalogue = catalogue
        self._at = at
        self._by = by
        self._known = Snapshot()
        self._before: dict[Hashable, Entry | None] = {}
        self._after: dict[Hashable, Entry | None] = {}

    async def flush(self) -> None:
        """Log what differs from before this change."""
        entries = [self._entry(self._before[place], after) for place, after in self._after.items()]
        self._before.clear()
        self._after.clear()
        await self._catalogue.log([entry for entry in entries if entry is not None])

    def _entry(self, before: Entry | None, after: Entry | None) -> LogEntry | None:
        old = described(before) if before is not None and _stands(before) else None
        new = described(after) if after is not None and _stands(after) else None
        about = new or old
        if about is None or old == new:
            return None
        return LogEntry(
            at=self._at,
            by=self._by,
            kind=about.kind,
            name=about.name,
            before=old.description if old is not None else None,
            after=new.description if new is not None else None,
        )

    def _note(self, entry: Entry, after: Entry | None) -> None:
        place = _place_of(entry)
        self._before.setdefault(place, _known_as(entry, self._known))
        self._after[place] = after

    async def raise_revision(self, by: int = 1) -> int:
        return await self._catalogue.raise_revision(by)

    async def load(self, known: Snapshot) -> Snapshot:
        self._known = await self._catalogue.load(known)
        return self._known

    async def save(self, entry: Entry) -> None:
        self._note(entry, entry)
        await self._catalogue.save(entry)

    async def remove(self, entry: Removable) -> None:
        self._note(entry, None)
        await self._catalogue.remove(entry)

    async def count(self, quotas: Sequence[Quota]) -> None:
        await self._catalogue.count(quotas)

    async def blocks_between(self, pool: str, first: int, last: int) -> Sequence[Block]:
        return await self._catalogue.blocks_between(pool, first, last)

    async def rewrite(self, pool: str, blocks: Sequence[Block], cursor: int | None) -> None:
        await self._catalogue.rewrite(pool, blocks, cursor)

    async def holder_of(self, space: str, address: IPAddress) -> Allocation | None:
        return await self._catalogue.holder_of(space, address)

    async def boots(self, node: NodeKey) -> Sequence[Boot]:
        return await self._catalogue.boots(node)

    async def save_boot(self, node: NodeKey, boot: Boot) -> None:
        await self._catalogue.save_boot(node, boot)

    async def log(self, entries: Sequence[LogEntry]) -> None:
        await self._catalogue.log(entries)

    async def request(self, number: int) -> ChangeRequest | None:
        return await self._catalogue.request(number)

    async def save_request(self, request: ChangeRequest) -> None:
        await self._catalogue.save_request(request)

    async def renew_epochs(self) -> None:
        await self.flush()
        await self._catalogue.renew_epochs()

    async def announce(self, announced: Set[Announced]) -> None:
        await self.flush()  # before the numbers of clusters are locked, for batches wait for those
        await self._catalogue.announce(announced)


def _stands(entry: Entry) -> bool:
    """Whether an entry is there for those who read the log: a hold is made when it has all its addresses."""
    return not isinstance(entry, Hold) or entry.state is HoldState.STANDING


def _place_of(entry: Entry) -> Hashable:
    """The key of an entry. A reservation is known by its addresses: another id may take its place."""
    match entry:
        case Pool():
            return Pool, entry.name
        case Reservation():
            return Reservation, entry.space, entry.addresses
        case Quota():
            return Quota, entry.name
        case Hold():
            return Hold, entry.name
        case Node():
            return Node, entry.key
        case Token():
            return Token, entry.id
        case PodNetwork():
            return PodNetwork, entry.cluster
        case Restoration():
            return Restoration, 1


def _known_as(entry: Entry, known: Snapshot) -> Entry | None:
    """The entry before the change."""
    match entry:
        case Pool():
            return known.pools.get(entry.name)
        case Reservation():
            return known.reservations.get(entry.id)
        case Quota():
            return known.quotas.get(entry.name)
        case Hold():
            return known.holds.get(entry.name)
        case Node():
            return known.nodes.get(entry.key)
        case Token():
            return known.tokens.get(entry.id)
        case PodNetwork():
            return known.networks.get(entry.cluster)
        case Restoration():
            return known.restoration if known.restoration.revision else None
