"""Allocations as JSON, and the request for one by an owner."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Annotated

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from ipamd.api.schemas.text import Address, Document, Moment, Name, NodeName, Note, Word
from ipamd.models.allocation import HOLD_OWNER, Allocation
from ipamd.models.identity import NODE_OWNER, Identity
from ipamd.models.instant import rfc3339
from ipamd.models.lease import LEASE_OWNER
from ipamd.models.pool import DEFAULT_CLUSTER, DEFAULT_SPACE


def _is_nobody_else(owner: str) -> str:
    if owner.startswith(f"{LEASE_OWNER}:"):
        raise ValueError(f"{LEASE_OWNER}:… is a node that holds addresses in advance: choose another name")
    if owner.startswith(f"{HOLD_OWNER}:"):
        raise ValueError(f"{HOLD_OWNER}:… is a hold (POST /v1/holds): choose another name")
    if owner.startswith(f"{NODE_OWNER}:"):
        raise ValueError(
            f"{NODE_OWNER}:… is a node itself, which gets its address when it joins the pod network"
        )
    return owner


PrefixLength = Annotated[
    int,
    Field(
        ge=1,
        le=127,
        strict=True,
        description="The length of a prefix, such as 28: it asks for a prefix, and not for one address.",
    ),
]


class NewAllocation(Document):
    """One address for an owner, or a prefix: from the named pool, or as selectors choose.

    With `address` it is this very one. With `prefix_length` it is a prefix, which begins with `address`.
    """

    owner: Annotated[Word, AfterValidator(_is_nobody_else)]
    pool: Name | None = None
    address: Address | None = None
    prefix_length: PrefixLength | None = None
    space: Name | None = None
    cluster: Word = DEFAULT_CLUSTER
    node: NodeName | None = None
    namespace: Word | None = None
    name: Word | None = None

    def fingerprint(self) -> bytes:
        """16 bytes that are equal only for bodies that ask for the same."""
        # Keys that are older than prefixes have the fingerprints that they had.
        unknown = {"prefix_length"} if self.prefix_length is None else set()
        canonical = json.dumps(self.model_dump(exclude=unknown), sort_keys=True)
        return blake2b(canonical.encode(), digest_size=16).digest()


class ReleasedWorkload(Document):
    """A pod whose addresses are all released: by its name, and by its UID if the name was used again."""

    namespace: Word
    name: Word
    uid: Word | None = None
    cluster: Word | None = None
    why: Note | None = Field(None, description="Kept in history as `reason`.")


class ShownReleased(TypedDict):
    """The addresses that were released."""

    released: list[str]


class AllocationFilter(Document):
    """Which live allocations: those that match all given fields."""

    pool: Word | None = None
    cluster: Word | None = None
    node: NodeName | None = None
    network: Word | None = None
    namespace: Word | None = None
    name: Word | None = None
    container_id: Note | None = None
    owner: Word | None = None
    address: Address | None = None
    space: Word | None = None


class HistoryFilter(Document):
    """Which allocations, live and ended: those that match all given fields."""

    address: Address | None = None
    space: Word = DEFAULT_SPACE
    namespace: Word | None = None
    name: Word | None = None
    owner: Word | None = None
    cluster: Word | None = None
    node: NodeName | None = None
    at: Moment | None = None
    after: Moment | None = None
    before: Moment | None = None


class ShownAllocation(TypedDict):
    """An allocation as it is shown; what its holder does not have is null.

    With a `prefix_length` it is of a prefix, which begins with `address`.
    """

    id: int | None
    space: str
    address: str
    prefix_length: int | None
    pool: str
    cluster: str | None
    network: str | None
    node: str | None
    container_id: str | None
    ifname: str | None
    owner: str | None
    held_for: str | None
    hold: str | None
    namespace: str | None
    name: str | None
    uid: str | None
    since: str
    until: str | None
    ending: str | None
    generation: int
    begun_by: str | None
    ended_by: str | None
    reason: str | None


def document_of(allocation: Allocation) -> ShownAllocation:
    """An allocation as it is shown; what its holder does not have is null."""
    holder = allocation.holder
    identity = holder if isinstance(holder, Identity) else None
    return {
        "id": allocation.id,
        "space": allocation.space,
        "address": str(allocation.address),
        "prefix_length": allocation.prefix_length,
        "pool": allocation.pool,
        "cluster": holder.cluster,
        "network": identity.network if identity else None,
        "node": identity.node if identity else None,
        "container_id": identity.container_id if identity else None,
        "ifname": identity.ifname if identity else None,
        "owner": None if isinstance(holder, Identity) else holder.name,
        "held_for": allocation.held_for,
        "hold": allocation.hold,
        "namespace": allocation.workload.namespace,
        "name": allocation.workload.name,
        "uid": allocation.workload.uid,
        "since": rfc3339(allocation.since),
        "until": rfc3339(allocation.until) if allocation.until is not None else None,
        "ending": allocation.ending.value if allocation.ending is not None else None,
        "generation": allocation.generation,
        "begun_by": allocation.begun_by,
        "ended_by": allocation.ended_by,
        "reason": allocation.reason,
    }
