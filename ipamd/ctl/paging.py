"""How much of a list is shown."""

from typing import Annotated

import typer

Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="ROWS", min=1, help="At most this many rows; default: all of them."),
]
