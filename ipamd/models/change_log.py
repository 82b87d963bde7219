"""The change log: who changed what of the catalogue, and what it was before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ipamd.models.instant import Instant

Description = Mapping[str, Any]
"""An entry of the catalogue as JSON has it, the fields named as in REST. No secret is in it, nor its hash."""


class LogKind(StrEnum):
    """What was changed."""

    POOL = "pool"
    RESERVATION = "reservation"
    NODE = "node"
    TOKEN = "token"  # noqa: S105  # a kind, not a secret
    NETWORK = "network"
    RESTORE = "restore"
    QUOTA = "quota"
    HOLD = "hold"


class Action(StrEnum):
    """What becomes of an entry of the catalogue."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry of the catalogue, before and after a change; None if there was none, or is none any more.

    `by` is the principal that changed it. `name` is a pool's, a quota's or a hold's name, a reservation's
    addresses, a node's `CLUSTER/NAME`, a token's id or a pod network's cluster. `id` is None until the entry
    is stored.
    """

    at: Instant
    by: str
    kind: LogKind
    name: str
    before: Description | None
    after: Description | None
    id: int | None = None

    @property
    def action(self) -> Action:
        """What was done to the entry."""
        if self.before is None:
            return Action.CREATE
        return Action.DELETE if self.after is None else Action.CHANGE

    @property
    def stored_id(self) -> int:
        """The id of a stored entry."""
        assert self.id is not None
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which changes: those that match all given fields.

    `by` is how the principal's name begins. The changes are those from `after` on, and before `before`.
    `but_not` is a kind that is left out.
    """

    kind: LogKind | None = None
    name: str | None = None
    by: str | None = None
    after: Instant | None = None
    before: Instant | None = None
    but_not: LogKind | None = None

    def matches(self, entry: LogEntry) -> bool:
        """Whether an entry is asked for."""
        return (
            self.kind in (None, entry.kind)
            and self.but_not is not entry.kind
            and self.name in (None, entry.name)
            and (self.by is None or entry.by.startswith(self.by))
            and (self.after is None or entry.at >= self.after)
            and (self.before is None or entry.at < self.before)
        )


@dataclass(frozen=True, slots=True)
class LogPage:
    """Changes that match, latest first. The next page begins before the id `next`; None at the end.

    A page may have fewer entries than were asked for though there is a next one: no more was read for it.
    """

    entries: Sequence[LogEntry]
    next: int | None
