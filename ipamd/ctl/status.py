"""`ipamctl status`: does ipamd answer, can it serve, and how full are its pools."""

from __future__ import annotations

from typing import Any

import typer

from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.ctl.render import print_line, print_record
from ipamd.ctl.session import CommandSession, command
from ipamd.ctl.usage import print_usage, usage_of_all


def register(application: typer.Typer) -> None:
    """Add `status` to the command."""
    command(application, "status")(status)


def status(session: CommandSession) -> None:
    """Show whether ipamd can serve, and how full its pools are. The exit code is 3 if it cannot."""
    client = session.client
    unwell, unready = client.probe("/healthz"), client.probe("/readyz")
    found: dict[str, Any] = {
        "endpoint": client.endpoint.text,
        "healthy": unwell is None,
        "ready": unready is None,
        "version": client.get("/openapi.json").body["info"]["version"] if unwell is None else None,
    }
    usages = usage_of_all(client) if unready is None else []
    if not session.for_people:
        session.show_document({**found, "pools": usages})
    else:
        print_record(found)
        if usages:
            print_line("")
            print_usage(usages)
    why = unwell or unready
    if why is not None:
        raise CommandFailed(f"ipamd at {client.endpoint.text} cannot serve: {why}", ExitCode.UNREACHABLE)
