"""A file of pools, reservations and quotas as JSON, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from typing_extensions import TypedDict

from ipamd.api.schemas import pool as pools
from ipamd.api.schemas import reservation as reservations
from ipamd.api.schemas.pool import NewPool
from ipamd.api.schemas.quota import NewQuota
from ipamd.api.schemas.reservation import NewReservation
from ipamd.api.schemas.text import Document
from ipamd.engine.administration.applying import Applied, Change, DesiredPool, DesiredState, Stated
from ipamd.models.documents import quota_document
from ipamd.models.errors import InvalidValue
from ipamd.models.limits import MOST_ENTRIES
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation


class Desired(Document):
    """Pools, reservations and quotas as they should be. If a list is absent, nothing of its kind changes.

    An absent field of a pool gets its default, except `gateway` and `block_size` of an existing pool, which
    stay. With `prune` what the lists do not name is deleted. With `dry_run` nothing changes, and the answer
    says what would change.
    """

    pools: Annotated[list[NewPool], Field(max_length=MOST_ENTRIES)] | None = None
    reservations: Annotated[list[NewReservation], Field(max_length=MOST_ENTRIES)] | None = None
    quotas: Annotated[list[NewQuota], Field(max_length=MOST_ENTRIES)] | None = None
    prune: bool = False
    dry_run: bool = False

    def value(self) -> DesiredState:
        """The same as values. Raises InvalidValue, which names the entry."""
        return DesiredState(
            pools=None if self.pools is None else list(_wanted_pools(self.pools)),
            reservations=None if self.reservations is None else list(_wanted_reservations(self.reservations)),
            quotas=None if self.quotas is None else list(_wanted_quotas(self.quotas)),
        )


KINDS: Final[Mapping[type[object], Literal["pool", "reservation", "quota"]]] = {
    Pool: "pool",
    Reservation: "reservation",
    Quota: "quota",
}


class ShownChange(TypedDict):
    """An entry before and after the change, null if there is none."""

    action: str
    kind: Literal["pool", "reservation", "quota"]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class ShownApplied(TypedDict):
    """What changed, or with `dry_run` would change."""

    dry_run: bool
    changes: list[ShownChange]
    unchanged: int
    warnings: list[str]


def document_of(applied: Applied, *, dry_run: bool) -> ShownApplied:
    """What was done."""
    return {
        "dry_run": dry_run,
        "changes": [_change_document(change) for change in applied.changes],
        "unchanged": applied.unchanged,
        "warnings": [reservations.outside_pools(each) for each in applied.outside],
    }


def _wanted_pools(documents: list[NewPool]) -> Iterator[DesiredPool]:
    named: set[str] = set()
    for place, document in enumerate(documents):
        with _entry(f"pools[{place}]"):
            if document.name in named:
                raise InvalidValue("name", f"pool {document.name} comes twice")
            named.add(document.name)
            unsaid = set() if "gateway" in document.model_fields_set else {"gateway"}
            unsaid |= {"block_length"} if document.block_size is None else set()
            yield DesiredPool(document.value(), frozenset(unsaid))


def _wanted_reservations(documents: list[NewReservation]) -> Iterator[Reservation]:
    ranges: set[tuple[str, str]] = set()
    for place, document in enumerate(documents):
        with _entry(f"reservations[{place}]"):
            reservation = document.value()
            key = reservation.space, str(reservation.addresses)
            if key in ranges:
                raise InvalidValue("address", f"{reservation.addresses} comes twice")
            ranges.add(key)
            yield reservation


def _wanted_quotas(documents: list[NewQuota]) -> Iterator[Quota]:
    named: set[str] = set()
    for place, document in enumerate(documents):
        with _entry(f"quotas[{place}]"):
            if document.name in named:
                raise InvalidValue("name", f"quota {document.name} comes twice")
            named.add(document.name)
            yield document.value()


def _change_document(change: Change) -> ShownChange:
    entry = change.after or change.before
    return {
        "action": change.action.value,
        "kind": KINDS[type(entry)],
        "before": _shown(change.before),
        "after": _shown(change.after),
    }


def _shown(entry: Stated | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    if isinstance(entry, Pool):
        return dict(pools.document_of(entry))
    if isinstance(entry, Quota):
        return quota_document(entry)
    shown = dict(reservations.document_of(entry))
    del shown["id"]  # it is given anew with each change
    return shown


@contextmanager
def _entry(place: str) -> Iterator[None]:
    """Add the place of the entry to an error."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(f"{place}.{error.field}", error.why) from None
