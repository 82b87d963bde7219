"""`ipamctl lease`: what nodes hold in advance, and how to have it back."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.ctl.paging import Limit
from ipamd.ctl.session import CommandSession, command
from ipamd.models.pool import DEFAULT_CLUSTER

commands = typer.Typer(name="lease", help="Addresses that nodes hold in advance.", no_args_is_help=True)

LEASES: Final = "/v1/leases"
Name = Annotated[str, typer.Argument(metavar="NODE")]
Cluster = Annotated[str, typer.Option("--cluster", metavar="NAME")]


@command(commands, "list")
def list_leases(
    session: CommandSession,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME")] = None,
    pool: Annotated[
        str | None, typer.Option("--pool", metavar="NAME", help="Only nodes that hold some of this pool.")
    ] = None,
    limit: Limit = None,
) -> None:
    """List the nodes with a lease, their seats, and until when each may give addresses of it."""
    asked = {key: value for key, value in (("cluster", cluster), ("pool", pool)) if value is not None}
    session.show_list(
        session.client.pages(LEASES, asked, limit=limit),
        ("CLUSTER", "NODE", "SEATS", "TAKEN", "POOLS", "UNTIL", "LAST CONTACT"),
        lambda lease: (
            lease["cluster"],
            lease["node"],
            lease["seats"],
            lease["taken"],
            lease["pools"],
            lease["until"],
            lease["last_contact"],
        ),
    )


@command(commands, "show")
def show(session: CommandSession, node: Name, cluster: Cluster = DEFAULT_CLUSTER) -> None:
    """Show the lease of a node with all its fields."""
    found: list[dict[str, Any]] = session.client.pages(LEASES, {"cluster": cluster, "node": node}).items
    if not found:
        raise CommandFailed(f"node {node} of cluster {cluster} has no lease", ExitCode.REFUSED)
    session.show_record(found[0])


@command(commands, "recall")
def recall(session: CommandSession, node: Name, cluster: Cluster = DEFAULT_CLUSTER) -> None:
    """Have a node give back what it holds now: free addresses at once, others when their containers end.

    A node that is away does so when it is back. It may get new addresses afterwards: for a pool of which
    nobody is to hold any, run `ipamctl pool edit POOL --lease 0`.
    """
    answer = session.client.post(f"{LEASES}/recall", {"cluster": cluster, "node": node})
    session.show_done(
        f"node {node} of cluster {cluster} is to give back {answer.body['recalled']} seats", answer
    )
