"""Addresses that are kept for one holder, or for nobody."""

from __future__ import annotations

from dataclasses import dataclass

from ipamd.models.address import AddressRange
from ipamd.models.pool import DEFAULT_SPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Addresses that only one holder gets.

    The holder is a workload (`namespace` and `name`) or an `owner`. Without a holder nobody gets them. `id`
    is the revision of the catalogue that made it.
    """

    id: int
    addresses: AddressRange
    space: str = DEFAULT_SPACE
    namespace: str | None = None
    name: str | None = None
    owner: str | None = None
    note: str | None = None
    revision: int = 0

    @property
    def holder(self) -> str:
        """The holder as a sentence names it."""
        if self.owner is not None:
            return self.owner
        return f"{self.namespace}/{self.name}" if self.name is not None else "nobody"

    @property
    def statement(self) -> str:
        """What binds its holder, as an error names it to who may change it."""
        return f"reservation {self.id} keeps {self.addresses} for {self.holder}, which asked for no other"
