"""`ipamctl pool`: which addresses ipamd gives, and to whom."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.client import segment
from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.ctl.paging import Limit
from ipamd.ctl.pool_options import PoolOptions
from ipamd.ctl.precondition import IfMatch
from ipamd.ctl.session import CommandSession, command
from ipamd.ctl.usage import print_usage, usage_of, usage_of_all
from ipamd.models.address import AddressRange
from ipamd.models.pool import PoolState

commands = typer.Typer(
    name="pool", help="Pools: subnets that ipamd gives addresses from.", no_args_is_help=True
)

POOLS: Final = "/v1/pools"
Name = Annotated[str, typer.Argument(metavar="NAME")]


class Clearable(StrEnum):
    """The fields that `pool edit --clear` empties."""

    RANGES = "ranges"
    EXCLUSIONS = "exclusions"
    ROUTES = "routes"
    DNS = "dns"
    CLUSTERS = "clusters"
    NETWORKS = "networks"
    NODES = "nodes"
    NODE_LABELS = "node-labels"
    NAMESPACES = "namespaces"


SELECTORS: Final = frozenset(
    {
        Clearable.CLUSTERS,
        Clearable.NETWORKS,
        Clearable.NODES,
        Clearable.NODE_LABELS,
        Clearable.NAMESPACES,
    }
)


@command(commands, "create")
def create(
    session: CommandSession,
    name: Name,
    subnet: Annotated[
        str, typer.Option("--subnet", metavar="CIDR", help="The pool's subnet: 10.0.0.0/16 or fd00::/64.")
    ],
    options: PoolOptions,
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            metavar="NAME",
            help="Address space. Pools of one space may not overlap. Default: `default`.",
        ),
    ] = None,
) -> None:
    """Create a pool."""
    body = {"name": name, "subnet": subnet, **options.body()}
    if space is not None:
        body["space"] = space
    answer = session.client.post(POOLS, body)
    session.show_done(f"pool {name} created with {answer.body['subnet']}", answer)


@command(commands, "list")
def list_pools(session: CommandSession, limit: Limit = None) -> None:
    """List all pools."""
    session.show_list(
        session.client.pages(POOLS, limit=limit),
        ("NAME", "SPACE", "SUBNET", "GATEWAY", "STATE", "PRIORITY", "AUTO", "ONLY FOR"),
        lambda pool: (
            pool["name"],
            pool["space"],
            pool["subnet"],
            pool["gateway"],
            pool["state"],
            pool["priority"],
            pool["auto_assign"],
            pool["selectors"],
        ),
    )


@command(commands, "show")
def show(session: CommandSession, name: Name) -> None:
    """Show one pool with all its fields."""
    session.show_record(session.client.get(_path(name)).body)


@command(commands, "edit")
def edit(
    session: CommandSession,
    name: Name,
    options: PoolOptions,
    subnet: Annotated[
        str | None, typer.Option("--subnet", metavar="CIDR", help="Grow the subnet to this shorter prefix.")
    ] = None,
    state: Annotated[
        PoolState | None, typer.Option("--state", help="`draining`: give no new addresses; held ones stay.")
    ] = None,
    add_exclude: Annotated[
        list[str] | None,
        typer.Option("--add-exclude", metavar="RANGE", help="Exclude this too; repeatable."),
    ] = None,
    remove_exclude: Annotated[
        list[str] | None,
        typer.Option("--remove-exclude", metavar="RANGE", help="Exclude this no longer; repeatable."),
    ] = None,
    clear: Annotated[
        list[Clearable] | None, typer.Option("--clear", help="Empty this field; repeatable.")
    ] = None,
    if_match: IfMatch = None,
) -> None:
    """Change a pool. Options that are not given change nothing.

    --range, --exclude, --route, --dns and selectors replace what the pool has; --node-label adds to it.
    """
    changes = options.body()
    changes |= {key: value for key, value in (("subnet", subnet), ("state", state)) if value is not None}
    for field in clear or []:
        _clear(field, changes)
    if add_exclude or remove_exclude:
        if "exclusions" in changes:
            raise typer.BadParameter(
                "--exclude replaces all exclusions: give it alone", param_hint="--add-exclude"
            )
        # What comes out depends on what was there: the revision that was read must still be the last.
        current = session.client.get(_path(name))
        changes["exclusions"] = _exclusions(current.body, add_exclude or [], remove_exclude or [])
        if_match = if_match or current.etag
    if not changes:
        raise typer.BadParameter("nothing to change: give at least one option", param_hint="pool edit")
    answer = session.client.patch(_path(name), changes, if_match)
    session.show_done(f"pool {name} changed", answer)


@command(commands, "delete")
def delete(session: CommandSession, name: Name, if_match: IfMatch = None) -> None:
    """Delete a pool. ipamd refuses if anybody holds an address of it."""
    session.show_done(f"pool {name} deleted", session.client.delete(_path(name), if_match=if_match))


@command(commands, "usage")
def usage(
    session: CommandSession,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The pool. Default: all pools.")] = None,
) -> None:
    """Show how full one pool is, or all pools."""
    found = [usage_of(session.client, name)] if name is not None else usage_of_all(session.client)
    if session.for_people:
        print_usage(found)
    elif name is not None:
        session.show_document(found[0])
    else:
        session.show_document({"items": found, "next": None})


def _path(name: str) -> str:
    return f"{POOLS}/{segment(name)}"


def _exclusions(pool: dict[str, Any], add: list[str], remove: list[str]) -> list[str]:
    """The pool's exclusions after the change. One range may be written in two ways."""
    kept = {AddressRange.parse(text): text for text in pool["exclusions"]}
    for text in remove:
        if kept.pop(_range(text, "--remove-exclude"), None) is None:
            known = ", ".join(pool["exclusions"]) or "nothing"
            raise CommandFailed(
                f"pool {pool['name']} does not exclude {text}; it excludes {known}", ExitCode.REFUSED
            )
    for text in add:
        kept.setdefault(_range(text, "--add-exclude"), text)
    return list(kept.values())


def _range(text: str, option: str) -> AddressRange:
    try:
        return AddressRange.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _clear(field: Clearable, changes: dict[str, Any]) -> None:
    """Ask for a field's default, which is empty: null in a merge patch (RFC 7396)."""
    where = changes.setdefault("selectors", {}) if field in SELECTORS else changes
    key = field.value.replace("-", "_")
    if key in where:
        raise typer.BadParameter(f"{field} cannot be both given and cleared", param_hint="--clear")
    where[key] = None
