"""`ipamctl owner`: addresses that outlive their pods and move with them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.allocation import WaitSeconds, holder_of, written
from ipamd.ctl.client import Listing, segment
from ipamd.ctl.paging import Limit
from ipamd.ctl.session import CommandSession, command
from ipamd.models.pool import DEFAULT_CLUSTER

commands = typer.Typer(
    name="owner", help="Owners: addresses that outlive their pods and move with them.", no_args_is_help=True
)

OWNERS: Final = "/v1/owners"
COLUMNS: Final = ("CLUSTER", "NAMESPACE", "OWNER", "ADDRESS", "POOL", "HOLDERS", "AWAY SINCE", "KEPT UNTIL")
Which = Annotated[
    str, typer.Argument(metavar="NAMESPACE/NAME", help="The owner, in the namespace of its pods.")
]
Cluster = Annotated[str, typer.Option("--cluster", metavar="NAME")]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichAddress:
    """Which address the owner is to have."""

    pool: Annotated[
        str | None, typer.Option("--pool", metavar="NAME", help="Take an address of this pool.")
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
    space: Annotated[
        str | None, typer.Option("--space", metavar="NAME", help="Address space. Default: `default`.")
    ] = None
    node: Annotated[
        str | None, typer.Option("--node", metavar="NAME", help="The node whose block it is to come from.")
    ] = None


@command(commands, "list")
def list_owners(
    session: CommandSession,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", metavar="NAME")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME")] = None,
    limit: Limit = None,
) -> None:
    """List what owners have, and who holds it. An owner that is away keeps it until KEPT UNTIL."""
    asked = {"cluster": cluster, "namespace": namespace, "name": name}
    session.show_list(session.client.pages(OWNERS, asked, limit), COLUMNS, _row)


@command(commands, "show")
def show(session: CommandSession, owner: Which, cluster: Cluster = DEFAULT_CLUSTER) -> None:
    """Show all that an owner has."""
    found = session.client.get(_path(owner), {"cluster": cluster}).body
    session.show_list(Listing(found["items"], None), COLUMNS, _row)


@command(commands, "create")
def create(
    session: CommandSession,
    owner: Which,
    which: WhichAddress,
    cluster: Cluster = DEFAULT_CLUSTER,
    wait: WaitSeconds = None,
) -> None:
    """Give an owner an address before its first pod starts. It stays until a pod has had it."""
    namespace, name = _parts(owner)
    given = {field: value for field, value in asdict(which).items() if value is not None}
    body = {"namespace": namespace, "name": name, "cluster": cluster, **given}
    answer = session.client.post(OWNERS, body, wait=wait)
    addresses = " ".join(map(written, answer.body["items"]))
    session.show_done(f"owner {owner} has {addresses}", answer)


@command(commands, "release")
def release(
    session: CommandSession,
    owner: Which,
    cluster: Cluster = DEFAULT_CLUSTER,
    holders: Annotated[
        bool, typer.Option("--holders", help="Also if pods hold it: they lose it. Make sure that none runs.")
    ] = False,
    why: Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Why, for the history.")] = None,
) -> None:
    """Release all that an owner has."""
    body: dict[str, Any] = {"cluster": cluster, "holders": holders, **({"why": why} if why else {})}
    answer = session.client.post(f"{_path(owner)}/release", body)
    session.show_done(f"owner {owner} released: {' '.join(answer.body['released'])}", answer)


def _path(owner: str) -> str:
    return "/".join((OWNERS, *map(segment, _parts(owner))))


def _parts(owner: str) -> tuple[str, str]:
    namespace, _, name = owner.partition("/")
    if not (namespace and name):
        raise typer.BadParameter(f"{owner!r} is not NAMESPACE/NAME", param_hint="NAMESPACE/NAME")
    return namespace, name


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    held = ", ".join(f"{holder_of(holder)} on {holder['node']}" for holder in item["holders"])
    return (
        item["cluster"],
        item["namespace"],
        item["name"],
        written(item),
        item["pool"],
        held or None,
        item["away_since"],
        item["kept_until"],
    )
