"""Reservations as JSON."""

from __future__ import annotations

from typing import NotRequired, cast

from typing_extensions import TypedDict

from ipamd.api.schemas.allocation import PrefixLength
from ipamd.api.schemas.text import Address, Document, Name, Note, Range, Word
from ipamd.models.address import AddressRange
from ipamd.models.documents import reservation_document
from ipamd.models.errors import InvalidValue
from ipamd.models.pool import DEFAULT_SPACE
from ipamd.models.reservation import Reservation


class NewReservation(Document):
    """Addresses to keep for a workload (`namespace` and `name`), for an `owner`, or for nobody.

    With `pool` and `prefix_length` in place of `address` they are the next free prefix of that length.
    """

    address: Range | None = None
    pool: Name | None = None
    prefix_length: PrefixLength | None = None
    space: Name = DEFAULT_SPACE
    namespace: Word | None = None
    name: Word | None = None
    owner: Word | None = None
    note: Note | None = None

    def wanted_prefix(self) -> tuple[str, int] | None:
        """The pool and the length of a prefix that is to be found; None if it says which addresses it is for.

        Raises InvalidValue.
        """
        if self.pool is None and self.prefix_length is None:
            return None
        if self.address is not None or self.pool is None or self.prefix_length is None:
            raise InvalidValue("pool", "give either an address, or a pool and a prefix_length")
        return self.pool, self.prefix_length

    def value(self) -> Reservation:
        """The reservation as a value, without its id. Raises InvalidValue."""
        if self.address is None:
            raise InvalidValue("address", "is missing")
        return self.of(AddressRange.parse(self.address))

    def of(self, addresses: AddressRange) -> Reservation:
        """The reservation of these addresses, without its id. Raises InvalidValue."""
        if (self.namespace is None) != (self.name is None):
            raise InvalidValue("namespace", "a workload is named by namespace and name together")
        if self.owner is not None and self.name is not None:
            raise InvalidValue("owner", "a reservation is for a workload or for an owner, not for both")
        return Reservation(
            id=0,
            addresses=addresses,
            space=self.space,
            namespace=self.namespace,
            name=self.name,
            owner=self.owner,
            note=self.note,
        )


class ReservationFilter(Document):
    """Which reservations: those that match all given fields; `address` must be inside."""

    space: Word | None = None
    namespace: Word | None = None
    name: Word | None = None
    owner: Word | None = None
    address: Address | None = None


class ShownReservation(TypedDict):
    """A reservation as it is shown."""

    id: int
    address: str
    space: str
    namespace: str | None
    name: str | None
    owner: str | None
    note: str | None


class MadeReservation(ShownReservation):
    """A reservation that was just made; `warning`, if there is one, says what may not have been meant."""

    warning: NotRequired[str]


def outside_pools(reservation: Reservation) -> str:
    """What is to be said of a reservation that meets no pool."""
    return (
        f"no pool of space {reservation.space} has {reservation.addresses}: "
        f"it is kept for {reservation.holder} as soon as one has"
    )


def document_of(reservation: Reservation) -> ShownReservation:
    """A reservation as it is shown."""
    return cast(ShownReservation, reservation_document(reservation))
