"""`ipamctl token`: who may ask ipamd for what."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.paging import Limit
from ipamd.ctl.render import print_line
from ipamd.ctl.session import CommandSession, command
from ipamd.models.instant import expiry, rfc3339
from ipamd.models.token import Role

commands = typer.Typer(name="token", help="Tokens: who may ask ipamd for what.", no_args_is_help=True)

TOKENS: Final = "/v1/tokens"
COLUMNS: Final = ("ID", "ROLE", "NAME", "CLUSTER", "NODE", "CREATED", "BY", "EXPIRES", "LAST USED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """To what a token is bound."""

    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the token in log and history.")
    ] = None
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="NAME", help="Cluster of a node or join token.")
    ] = None
    node: Annotated[str | None, typer.Option("--node", metavar="NAME", help="Node of a node token.")] = None
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME|90d|12h|30m", help="When the token expires. Default: never."),
    ] = None


@command(commands, "create")
def create(
    session: CommandSession,
    role: Annotated[Role, typer.Argument(metavar="ROLE", help="What the token allows.")],
    bounds: Bounds,
) -> None:
    """Make a token and print it. It is printed this once only."""
    given = {
        "role": role.value,
        "name": bounds.name,
        "cluster": bounds.cluster,
        "node": bounds.node,
        "expires": _moment(bounds.expires),
    }
    made = session.client.post(TOKENS, {key: value for key, value in given.items() if value is not None})
    if session.for_people:
        print_line(made.body["token"])
    else:
        session.show_document(made.body)


@command(commands, "list")
def list_tokens(session: CommandSession, limit: Limit = None) -> None:
    """List all tokens, oldest first. The secrets are not shown."""
    session.show_list(session.client.pages(TOKENS, limit=limit), COLUMNS, _row)


@command(commands, "revoke")
def revoke(
    session: CommandSession,
    number: Annotated[int, typer.Argument(metavar="ID", help="The number that `list` shows.")],
) -> None:
    """Revoke a token. Every replica refuses it within five seconds."""
    answer = session.client.delete(f"{TOKENS}/{number}")
    session.show_done(f"token {number} is revoked", answer)


def _row(token: dict[str, Any]) -> tuple[Any, ...]:
    keys = ("id", "role", "name", "cluster", "node", "created", "created_by", "expires", "last_used")
    return tuple(token[key] for key in keys)


def _moment(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return rfc3339(expiry(text, time.time_ns() // 1000))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from None
