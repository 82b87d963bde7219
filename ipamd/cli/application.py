"""The command `ipamd`: its subcommands, and how its errors end."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hosting.version_option import version_option
from ipamd.cli.migrate import migrate
from ipamd.cli.serve import serve
from ipamd.cli.token import commands as token
from ipamd.models.errors import DomainError, InvalidValue


class _Sentences(TyperGroup):
    """Ends a failing command with one sentence on stderr. The exit code is 2 for a wrong setting, else 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (DomainError, OSError) as error:
            sys.stderr.write(f"ipamd: {error}\n")
            raise typer.Exit(2 if isinstance(error, InvalidValue) else 1) from None


application = typer.Typer(
    cls=_Sentences,
    help="ipamd, the service that gives addresses to containers.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
application.command("serve")(serve)
application.command("migrate")(migrate)
application.add_typer(token)


@application.callback()
def options(version: Annotated[bool, version_option("ipamd")] = False) -> None:
    del version  # if it is given, its callback has ended the program
