"""Why what a node holds in advance does not change."""

from __future__ import annotations

from ipamd.models.address import IPAddress
from ipamd.models.errors.domain_error import DomainError
from ipamd.models.instant import Instant, rfc3339


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
