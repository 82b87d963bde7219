"""`ipamctl history`: who has an address, and who had it before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.allocation import holder_of, node_of, written
from ipamd.ctl.local_time import moment
from ipamd.ctl.paging import Limit
from ipamd.ctl.session import CommandSession, command

COLUMNS: Final = ("ADDRESS", "POOL", "HOLDER", "NODE", "CONTAINER", "SINCE", "UNTIL", "ENDING", "BY", "WHY")
TIME: Final = "TIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which allocations, live and ended: those that match all given options."""

    at: Annotated[str | None, typer.Option("--at", metavar=TIME, help="Only holders at this moment.")] = None
    after: Annotated[
        str | None, typer.Option("--after", metavar=TIME, help="Only holders after this moment.")
    ] = None
    before: Annotated[
        str | None, typer.Option("--before", metavar=TIME, help="Only holders before this moment.")
    ] = None
    space: Annotated[str | None, typer.Option("--space", metavar="NAME")] = None
    namespace: Annotated[str | None, typer.Option("--namespace", metavar="NAME")] = None
    name: Annotated[str | None, typer.Option("--name", metavar="NAME")] = None
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="NAME", help="An owner, and those who held it for it.")
    ] = None
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME")] = None
    node: Annotated[str | None, typer.Option("--node", metavar="NAME")] = None

    def query(self) -> dict[str, str | None]:
        """The question as REST takes it."""
        return {
            "at": moment(self.at, "--at"),
            "after": moment(self.after, "--after"),
            "before": moment(self.before, "--before"),
            "space": self.space,
            "namespace": self.namespace,
            "name": self.name,
            "owner": self.owner,
            "cluster": self.cluster,
            "node": self.node,
        }


def register(application: typer.Typer) -> None:
    """Add `history` to the command."""
    command(application, "history")(history)


def history(
    session: CommandSession,
    question: Question,
    address: Annotated[str | None, typer.Argument(metavar="ADDRESS")] = None,
    limit: Limit = None,
) -> None:
    """Show who has an address and who had it, or which addresses a workload or a node had; latest first.

    A TIME looks like 2026-01-31T12:00:00Z. Without an offset it is in this machine's zone.
    """
    listing = session.client.pages("/v1/history", {"address": address, **question.query()}, limit)
    session.show_list(listing, COLUMNS, _row)


def _row(item: dict[str, Any]) -> Iterable[Any]:
    return (
        written(item),
        item["pool"],
        holder_of(item),
        node_of(item),
        (item["container_id"] or "-")[:12],
        item["since"],
        item["until"] or "now",
        item["ending"],
        item["ended_by"],
        item["reason"],
    )
