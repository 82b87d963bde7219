"""`ipamctl reservation`: addresses that are kept for somebody, or for nobody."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.paging import Limit
from ipamd.ctl.session import CommandSession, command

commands = typer.Typer(name="reservation", help="Addresses kept for a holder.", no_args_is_help=True)

RESERVATIONS: Final = "/v1/reservations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """For whom an address is kept; with nothing given, for nobody."""

    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="With --name: a workload.")
    ] = None
    name: Annotated[str | None, typer.Option("--name", metavar="NAME")] = None
    owner: Annotated[str | None, typer.Option("--owner", metavar="NAME", help="Something else.")] = None

    def __str__(self) -> str:
        if self.owner is not None:
            return self.owner
        return f"{self.namespace}/{self.name}" if self.name is not None else "nobody"


@command(commands, "create")
def create(
    session: CommandSession,
    address: Annotated[str, typer.Argument(metavar="ADDRESS|PREFIX")],
    holder: Holder,
    space: Annotated[str | None, typer.Option("--space", metavar="NAME")] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why, for people.")] = None,
) -> None:
    """Keep an address or prefix: only its holder gets it."""
    if (holder.namespace is None) != (holder.name is None) or (holder.owner and holder.name):
        raise typer.BadParameter(
            "name a workload by both, or give --owner, or neither", param_hint="--namespace and --name"
        )
    given = {"address": address, "space": space, "note": note, **asdict(holder)}
    answer = session.client.post(
        RESERVATIONS, {field: value for field, value in given.items() if value is not None}
    )
    session.show_done(f"{address} is kept for {holder} (reservation {answer.body['id']})", answer)


@command(commands, "list")
def list_reservations(session: CommandSession, limit: Limit = None) -> None:
    """What is kept, and for whom."""
    session.show_list(
        session.client.pages(RESERVATIONS, limit=limit),
        ("ID", "ADDRESS", "SPACE", "HOLDER", "NOTE"),
        lambda item: (item["id"], item["address"], item["space"], _holder_in(item), item["note"]),
    )


@command(commands, "delete")
def delete(
    session: CommandSession, number: Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.")]
) -> None:
    """Keep it no longer; who holds the address now goes on holding it."""
    answer = session.client.delete(f"{RESERVATIONS}/{number}")
    session.show_done(f"reservation {number} deleted", answer)


def _holder_in(item: dict[str, Any]) -> str:
    return str(Holder(namespace=item["namespace"], name=item["name"], owner=item["owner"]))
