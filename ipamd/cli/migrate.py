"""`ipamd migrate`: bring a database's schema up to date, or show it."""

from __future__ import annotations

from typing import Annotated

import typer

from ipamd.cli.settings import DatabaseUrl, database_url_or_default, make_state_folder


def migrate(
    database_url: DatabaseUrl = None,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="REVISION", min=1, help="Stop at this revision. Default: the latest."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="List the revisions and change nothing.")] = False,
    wait: Annotated[
        int,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            min=0,
            max=3600,
            help="Wait up to this long for PostgreSQL to answer.",
        ),
    ] = 0,
) -> None:
    """Bring a database's schema up to date: completely, or not at all.

    With SQLite `ipamd serve` does this itself. If a later ipamd has migrated the database and this ipamd can
    still serve it, nothing changes.
    """
    # Imported here, as no other command needs it: each start waits for its imports.
    from ipamd.backends import migrations
    from ipamd.backends.sql.schema import REVISION

    url = database_url_or_default(database_url)
    if wait:
        migrations.wait(url, wait)
    if show:
        if to is not None:
            raise typer.BadParameter("--show changes nothing: give one of the two", param_hint="--to")
        _show(url)
        return
    if not database_url:
        make_state_folder()
    found = migrations.upgrade(url, to).revision
    later = ", which a later ipamd made and this one can serve" if found > REVISION else ""
    typer.echo(f"the schema is at revision {found}{later}")


def _show(url: str) -> None:
    from ipamd.backends import migrations
    from ipamd.backends.sql import steps

    found = migrations.current(url)
    typer.echo(f"the schema is at revision {found.revision}")
    for migration in steps.history():
        state = "done" if migration.revision <= found.revision else "to do"
        typer.echo(f"{migration.revision:>4}  {state:<5}  {migration.title}")
    if found.oldest_code:
        typer.echo(f"an ipamd that knows revision {found.oldest_code} or a later one can serve it")
