"""`ipamctl request`: ask for an address or a reservation; approve or refuse what others ask for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.paging import Limit
from ipamd.ctl.session import CommandSession, command
from ipamd.models.change_request import RequestKind, RequestState

commands = typer.Typer(
    name="request",
    help="Requests: readers ask for addresses and reservations, admins decide.",
    no_args_is_help=True,
)

REQUESTS: Final = "/v1/requests"
COLUMNS: Final = ("ID", "STATE", "WHAT", "BY", "CREATED", "NOTE", "DECIDED BY", "REASON", "ADDRESS")

Number = Annotated[int, typer.Argument(metavar="ID", help="The number that `list` shows.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for."""

    address: Annotated[
        str | None, typer.Option("--address", metavar="ADDRESS", help="This very address, prefix or range.")
    ] = None
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="NAME", help="For this owner: a VM, a device.")
    ] = None
    pool: Annotated[
        str | None, typer.Option("--pool", metavar="NAME", help="Pool of the address (allocation).")
    ] = None
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="Namespace of the workload.")
    ] = None
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the workload.")] = None
    space: Annotated[str | None, typer.Option("--space", metavar="NAME", help="Address space.")] = None


@command(commands, "create")
def create(
    session: CommandSession,
    kind: Annotated[RequestKind, typer.Argument(metavar="allocation|reservation", help="What you need.")],
    wanted: Wanted,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why you need it.")] = None,
) -> None:
    """Ask for an address or a reservation. Nothing is taken or kept before an admin approves it."""
    given = {field: value for field, value in asdict(wanted).items() if value is not None}
    body = {kind.value: given} | ({"note": note} if note is not None else {})
    answer = session.client.post(REQUESTS, body)
    session.show_done(f"request {answer.body['id']} waits for an admin", answer)


@command(commands, "list")
def list_requests(
    session: CommandSession,
    state: Annotated[
        RequestState | None, typer.Option("--state", help="Only requests in this state.")
    ] = None,
    limit: Limit = None,
) -> None:
    """List requests, latest first."""
    listing = session.client.pages(REQUESTS, {"state": state.value if state is not None else None}, limit)
    session.show_list(listing, COLUMNS, _row)


@command(commands, "show")
def show(session: CommandSession, number: Number) -> None:
    """Show one request."""
    session.show_record(session.client.get(f"{REQUESTS}/{number}").body)


@command(commands, "approve")
def approve(
    session: CommandSession,
    number: Number,
    why: Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Kept with the request.")] = None,
) -> None:
    """Approve a request, and make what it asks for. If that is refused, the request stays open."""
    body = {"reason": why} if why is not None else {}
    answer = session.client.post(f"{REQUESTS}/{number}/approve", body)
    made = answer.body["outcome"]
    session.show_done(f"request {number} is approved: {answer.body['kind']} of {made['address']}", answer)


@command(commands, "refuse")
def refuse(
    session: CommandSession,
    number: Number,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept with the request.")],
) -> None:
    """Refuse a request."""
    answer = session.client.post(f"{REQUESTS}/{number}/refuse", {"reason": why})
    session.show_done(f"request {number} is refused", answer)


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    wanted = {key: value for key, value in item["wanted"].items() if key not in ("space", "cluster")}
    return (
        item["id"],
        item["state"],
        {item["kind"]: wanted},
        item["created_by"],
        item["created"],
        item["note"],
        item["decided_by"],
        item["reason"],
        (item["outcome"] or {}).get("address"),
    )
