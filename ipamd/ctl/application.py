"""The command `ipamctl`: its groups, its help, and how its errors end."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ipamd.ctl import (
    allocation,
    apply,
    check,
    explain,
    history,
    importing,
    node,
    pool,
    reservation,
    route,
    status,
    token,
)
from ipamd.ctl.failure import CommandFailed
from ipamd.ctl.render import complain
from ipamd.ctl.session import SessionOptions, takes

HELP = """Say what addresses there are, and see who has them, over ipamd's REST interface.

\b
Exit codes:
  0  done
  1  ipamd refused it, or what was named does not exist; check found what contradicts
  2  the command line, the profile, the token file or a file given is wrong
  3  ipamd cannot be reached, or cannot answer now

\b
Where ipamd is, in this order:
  --endpoint
  IPAMD_ENDPOINT
  `endpoint` in ~/.config/ipamd/profile.toml
  http://127.0.0.1:8750
The file with the token:
  --token-file
  IPAMD_TOKEN_FILE
  `token_file` in the profile, for the profile's endpoint only
"""


class _Sentences(TyperGroup):
    """Ends a failing command with one sentence on stderr and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CommandFailed as failure:
            complain(failure.sentence)
            for detail in failure.details:
                complain(f"  {detail}")
            raise typer.Exit(failure.exit_code) from None


application = typer.Typer(
    cls=_Sentences,
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (pool, allocation, reservation, route, node, token):
    application.add_typer(group.commands)
apply.register(application)
importing.register(application)
history.register(application)
check.register(application)
explain.register(application)
status.register(application)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ipamctl {version('ipamd')}")
        raise typer.Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class MainOptions(SessionOptions):
    """What stands before a command's name."""

    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and end."),
    ] = False


@application.callback()
@takes(MainOptions)
def remember(context: typer.Context, options: MainOptions) -> None:
    context.obj = options
