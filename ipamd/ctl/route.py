"""`ipamctl route`: the routes that a pool gives to its containers, and those between nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.client import Listing, segment
from ipamd.ctl.network import Cluster, network_of
from ipamd.ctl.paging import Limit
from ipamd.ctl.session import CommandSession, command
from ipamd.models.pool import DEFAULT_CLUSTER

commands = typer.Typer(
    name="route",
    help="Routes that a pool gives to its containers, and those between nodes.",
    no_args_is_help=True,
)

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


@command(commands, "table")
def table(session: CommandSession, cluster: Cluster = DEFAULT_CLUSTER) -> None:
    """List where the pod network of a cluster has which addresses: blocks, single ones, the nodes' own."""
    nodes = network_of(session, cluster).body["nodes"]
    session.show_list(
        Listing([route for node in nodes for route in _routes_to(node)], None),
        ("DST", "NODE", "VIA", "WHAT"),
        lambda route: (route["dst"], route["node"], route["via"], route["what"]),
    )


def _routes_to(node: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    own = [f"{address}/{128 if ':' in address else 32}" for address in node["pod_addresses"]]
    for what, destinations in (("block", node["blocks"]), ("borrowed", node["borrowed"]), ("node", own)):
        for dst in destinations:
            yield {"dst": dst, "node": node["name"], "via": node["address"], "what": what}


def _path(pool: str) -> str:
    return f"/v1/pools/{segment(pool)}/routes"
