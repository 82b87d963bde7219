"""Leases as JSON."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field
from typing_extensions import TypedDict

from ipamd.api.schemas.text import Document, NodeName, Word
from ipamd.cni import leasing
from ipamd.engine.leasing.conversation import EndedContainer, KnownContainer, LeaseUse, SeatAnswer, Told
from ipamd.models.instant import Instant, rfc3339
from ipamd.models.node import SHUT_OUT, Node
from ipamd.models.pool import DEFAULT_CLUSTER


class LeaseFilter(Document):
    """Which leases."""

    cluster: Word | None = None
    node: NodeName | None = None
    pool: Word | None = Field(None, description="Those with a seat of this pool.")


class NodeOfLease(Document):
    """The node of a lease."""

    cluster: Word = DEFAULT_CLUSTER
    node: NodeName


class ShownLease(TypedDict):
    """A lease as it is shown. Of its `seats` containers have `taken`; `pools` counts addresses by pool.

    The node may give until `until`; if its token was revoked, it gets no more time. `reported` is the number
    of its last event that ipamd knows.
    """

    cluster: str
    node: str
    epoch: int
    machine: str
    boot: str
    until: str | None
    token_revoked: bool
    last_contact: str
    reported: int
    seats: int
    taken: int
    pools: dict[str, int]


class ShownRecall(TypedDict):
    """How many seats a node is to give back."""

    cluster: str
    node: str
    recalled: int


class ShownReported(TypedDict):
    """Up to which event a report is carried out, or recorded only, if it is not obeyed."""

    acknowledged: int
    obeyed: bool


class ShownSeat(TypedDict):
    """A seat with its answer, the result that an ADD would get. It may be given after `cools_ns`."""

    seat: int
    key: str
    cools_ns: int
    cooldown_ns: int
    result: dict[str, Any]


class ShownIssued(TypedDict):
    """When a call was issued on its node."""

    boot: str | None
    uptime_ns: int


class ShownContainer(TypedDict):
    """One interface of a container, whose last ADD was `issued` then."""

    network: str
    container_id: str
    ifname: str
    issued: ShownIssued


class ShownEnded(ShownContainer):
    """A container that ipamd ended. A later ADD is not meant."""

    seat: int


class ShownTold(TypedDict):
    """What a node is told of its lease. It may give for `seconds` from its asking on.

    `reported` is the number of its last event that ipamd has.
    """

    epoch: int
    grant: int
    reported: int
    seconds: int
    revision: int
    seats: list[ShownSeat]
    returned: list[int]
    recall: list[int]
    void: list[int]
    ended: list[ShownEnded]
    untaken: list[int]
    refused: dict[str, str]
    identities: list[ShownContainer] | None


def _takes(description: str, required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "description": description, "required": required}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


ASKING: Final = _takes(
    "All that a node has of its lease: `machine`, `boot`, `store`, `epoch` (null at first), "
    "`grant` (the last one taken), `seats` with `state` free, taken or returning, `configurations` with the "
    "number of `free` seats that are wanted, `revision` of the last answer, `confirm`, and `wait`.",
    ["cluster", "node", "machine", "boot", "store"],
)
REPORT: Final = _takes(
    "Events of a node's store in order: `kind` begin, repeat or end, `seat`, `issued`, "
    "`age_ns`, and the `request` as the plugin got it. The first has the number `first`.",
    ["cluster", "node", "boot", "store", "epoch", "first", "events"],
)


def document_of(use: LeaseUse, node: Node | None) -> ShownLease:
    """A lease as it is shown, with what the catalogue has of its node."""
    return {
        "cluster": use.node.cluster,
        "node": use.node.name,
        "epoch": use.epoch,
        "machine": use.machine,
        "boot": use.boot,
        "until": rfc3339(use.until) if use.until else None,
        "token_revoked": node is not None and node.proof == SHUT_OUT,
        "last_contact": rfc3339(use.heard),
        "reported": use.reported,
        "seats": use.seats,
        "taken": use.taken,
        "pools": dict(use.pools),
    }


def told_document(told: Told) -> dict[str, Any]:
    """What a node is told, with the results as bytes."""
    identities = told.identities
    return {
        "epoch": told.epoch,
        "grant": told.granted,
        "reported": told.reported,
        "seconds": told.seconds,
        "revision": told.revision,
        "seats": list(map(_seat, told.seats)),
        "returned": list(told.returned),
        "recall": list(told.recalled),
        "void": list(told.void),
        "ended": list(map(_ended, told.ended)),
        "untaken": list(told.untaken),
        "refused": dict(told.refused),
        "identities": None if identities is None else list(map(_container, identities)),
    }


def told_counts(told: Told) -> dict[str, int]:
    """What the log says of an answer."""
    counts = {
        "seats": len(told.seats),
        "returned": len(told.returned),
        "recalled": len(told.recalled),
        "void": len(told.void),
        "ended": len(told.ended),
    }
    return {what: count for what, count in counts.items() if count}


def _seat(seat: SeatAnswer) -> dict[str, Any]:
    cooldown = max((grant.pool.cooldown for grant in seat.grants), default=0)
    return {
        "seat": seat.number,
        "key": seat.key,
        "cools_ns": _nanoseconds(seat.cools),
        "cooldown_ns": cooldown * 10**9,
        "result": leasing.answer_of(seat.configuration, seat.grants),
    }


def _nanoseconds(span: Instant) -> int:
    return span * 1000


def _ended(ended: EndedContainer) -> ShownEnded:
    return {**_container(ended), "seat": ended.seat}


def _container(container: KnownContainer) -> ShownContainer:
    identity = container.identity
    return {
        "network": identity.network,
        "container_id": identity.container_id,
        "ifname": identity.ifname,
        "issued": {"boot": container.boot, "uptime_ns": container.uptime_ns},
    }
