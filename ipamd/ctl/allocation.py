"""`ipamctl allocation`: who has which address now."""

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
from ipamd.models.limits import LONGEST_WAIT

commands = typer.Typer(
    name="allocation", help="Allocations: who has which address now.", no_args_is_help=True
)

ALLOCATIONS: Final = "/v1/allocations"
WAITERS: Final = "/v1/waiters"
WAITERS_COLUMNS: Final = ("NUMBER", "OWNER", "WAITS FOR", "SINCE", "UNTIL")
COLUMNS: Final = ("ID", "ADDRESS", "SPACE", "POOL", "HOLDER", "NODE", "CONTAINER", "SINCE")

Which = Annotated[
    str, typer.Argument(metavar="ID|ADDRESS", help="The number of the allocation, or its address.")
]
WaitSeconds = Annotated[
    int | None,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0,
        max=LONGEST_WAIT,
        help="If there is no room, wait for it, first come first served.",
    ),
]
Space = Annotated[
    str | None,
    typer.Option("--space", metavar="NAME", help="Address space. For an address the default is `default`."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which allocations are listed: those that match all given options."""

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
class WhichAddress:
    """Which address an owner asks for, and what selectors compare."""

    pool: Annotated[
        str | None,
        typer.Option("--pool", metavar="NAME", help="Take from this pool. Default: selectors choose."),
    ] = None
    address: Annotated[
        str | None, typer.Option("--address", metavar="ADDRESS", help="Take this address and no other.")
    ] = None
    prefix_length: Annotated[
        int | None,
        typer.Option(
            "--prefix-length", metavar="LENGTH", help="A prefix of this length, such as 28, and no address."
        ),
    ] = None
    space: Space = None
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME")] = None
    node: Annotated[str | None, typer.Option("--node", metavar="NAME")] = None
    namespace: Annotated[str | None, typer.Option("--namespace", metavar="NAME")] = None
    name: Annotated[str | None, typer.Option("--name", metavar="NAME")] = None


@command(commands, "list")
def list_allocations(session: CommandSession, filters: Filters, limit: Limit = None) -> None:
    """List who has which address."""
    session.show_list(session.client.pages(ALLOCATIONS, asdict(filters), limit), COLUMNS, _row)


@command(commands, "show")
def show(session: CommandSession, which: Which, space: Space = None) -> None:
    """Show one allocation with all its fields."""
    session.show_record(session.client.get(f"{ALLOCATIONS}/{_number(session, which, space)}").body)


@command(commands, "create")
def create(
    session: CommandSession,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Who holds the address: a VM, a device.")],
    which: WhichAddress,
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="KEY", help="The same key gives the same address again."),
    ] = None,
    wait: WaitSeconds = None,
) -> None:
    """Give an address to something other than a container."""
    key = idempotency_key or str(uuid4())
    body = {"owner": owner, **{field: value for field, value in asdict(which).items() if value is not None}}
    try:
        answer = session.client.post(ALLOCATIONS, body, {"Idempotency-Key": key}, wait)
    except CommandFailed as failure:
        if failure.exit_code is ExitCode.UNREACHABLE and idempotency_key is None:
            # The address may be taken and the answer lost: only the same key finds it again.
            sentence = f"{failure.sentence}; add --idempotency-key {key} to ask for the same address again"
            raise CommandFailed(sentence, failure.exit_code) from None
        raise
    session.show_done(_given(answer.body), answer)


@command(commands, "waiting")
def waiting(session: CommandSession, limit: Limit = None) -> None:
    """List the allocations that wait for room, in the order in which they came."""
    session.show_list(session.client.pages(WAITERS, None, limit), WAITERS_COLUMNS, _waiter_row)


@command(commands, "release")
def release(
    session: CommandSession,
    which: Annotated[
        str | None,
        typer.Argument(metavar="[ID|ADDRESS]", help="The number of the allocation, or its address."),
    ] = None,
    space: Space = None,
    workload: Annotated[
        str | None,
        typer.Option(
            "--workload", metavar="NAMESPACE/NAME", help="All that this pod holds, in every network."
        ),
    ] = None,
    uid: Annotated[
        str | None, typer.Option("--uid", metavar="UID", help="With --workload: only the pod with this UID.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="NAME", help="With --workload: the pod's cluster.")
    ] = None,
    why: Annotated[
        str | None,
        typer.Option("--why", metavar="TEXT", help="With --workload: why, for the history."),
    ] = None,
) -> None:
    """Release an address, whoever holds it, or all addresses of a pod. Make sure that nobody uses them."""
    if (which is None) == (workload is None):
        raise typer.BadParameter("name an allocation, or a pod with --workload", param_hint="ID|ADDRESS")
    if workload is not None:
        namespace, slash, name = workload.partition("/")
        if not (namespace and slash and name):
            raise typer.BadParameter(f"{workload!r} is not NAMESPACE/NAME", param_hint="--workload")
        given = {"uid": uid, "cluster": cluster, "why": why}
        body = {"namespace": namespace, "name": name} | {key: each for key, each in given.items() if each}
        answer = session.client.post(f"{ALLOCATIONS}/release", body)
        session.show_done(f"{workload} released: {' '.join(answer.body['released'])}", answer)
        return
    assert which is not None  # one of the two is given
    number = _number(session, which, space)
    answer = session.client.delete(f"{ALLOCATIONS}/{segment(str(number))}")
    session.show_done(f"allocation {number} released", answer)


def written(allocation: dict[str, Any]) -> str:
    """The address, or the prefix."""
    length = allocation["prefix_length"]
    return str(allocation["address"]) if length is None else f"{allocation['address']}/{length}"


def holder_of(allocation: dict[str, Any]) -> str:
    """The holder as people name it: its owner, else its workload, else its container."""
    owner = allocation["owner"]
    if owner is not None:
        # Only owners whom pods name are in a cluster: their names are those of a namespace.
        return f"{allocation['namespace']}/{owner}" if allocation["cluster"] is not None else f"{owner}"
    holder = workload_of(allocation) or f"{allocation['network']}/{allocation['ifname']}"
    owner = allocation["held_for"]
    return holder if owner is None else f"{holder} for {owner}"


def workload_of(item: dict[str, Any]) -> str | None:
    """The workload as people name it, None if the runtime gave no name."""
    return Workload(namespace=item["namespace"], name=item["name"]).title


def _row(allocation: dict[str, Any]) -> Iterable[Any]:
    return (
        allocation["id"],
        written(allocation),
        allocation["space"],
        allocation["pool"],
        holder_of(allocation),
        node_of(allocation),
        (allocation["container_id"] or "-")[:12],
        allocation["since"],
    )


def _waiter_row(waiter: dict[str, Any]) -> Iterable[Any]:
    lacks = ", ".join(waiter["lacks"])
    return waiter["number"], waiter["owner"], lacks, waiter["since"], waiter["until"]


def node_of(allocation: dict[str, Any]) -> str | None:
    """The node, with its cluster unless that is the default one."""
    node, cluster = allocation["node"], allocation["cluster"]
    return node if node is None or cluster in (None, "default") else f"{cluster}/{node}"


def _given(body: Any) -> str:
    return f"{body['owner']} has {written(body)} of pool {body['pool']} (allocation {body['id']})"


def _number(session: CommandSession, which: str, space: str | None) -> int:
    """The number of an allocation. An address is looked up among the held ones."""
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
            f"{address} has several holders: name one of their allocations, {numbers}", ExitCode.REFUSED
        )
    return int(found[0]["id"])
