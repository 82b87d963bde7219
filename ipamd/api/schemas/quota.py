"""Quotas as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field
from typing_extensions import TypedDict

from ipamd.api.schemas.text import Document, Name, Word
from ipamd.models.documents import quota_document
from ipamd.models.errors import InvalidValue
from ipamd.models.quota import Quota, TallyUse

MOST_NAMESPACES: Final = 1000
MOST_CLUSTERS: Final = 100
LARGEST_LIMIT: Final = 2**62

Limit = Annotated[int, Field(ge=0, le=LARGEST_LIMIT)]
Pattern = Annotated[Word, Field(examples=["team-a", "team-*", "*"])]
Namespaces = Annotated[list[Pattern], Field(min_length=1, max_length=MOST_NAMESPACES)]
Clusters = Annotated[list[Word], Field(max_length=MOST_CLUSTERS)]
Family = Literal[4, 6]


class NewQuota(Document):
    """At most `limit` addresses of each family for each of the `namespaces`, or if `shared` for all together.

    A namespace is a name, or a beginning such as `team-*`; `*` is every namespace. Without `clusters` all are
    meant. `family`, `pool` and `space` restrict what is counted.
    """

    name: Name
    limit: Limit
    namespaces: Namespaces
    clusters: Clusters = Field(default_factory=list)
    family: Family | None = None
    pool: Name | None = None
    space: Name | None = None
    shared: bool = False

    def value(self) -> Quota:
        """The quota as a value."""
        given = {field: getattr(self, field) for field in NewQuota.model_fields}
        return Quota(**given | {"namespaces": tuple(self.namespaces), "clusters": tuple(self.clusters)})


class QuotaPatch(Document):
    """A merge patch (RFC 7396): what is given changes, and null takes a restriction away."""

    limit: Limit | None = None
    namespaces: Namespaces | None = None
    clusters: Clusters | None = None
    family: Family | None = None
    pool: Name | None = None
    space: Name | None = None
    shared: bool | None = None

    def apply(self, quota: Quota) -> Quota:
        """The quota after the change. Raises InvalidValue."""
        given: dict[str, Any] = {field: getattr(self, field) for field in self.model_fields_set}
        for field in ("limit", "namespaces", "shared"):
            if field in given and given[field] is None:
                raise InvalidValue(field, "a quota cannot be without it")
        for field in ("namespaces", "clusters"):
            if field in given:
                given[field] = tuple(given[field] or ())
        return replace(quota, **given)


class ShownQuota(TypedDict):
    """A quota as it is shown.

    `used` is what the fullest namespace uses, or all that share the limit. `exceeded` says that it is
    more than the limit. While it is `counting`, it refuses nobody.
    """

    name: str
    limit: int
    namespaces: list[str]
    clusters: list[str]
    family: int | None
    pool: str | None
    space: str | None
    shared: bool
    used: int
    exceeded: bool
    counting: bool


class ShownUse(TypedDict):
    """How many addresses of a family a namespace uses; no namespace if they share the limit."""

    cluster: str | None
    namespace: str | None
    family: int
    used: int


class ShownQuotaUse(ShownQuota):
    """A quota, and those who use most of it."""

    uses: list[ShownUse]


def document_of(quota: Quota, used: int) -> ShownQuota:
    """A quota as it is shown."""
    standing = {"used": used, "exceeded": used > quota.limit, "counting": quota.counting}
    return cast(ShownQuota, quota_document(quota) | standing)


def use_document(quota: Quota, uses: Sequence[TallyUse]) -> ShownQuotaUse:
    """A quota with those who use most of it, the fullest first."""
    shown: list[ShownUse] = [
        {
            "cluster": tally.cluster or None,
            "namespace": tally.namespace or None,
            "family": tally.family,
            "used": used,
        }
        for tally, used in uses
    ]
    return {**document_of(quota, uses[0].used if uses else 0), "uses": shown}
