"""`ipamctl reservation`: addresses that are kept for one holder, or for nobody."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.paging import Limit
from ipamd.ctl.session import CommandSession, command

commands = typer.Typer(
    name="reservation",
    help="Reservations: addresses that are kept for one holder, or for nobody.",
    no_args_is_help=True,
)

RESERVATIONS: Final = "/v1/reservations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """For whom an address is kept: for nobody if nothing is given."""

    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", metavar="NAME", help="Keep it for the workload of this namespace and --name."
        ),
    ] = None
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the workload.")] = None
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="NAME", help="Keep it for this owner: a VM, a device.")
    ] = None

    def __str__(self) -> str:
        if self.owner is not None:
            return self.owner
        return f"{self.namespace}/{self.name}" if self.name is not None else "nobody"


@command(commands, "create")
def create(
    session: CommandSession,
    holder: Holder,
    address: Annotated[str | None, typer.Argument(metavar="[ADDRESS|PREFIX]", help="What is kept.")] = None,
    pool: Annotated[
        str | None,
        typer.Option("--pool", metavar="NAME", help="With --prefix-length: a free one of this pool."),
    ] = None,
    prefix_length: Annotated[
        int | None, typer.Option("--prefix-length", metavar="LENGTH", help="How long that prefix is.")
    ] = None,
    space: Annotated[str | None, typer.Option("--space", metavar="NAME", help="Address space.")] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="A note for people.")] = None,
) -> None:
    """Keep an address or a prefix for one holder. Without a holder nobody gets it."""
    if (holder.namespace is None) != (holder.name is None) or (holder.owner and holder.name):
        raise typer.BadParameter(
            "give both for a workload, or give --owner, or give none of them",
            param_hint="--namespace and --name",
        )
    if (address is None) == (prefix_length is None) or (pool is None) != (prefix_length is None):
        raise typer.BadParameter(
            "name what is kept, or give --pool and --prefix-length", param_hint="ADDRESS|PREFIX"
        )
    which = {"address": address, "pool": pool, "prefix_length": prefix_length}
    given = {**which, "space": space, "note": note, **asdict(holder)}
    answer = session.client.post(
        RESERVATIONS, {field: value for field, value in given.items() if value is not None}
    )
    made = answer.body
    session.show_done(f"{made['address']} is kept for {holder} (reservation {made['id']})", answer)
    if answer.body.get("warning"):
        session.warn(answer.body["warning"])


@command(commands, "list")
def list_reservations(session: CommandSession, limit: Limit = None) -> None:
    """List which addresses are kept, and for whom."""
    session.show_list(
        session.client.pages(RESERVATIONS, limit=limit),
        ("ID", "ADDRESS", "SPACE", "HOLDER", "NOTE"),
        lambda item: (item["id"], item["address"], item["space"], _holder_in(item), item["note"]),
    )


@command(commands, "delete")
def delete(
    session: CommandSession,
    number: Annotated[int, typer.Argument(metavar="ID", help="The number that `list` shows.")],
) -> None:
    """End a reservation. A holder keeps the address that it has."""
    answer = session.client.delete(f"{RESERVATIONS}/{number}")
    session.show_done(f"reservation {number} deleted", answer)


def _holder_in(item: dict[str, Any]) -> str:
    return str(Holder(namespace=item["namespace"], name=item["name"], owner=item["owner"]))
