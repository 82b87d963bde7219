"""Owners whom workloads name as JSON: an entry for each address, with those who hold it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from ipamd.api.schemas.allocation import NewAllocation, PrefixLength, ShownAllocation
from ipamd.api.schemas.allocation import document_of as allocation_document
from ipamd.api.schemas.text import Address, Document, Name, NodeName, Word
from ipamd.engine.allocation.owners import OwnedAddress, OwnerKey
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading
from ipamd.models.allocation import NEVER_CAME
from ipamd.models.identity import OWNER_NAMES, is_owner_name
from ipamd.models.instant import SECOND, rfc3339
from ipamd.models.limits import LONGEST_NAME, OWNER_NAME
from ipamd.models.pool import DEFAULT_CLUSTER


def _owner_name(text: str) -> str:
    if not is_owner_name(text):
        raise ValueError(f"{text[:LONGEST_NAME]!r} is not a name of an owner: {OWNER_NAMES}")
    return text


OwnerName = Annotated[
    str,
    AfterValidator(_owner_name),
    Field(json_schema_extra={"pattern": f"^{OWNER_NAME}$", "maxLength": LONGEST_NAME}),
]


class NewOwner(Document):
    """An owner that is to have an address before its first workload starts: this one, or one of a pool."""

    name: OwnerName
    namespace: Word
    cluster: Word = DEFAULT_CLUSTER
    pool: Name | None = None
    address: Address | None = None
    prefix_length: PrefixLength | None = None
    space: Name | None = None
    node: NodeName | None = Field(None, description="The node whose block it is to come from.")

    @property
    def key(self) -> OwnerKey:
        return OwnerKey(self.cluster, self.namespace, self.name)

    def allocation(self) -> NewAllocation:
        """What it asks for."""
        return NewAllocation(
            owner=self.name,
            pool=self.pool,
            address=self.address,
            prefix_length=self.prefix_length,
            space=self.space,
            cluster=self.cluster,
            node=self.node,
            namespace=self.namespace,
        )


class OwnerFilter(Document):
    """Which owners: those that match all given fields."""

    cluster: Word | None = None
    namespace: Word | None = None
    name: Word | None = None


class ShownOwned(TypedDict):
    """An address of an owner.

    It is away since `away_since` if nobody holds it, and free at `kept_until`; both are null while somebody
    does, and of an owner that nobody has held yet.
    """

    cluster: str
    namespace: str
    name: str
    address: str
    prefix_length: int | None
    space: str
    pool: str
    since: str
    away_since: str | None
    kept_until: str | None
    begun_by: str | None
    allocation: int
    holders: list[ShownAllocation]


class ShownReleasedOwner(TypedDict):
    """What an owner had."""

    released: list[str]


def document_of(owned: OwnedAddress, catalogue: Catalogue, clock: Reading) -> ShownOwned:
    """An address of an owner as it is shown."""
    row, away = owned.row, owned.row.away_since
    pool = catalogue.pools.get(row.pool)
    is_away = away is not None and away != NEVER_CAME
    keep = pool.owner_keep * SECOND if pool is not None else 0
    return {
        "cluster": row.holder.cluster or "",
        "namespace": row.workload.namespace or "",
        "name": row.owner_name or "",
        "address": str(row.address),
        "prefix_length": row.prefix_length,
        "space": row.space,
        "pool": row.pool,
        "since": rfc3339(row.since),
        "away_since": rfc3339(away) if away is not None and is_away else None,
        "kept_until": rfc3339(clock.lasts_until(away, keep)) if away is not None and is_away else None,
        "begun_by": row.begun_by,
        "allocation": row.stored_id,
        "holders": [allocation_document(holder) for holder in owned.holders],
    }
