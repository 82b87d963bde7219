"""`ipamctl allocation`: who has an address now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final
from uuid import uuid4

import typer

from ipamd.ctl.client import segment
from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.ctl.paging import Limit
from ipamd.ctl.session import CommandSession, command
from ipamd.models.address import parse_address
from ipamd.models.allocation import Workload

commands = typer.Typer(name="allocation", help="Who has an address now.", no_args_is_help=True)

ALLOCATIONS: Final = "/v1/allocations"
COLUMNS: Final = ("ID", "ADDRESS", "SPACE", "POOL", "HOLDER", "NODE", "CONTAINER", "SINCE")

Which = Annotated[str, typer.Argument(metavar="ID|ADDRESS", help="The allocation's number or its address.")]
Space = Annotated[
    str | None, typer.Option("--space", metavar="NAME", help="Of this space; an address is of `default`.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which allocations are listed; all that is given must match."""

    pool: Annotated[str | None, typer.Option("--pool", metavar="NAME")] = None
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME")] = None
    network: Annotated[str | None, typer.Option("--network", metavar="NAME")] = None
    node: Annotated[str | None, typer.Option("--node", metavar="NAME")] = None
    namespace: Annotated[str | None, typer.Option("--namespace", metavar="NAME")] = None
    name: Annotated[str | None, typer.Option("--name", metavar="NAME")] = None
    container_id: Annotated[str | None, typer.Option("--container", metavar="ID")] = None
    owner: Annotated[str | None, typer.Option("--owner", metavar="NAME")] = None
    address: Annotated[str | None, typer.Option("--address", metavar="ADDRESS")] = None
    space: Space = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an owner's address must be, and on whose behalf pools are chosen."""

    pool: Annotated[
        str | None, typer.Option("--pool", metavar="NAME", help="Default: chosen by selectors.")
    ] = None
    address: Annotated[
        str | None, typer.Option("--address", metavar="ADDRESS", help="This address and no other.")
    ] = None
    space: Space = None
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME")] = None
    node: Annotated[str | None, typer.Option("--node", metavar="NAME")] = None
    namespace: Annotated[str | None, typer.Option("--namespace", metavar="NAME")] = None
    name: Annotated[str | None, typer.Option("--name", metavar="NAME")] = None


@command(commands, "list")
def list_allocations(session: CommandSession, filters: Filters, limit: Limit = None) -> None:
    """Who has which address."""
    session.show_list(session.client.pages(ALLOCATIONS, asdict(filters), limit), COLUMNS, _row)


@command(commands, "show")
def show(session: CommandSession, which: Which, space: Space = None) -> None:
    """One allocation with all its fields."""
    session.show_record(session.client.get(f"{ALLOCATIONS}/{_number(session, which, space)}").body)


@command(commands, "create")
def create(
    session: CommandSession,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="What holds it: a VM, a device.")],
    wish: Wish,
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="KEY", help="The same key again gives the same address."),
    ] = None,
) -> None:
    """Give an address to something that is no container."""
    key = idempotency_key or str(uuid4())
    body = {"owner": owner, **{field: value for field, value in asdict(wish).items() if value is not None}}
    try:
        answer = session.client.post(ALLOCATIONS, body, {"Idempotency-Key": key})
    except CommandFailed as failure:
        if failure.exit_code is ExitCode.UNREACHABLE and idempotency_key is None:
            # The answer may be lost and the address taken: only the same key finds it again.
            sentence = f"{failure.sentence}; to ask again for the same address add --idempotency-key {key}"
            raise CommandFailed(sentence, failure.exit_code) from None
        raise
    session.show_done(_given(answer.body), answer)


@command(commands, "release")
def release(session: CommandSession, which: Which, space: Space = None) -> None:
    """Take an address back from its holder, whoever that is: check that nobody uses it."""
    number = _number(session, which, space)
    answer = session.client.delete(f"{ALLOCATIONS}/{segment(str(number))}")
    session.show_done(f"allocation {number} released", answer)


def holder_of(allocation: dict[str, Any]) -> str:
    """The holder as people name it: the owner, the workload, or else the container."""
    if allocation["owner"] is not None:
        return f"{allocation['owner']}"
    return workload_of(allocation) or f"{allocation['network']}/{allocation['ifname']}"


def workload_of(item: dict[str, Any]) -> str | None:
    """The workload as people name it, None where the runtime told no name."""
    return Workload(namespace=item["namespace"], name=item["name"]).title


def _row(allocation: dict[str, Any]) -> Iterable[Any]:
    return (
        allocation["id"],
        allocation["address"],
        allocation["space"],
        allocation["pool"],
        holder_of(allocation),
        node_of(allocation),
        (allocation["container_id"] or "-")[:12],
        allocation["since"],
    )


def node_of(allocation: dict[str, Any]) -> str | None:
    """The node, with its cluster where that is not the default one."""
    node, cluster = allocation["node"], allocation["cluster"]
    return node if node is None or cluster in (None, "default") else f"{cluster}/{node}"


def _given(body: Any) -> str:
    return f"{body['owner']} has {body['address']} of pool {body['pool']} (allocation {body['id']})"


def _number(session: CommandSession, which: str, space: str | None) -> int:
    """The allocation's number; an address is looked up among those held now."""
    if which.isascii() and which.isdigit():
        return int(which)
    try:
        address = parse_address(which)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, nor a number", param_hint="ID|ADDRESS") from None
    found = session.client.pages(ALLOCATIONS, {"address": str(address), "space": space}).items
    if not found:
        where = f" in space {space}" if space is not None else ""
        raise CommandFailed(f"nobody holds {address}{where}", ExitCode.REFUSED)
    if len(found) > 1:
        numbers = ", ".join(str(item["id"]) for item in found)
        raise CommandFailed(
            f"{address} has several holders: name one of the allocations {numbers}", ExitCode.REFUSED
        )
    return int(found[0]["id"])
