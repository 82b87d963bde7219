"""`ipamd migrate`: a database's schema, brought up to date or shown."""

from __future__ import annotations

from typing import Annotated

import typer

from ipamd.backends import migrations
from ipamd.backends.sql import steps
from ipamd.backends.sql.schema import REVISION
from ipamd.cli.settings import DatabaseUrl, database_url_or_default, make_state_folder


def migrate(
    database_url: DatabaseUrl = None,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="REVISION", min=1, help="Not to the latest revision but to this one."),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Say which revisions there are, and change nothing.")
    ] = False,
    wait: Annotated[
        int,
        typer.Option(
            "--wait", metavar="SECONDS", min=0, max=3600, help="Wait so long for PostgreSQL to be there."
        ),
    ] = 0,
) -> None:
    """Bring a database's schema up to date, all of the way or not at all.

    `ipamd serve` does so by itself for SQLite. The schema of a later ipamd is left alone where this one may
    serve it.
    """
    url = database_url_or_default(database_url)
    if wait:
        migrations.wait(url, wait)
    if show:
        if to is not None:
            raise typer.BadParameter("--show changes nothing", param_hint="--to")
        _show(url)
        return
    if not database_url:
        make_state_folder()
    found = migrations.upgrade(url, to).revision
    later = ", a later ipamd's, which this one may serve" if found > REVISION else ""
    typer.echo(f"the schema is at revision {found}{later}")


def _show(url: str) -> None:
    found = migrations.current(url)
    typer.echo(f"the schema is at revision {found.revision}")
    for migration in steps.history():
        state = "done" if migration.revision <= found.revision else "to do"
        typer.echo(f"{migration.revision:>4}  {state:<5}  {migration.title}")
    if found.oldest_code:
        typer.echo(f"an ipamd whose latest revision is {found.oldest_code} or later may serve it")
