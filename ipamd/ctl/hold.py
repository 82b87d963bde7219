"""`ipamctl hold`: addresses that are kept for workloads which are still to come."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.client import segment
from ipamd.ctl.local_time import local_time
from ipamd.ctl.paging import Limit
from ipamd.ctl.precondition import IfMatch
from ipamd.ctl.session import CommandSession, command
from ipamd.models.hold import LONGEST_HOLD

commands = typer.Typer(
    name="hold",
    help="Holds: addresses that are kept for workloads which are still to come.",
    no_args_is_help=True,
)

HOLDS: Final = "/v1/holds"
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the hold.")]
Span = Annotated[str, typer.Option("--for", metavar="SPAN", help="For how long, as 90m, 2h or 1d.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """For whom a hold is, beside the namespaces."""

    workloads: Annotated[
        list[str] | None,
        typer.Option(
            "--workload", metavar="NAME|BEGINNING*", help="Only for these pods (web-*); repeatable."
        ),
    ] = None
    clusters: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="NAME", help="Only in this cluster; repeatable; all without it."),
    ] = None

    def given(self) -> dict[str, Any]:
        """The fields to send."""
        return {field: value for field, value in asdict(self).items() if value}


@command(commands, "list")
def list_holds(session: CommandSession, limit: Limit = None) -> None:
    """List all holds. LEFT is what no workload has yet, TAKEN what workloads have out of it."""
    session.show_list(
        session.client.pages(HOLDS, limit=limit),
        ("NAME", "FOR", "POOL", "SIZE", "LEFT", "TAKEN", "UNTIL", "STATE"),
        lambda item: (
            item["name"],
            _whom(item),
            item["pool"],
            item["size"],
            item["left"],
            item["taken"],
            item["until"],
            item["state"],
        ),
    )


@command(commands, "show")
def show(session: CommandSession, name: Name) -> None:
    """Show a hold: how much of it is left, and until when."""
    body = session.client.get(_path(name)).body
    if session.for_people:
        session.show_record(body)
    else:
        session.show_document(body)


@command(commands, "create")
def create(
    session: CommandSession,
    name: Name,
    size: Annotated[int, typer.Option("--size", metavar="NUMBER", help="How many addresses.")],
    pool: Annotated[str, typer.Option("--pool", metavar="NAME", help="Of which pool.")],
    namespaces: Annotated[
        list[str],
        typer.Option(
            "--namespace",
            metavar="NAME|BEGINNING*",
            help="For whom: a namespace, those that begin so (team-*), or every one (*); repeatable.",
        ),
    ],
    span: Span,
    matching: Matching,
) -> None:
    """Keep addresses for workloads. If not all of them are free, none is kept."""
    body = {"name": name, "size": size, "pool": pool, "namespaces": namespaces, "seconds": seconds_of(span)}
    answer = session.client.post(HOLDS, body | matching.given())
    until = local_time(answer.body["until"], exact=False)
    session.show_done(f"hold {name} created: {size} addresses of pool {pool} until {until}", answer)
    if "*" in namespaces and not matching.workloads:
        session.warn("this hold is for every workload")


@command(commands, "edit")
def edit(
    session: CommandSession,
    name: Name,
    matching: Matching,
    namespaces: Annotated[
        list[str] | None,
        typer.Option("--namespace", metavar="NAME|BEGINNING*", help="For whom it is now; repeatable."),
    ] = None,
    span: Annotated[
        str | None,
        typer.Option("--for", metavar="SPAN", help="For how long, from its beginning, as 90m, 2h or 1d."),
    ] = None,
    if_match: IfMatch = None,
) -> None:
    """Change for whom a hold is, and for how long. Options that are not given change nothing."""
    body = matching.given()
    body |= {"namespaces": namespaces} if namespaces else {}
    body |= {"seconds": seconds_of(span)} if span is not None else {}
    if not body:
        raise typer.BadParameter("nothing to change: give at least one option", param_hint="hold edit")
    answer = session.client.patch(_path(name), body, if_match)
    until = local_time(answer.body["until"], exact=False)
    session.show_done(f"hold {name} changed: it stands until {until}", answer)


@command(commands, "release")
def release(session: CommandSession, name: Name, if_match: IfMatch = None) -> None:
    """End a hold before its time. What is left goes back to its pool; workloads keep what they have."""
    answer = session.client.delete(_path(name), if_match=if_match)
    session.show_done(f"hold {name} released", answer)


def seconds_of(span: str) -> int:
    """A span such as `2h` in seconds; without a unit it is in seconds."""
    number, unit = (span[:-1], span[-1:]) if span[-1:] in UNITS else (span, "s")
    if not number.isascii() or not number.isdecimal():
        raise typer.BadParameter(f"{span!r} is no span of time: write 90m, 2h or 1d", param_hint="--for")
    seconds = int(number) * UNITS[unit]
    if not 1 <= seconds <= LONGEST_HOLD:
        days = LONGEST_HOLD // UNITS["d"]
        raise typer.BadParameter(f"a hold is for 1s to {days}d, not for {span}", param_hint="--for")
    return seconds


def _path(name: str) -> str:
    return f"{HOLDS}/{segment(name)}"


def _whom(item: dict[str, Any]) -> str:
    """For whom it is, in words."""
    words = [*item["namespaces"]]
    words += [f"workload {' '.join(item['workloads'])}"] if item["workloads"] else []
    words += [f"cluster {' '.join(item['clusters'])}"] if item["clusters"] else []
    return ", ".join(words)
