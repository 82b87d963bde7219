"""How many rows of a list are shown."""

from typing import Annotated

import typer

Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="ROWS", min=1, help="Show at most this many rows. Default: all."),
]
