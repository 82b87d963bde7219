"""The option by which a change is made only of what was read."""

from __future__ import annotations

from typing import Annotated

import typer

IfMatch = Annotated[
    str | None,
    typer.Option("--if-match", metavar="REVISION", help="Do it only if it is still at this revision."),
]
