"""Holds as JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, cast

from pydantic import Field
from typing_extensions import TypedDict

from ipamd.api.schemas.quota import Clusters, Namespaces, Pattern
from ipamd.api.schemas.text import Document, Name
from ipamd.engine.clock import Reading
from ipamd.models.documents import hold_document
from ipamd.models.errors import InvalidValue
from ipamd.models.hold import LARGEST_HOLD, LONGEST_HOLD, Hold, HoldUse
from ipamd.models.instant import rfc3339

Size = Annotated[int, Field(ge=1, le=LARGEST_HOLD)]
Seconds = Annotated[int, Field(ge=1, le=LONGEST_HOLD, examples=[7200])]
Workloads = Annotated[list[Pattern], Field(max_length=1000)]


class NewHold(Document):
    """`size` addresses of `pool`, for `seconds`, for workloads of these `namespaces`: all of them, or none.

    A namespace is a name, or a beginning such as `team-*`; `*` is every namespace. So are `workloads`, the
    names of pods; without them all pods of the namespaces are meant. Without `clusters` all are meant.
    """

    name: Name
    size: Size
    pool: Name
    namespaces: Namespaces
    workloads: Workloads = Field(default_factory=list)
    clusters: Clusters = Field(default_factory=list)
    seconds: Seconds

    def value(self) -> Hold:
        """The hold as a value, not made yet."""
        return Hold(
            name=self.name,
            size=self.size,
            pool=self.pool,
            namespaces=tuple(self.namespaces),
            workloads=tuple(self.workloads),
            clusters=tuple(self.clusters),
            since=0,
            seconds=self.seconds,
        )


class HoldPatch(Document):
    """A merge patch (RFC 7396): what is given changes. `seconds` count from the beginning of the hold."""

    namespaces: Namespaces | None = None
    workloads: Workloads | None = None
    clusters: Clusters | None = None
    seconds: Seconds | None = None

    def apply(self, hold: Hold) -> Hold:
        """The hold after the change. Raises InvalidValue."""
        given: dict[str, Any] = {field: getattr(self, field) for field in self.model_fields_set}
        for field in ("namespaces", "seconds"):
            if field in given and given[field] is None:
                raise InvalidValue(field, "a hold cannot be without it")
        for field in ("namespaces", "workloads", "clusters"):
            if field in given:
                given[field] = tuple(given[field] or ())
        return replace(hold, **given)


class ShownHold(TypedDict):
    """A hold as it is shown.

    `left` are the addresses that no workload has, `taken` those that workloads have out of it. It is
    `filling` until it has all its addresses, and `ending` while what is left goes back to the pool.
    """

    name: str
    size: int
    pool: str
    namespaces: list[str]
    workloads: list[str]
    clusters: list[str]
    seconds: int
    since: str
    until: str
    state: Literal["filling", "standing", "ending"]
    left: int
    taken: int


def document_of(hold: Hold, use: HoldUse, clock: Reading) -> ShownHold:
    """A hold as it is shown."""
    standing = {
        "until": rfc3339(clock.lasts_until(hold.since, hold.span)),
        "state": hold.state.value,
        "left": use.left,
        "taken": use.taken,
    }
    return cast(ShownHold, hold_document(hold) | standing)
