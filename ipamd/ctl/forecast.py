"""`ipamctl forecast`: when pools are full."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from ipamd.ctl.client import Client, segment
from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.ctl.local_time import local_time
from ipamd.ctl.render import print_table
from ipamd.ctl.session import CommandSession, command

COLUMNS: Final = ("POOL", "ROOM", "GROWTH PER DAY", "DAYS UNTIL FULL", "FULL AT", "WHY NOT")

Days = Annotated[
    int, typer.Option("--days", metavar="DAYS", min=3, max=365, help="Take the pace of the last DAYS.")
]


def register(application: typer.Typer) -> None:
    """Add `forecast` to the command."""
    command(application, "forecast")(forecast)


def forecast(
    session: CommandSession,
    pools: Annotated[list[str] | None, typer.Argument(metavar="POOL", help="Default: all pools.")] = None,
    days: Days = 30,
) -> None:
    """Show when pools are full at the pace of their last days, the first to be full first.

    A straight line is fitted to hourly samples. Where that says nothing, the reason is shown.
    """
    found = [_of(session.client, pool, days) for pool in pools] if pools else _of_all(session.client, days)
    found.sort(key=lambda row: (row["days_until_full"] is None, row["days_until_full"] or 0, row["pool"]))
    if session.for_people:
        print_table(COLUMNS, map(_row, found))
    else:
        session.show_document({"items": found, "next": None})


def _of(client: Client, pool: str, days: int) -> dict[str, Any]:
    return {"pool": pool, **client.get(f"/v1/pools/{segment(pool)}/forecast", {"days": days}).body}


def _of_all(client: Client, days: int) -> list[dict[str, Any]]:
    """The forecast of every pool, without pools that were deleted meanwhile."""
    found = []
    for pool in client.pages("/v1/pools").items:
        try:
            found.append(_of(client, pool["name"], days))
        except CommandFailed as failure:
            if failure.exit_code is not ExitCode.REFUSED:
                raise
    return found


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    full_at = local_time(item["full_at"], exact=False) if item["full_at"] is not None else None
    return (item["pool"], item["room"], item["growth_per_day"], item["days_until_full"], full_at, item["why"])
