"""The option `--version` of a program."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import typer


def version_option(program: str) -> Any:
    """The option by which a program prints its name and the version of ipamd, and ends."""

    def show(asked: bool) -> None:
        if asked:
            typer.echo(f"{program} {version('ipamd')}")
            raise typer.Exit

    return typer.Option("--version", is_eager=True, callback=show, help="Print the version and exit.")
