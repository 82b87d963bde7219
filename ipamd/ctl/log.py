"""`ipamctl log`: who changed what of pools, reservations, nodes, tokens and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.local_time import moment
from ipamd.ctl.paging import Limit
from ipamd.ctl.render import as_text
from ipamd.ctl.session import CommandSession, command
from ipamd.models.change_log import LogKind

COLUMNS: Final = ("TIME", "BY", "ACTION", "KIND", "NAME", "WHAT CHANGED")
TIME: Final = "TIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which changes: those that match all given options."""

    kind: Annotated[LogKind | None, typer.Option("--kind", help="Only changes of this kind.")] = None
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Only changes by principals that begin so.")
    ] = None
    after: Annotated[
        str | None, typer.Option("--after", metavar=TIME, help="Only changes from this moment on.")
    ] = None
    before: Annotated[
        str | None, typer.Option("--before", metavar=TIME, help="Only changes before this moment.")
    ] = None

    def query(self) -> dict[str, str | None]:
        """The filter as REST takes it."""
        return {
            "kind": self.kind.value if self.kind is not None else None,
            "by": self.by,
            "after": moment(self.after, "--after"),
            "before": moment(self.before, "--before"),
        }


def register(application: typer.Typer) -> None:
    """Add `log` to the command."""
    command(application, "log")(log)


def log(
    session: CommandSession,
    wanted: Filter,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A pool, the addresses of a reservation, CLUSTER/NODE, a token's number, or a cluster.",
        ),
    ] = None,
    limit: Limit = None,
) -> None:
    """Show who changed what, latest first; with `-o json` all of it before and after.

    A TIME looks like 2026-01-31T12:00:00Z. Without an offset it is in this machine's zone.
    """
    listing = session.client.pages("/v1/log", {"name": name, **wanted.query()}, limit)
    session.show_list(listing, COLUMNS, _row)


def _row(item: dict[str, Any]) -> Iterable[Any]:
    keys = ("at", "by", "action", "kind", "name")
    return (*(item[key] for key in keys), _difference(item["before"] or {}, item["after"] or {}))


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """The fields that differ, each with what it was and what it is."""
    if not before or not after:
        return None
    differing = [field for field in after if before.get(field) != after[field]]
    return "; ".join(
        f"{field}: {as_text(before.get(field))} -> {as_text(after[field])}" for field in differing
    )
