"""`ipamctl restore`: after a database was put back."""

from __future__ import annotations

from typing import Any, Final

import typer

from ipamd.ctl.session import CommandSession, command

commands = typer.Typer(
    name="restore", help="After a restored database: nodes that are waited for.", no_args_is_help=True
)

RESTORE: Final = "/v1/restore"


@command(commands, "status")
def status(session: CommandSession) -> None:
    """Show since when ipamd gives nothing to anybody new, and who has not said what lives on it."""
    found = session.client.get(RESTORE)
    if found.body["began"] is None:
        session.show_done("nobody is waited for: ipamd gives addresses to all", found)
        return
    said = [f"since {found.body['began']} nothing is given to anybody new"]
    if found.body.get("cause"):
        said.append(f"the database is an older one: {found.body['cause']}")
    for key, text in (
        ("silent", "no word yet from"),
        ("conflicting", "conflicts, as `ipamctl check` tells, on"),
    ):
        if found.body[key]:
            said.append(f"{text} {', '.join(map(_name, found.body[key]))}")
    session.show_done("; ".join(said), found)


@command(commands, "finish")
def finish(session: CommandSession) -> None:
    """Wait for no more nodes. What lives on a node that has not spoken may then be given to others."""
    session.show_done("ipamd gives addresses to all again", session.client.post(f"{RESTORE}/finish", {}))


def _name(node: dict[str, Any]) -> str:
    return f"{node['cluster']}/{node['name']}"
