"""How full pools are, for `pool usage` and `status`."""

from __future__ import annotations

from typing import Any, Final

from ipamd.ctl.client import Client, segment
from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.ctl.render import print_table

COUNTS: Final = (
    *("size", "allocated", "leased", "held", "cooling", "reserved", "excluded", "free"),
    *("away", "waiting"),
)


def usage_of(client: Client, pool: str) -> dict[str, Any]:
    """The counts of one pool, under its name."""
    counts = client.get(f"/v1/pools/{segment(pool)}/usage").body
    return {"pool": pool, **{key: counts[key] for key in COUNTS}, "prefixes": counts["prefixes"]}


def usage_of_all(client: Client) -> list[dict[str, Any]]:
    """The counts of every pool, without pools that were deleted meanwhile."""
    found = []
    for pool in client.pages("/v1/pools").items:
        try:
            found.append(usage_of(client, pool["name"]))
        except CommandFailed as failure:
            if failure.exit_code is not ExitCode.REFUSED:
                raise
    return found


def print_usage(usages: list[dict[str, Any]]) -> None:
    """A table with a row for each pool."""
    columns = ("pool", *COUNTS)
    print_table(
        [column.upper() for column in (*columns, "prefixes")],
        [[*(row[key] for key in columns), _prefixes(row["prefixes"])] for row in usages],
    )


def _prefixes(counts: dict[str, int]) -> str | None:
    """How many prefixes of each length: `3 /28, 1 /26`."""
    return ", ".join(f"{count} /{length}" for length, count in counts.items()) or None
