"""`ipamd token`: make a token in the database itself. The first token is made so."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer

from hosting import logs
from hosting.log_format import LogFormat
from ipamd.cli.settings import (
    DatabaseUrl,
    database_url_or_default,
    make_state_folder,
)
from ipamd.engine.clock import Clock
from ipamd.models.errors import DatabaseUnfit
from ipamd.models.instant import Instant, expiry
from ipamd.models.token import Role

commands = typer.Typer(name="token", help="Make tokens in the database itself.", no_args_is_help=True)


@commands.callback()
def _keep_it_a_group() -> None:
    """Make tokens in the database itself."""


@commands.command("create")
def create(
    role: Annotated[Role, typer.Option("--role", help="What the token allows.")] = Role.ADMIN,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the token in log and history.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="NAME", help="Cluster of a node or join token.")
    ] = None,
    node: Annotated[str | None, typer.Option("--node", metavar="NAME", help="Node of a node token.")] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME|90d|12h|30m", help="When the token expires. Default: never."),
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a token and print it. It is printed this once only.

    If a running ipamd has the SQLite database open, use `ipamctl token create` instead.
    """
    try:
        ends = expiry(expires, Clock()()) if expires is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from None
    url = database_url_or_default(database_url)
    if url.startswith("memory:"):
        raise DatabaseUnfit("memory:// is gone when this command ends: name a SQLite or PostgreSQL database")
    if not database_url:
        make_state_folder()
    logs.configure(logging.WARNING, LogFormat.TEXT)  # to stderr: stdout is the token's alone
    typer.echo(asyncio.run(_made(url, role, name, cluster, node, ends)))


async def _made(
    url: str, role: Role, name: str | None, cluster: str | None, node: str | None, expires: Instant | None
) -> str:
    """Make a token, and return its text."""
    # Imported here, as no other command needs it: each start waits for its imports.
    from ipamd.backends.registry import open_backend
    from ipamd.engine.administration.tokens import TokenRequest
    from ipamd.engine.engine import Engine

    request = TokenRequest(
        role=role, name=name, cluster=cluster, node=node, expires=expires, by="ipamd token create"
    )
    backend = await open_backend(url)
    try:
        engine = await Engine.open(backend)
    except BaseException:
        await backend.close()
        raise
    try:
        return (await engine.tokens.create(request)).text
    finally:
        await engine.close()
