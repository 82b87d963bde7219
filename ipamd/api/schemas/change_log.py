"""The change log as JSON."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from ipamd.api.schemas.text import Document, Moment, Note, Word, moment
from ipamd.models.change_log import LogEntry, LogKind, LogQuery
from ipamd.models.instant import rfc3339

Kind = Literal["pool", "reservation", "node", "token", "network", "restore", "quota", "hold"]


class LogFilter(Document):
    """Which changes: those that match all given fields.

    `name` is that of a pool, a quota or a hold, the addresses of a reservation, `CLUSTER/NAME` of a node, the
    id of a token, the cluster of a pod network. `by` is how the name of the principal begins. The changes are
    those from `after` on, and before `before`.
    """

    kind: Kind | None = None
    name: Note | None = None
    by: Word | None = None
    after: Moment | None = None
    before: Moment | None = None

    def value(self) -> LogQuery:
        """The filter as a value."""
        return LogQuery(
            kind=LogKind(self.kind) if self.kind is not None else None,
            name=self.name,
            by=self.by,
            after=moment(self.after) if self.after is not None else None,
            before=moment(self.before) if self.before is not None else None,
        )


class ShownChange(TypedDict):
    """One change.

    `before` and `after` have the fields of the entry as REST shows it, null if there was none or is none any
    more. `by` is `loopback` if there were no tokens, `ipamd` for what it did of its own accord.
    """

    id: int
    at: str
    by: str
    action: Literal["create", "change", "delete"]
    kind: Kind
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def document_of(entry: LogEntry) -> ShownChange:
    """A change as it is shown."""
    return {
        "id": entry.stored_id,
        "at": rfc3339(entry.at),
        "by": entry.by,
        "action": entry.action.value,
        "kind": entry.kind.value,
        "name": entry.name,
        "before": dict(entry.before) if entry.before is not None else None,
        "after": dict(entry.after) if entry.after is not None else None,
    }
