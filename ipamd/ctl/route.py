"""`ipamctl route`: the routes that a pool gives to its containers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Final

import typer

from ipamd.ctl.client import segment
from ipamd.ctl.paging import Limit
from ipamd.ctl.session import CommandSession, command

commands = typer.Typer(name="route", help="Routes that a pool gives to its containers.", no_args_is_help=True)

FIELDS: Final = ("dst", "gw", "mtu", "advmss", "priority", "table", "scope")
Pool = Annotated[str, typer.Argument(metavar="POOL")]
Destination = Annotated[
    str, typer.Argument(metavar="DST", help="Destination of the route: 10.1.0.0/16, 0.0.0.0/0, ::/0.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteOptions:
    """The optional fields of a route (CNI 1.1.0, "Result types")."""

    gw: Annotated[
        str | None, typer.Option("--gw", metavar="ADDRESS", help="Next hop. Default: the pool's gateway.")
    ] = None
    mtu: Annotated[int | None, typer.Option("--mtu", metavar="BYTES", help="Path MTU.")] = None
    advmss: Annotated[int | None, typer.Option("--advmss", metavar="BYTES", help="MSS to announce.")] = None
    priority: Annotated[int | None, typer.Option("--priority", metavar="NUMBER", help="Metric.")] = None
    table: Annotated[int | None, typer.Option("--table", metavar="NUMBER", help="Routing table.")] = None
    scope: Annotated[
        int | None, typer.Option("--scope", metavar="NUMBER", help="Scope: 0 is global, 253 link, 254 host.")
    ] = None


@command(commands, "list")
def list_routes(session: CommandSession, pool: Pool, limit: Limit = None) -> None:
    """List the routes of a pool."""
    session.show_list(
        session.client.pages(_path(pool), limit=limit),
        [field.upper() for field in FIELDS],
        lambda route: [route.get(field) for field in FIELDS],
    )


@command(commands, "add")
def add(session: CommandSession, pool: Pool, dst: Destination, options: RouteOptions) -> None:
    """Add a route to a pool."""
    given = {field: value for field, value in asdict(options).items() if value is not None}
    answer = session.client.post(_path(pool), {"dst": dst, **given})
    session.show_done(f"pool {pool} has a route to {dst}", answer)


@command(commands, "remove")
def remove(session: CommandSession, pool: Pool, dst: Destination) -> None:
    """Remove a route from a pool."""
    answer = session.client.delete(_path(pool), {"dst": dst})
    session.show_done(f"pool {pool} has no route to {dst}", answer)


def _path(pool: str) -> str:
    return f"/v1/pools/{segment(pool)}/routes"
