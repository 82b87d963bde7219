"""The command `ipamctl`: its groups, its help, and how its errors end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    forecast,
    history,
    hold,
    importing,
    lease,
    log,
    network,
    node,
    owner,
    pool,
    quota,
    request,
    reservation,
    restore,
    route,
    status,
    token,
)
from ipamd.ctl.failure import CommandFailed
from ipamd.ctl.render import as_text, complain
from ipamd.ctl.session import SessionOptions, takes
from ipamd.models.wrong_value import why_wrong

HELP = """Manage the address pools of ipamd, and see who has which address.

\b
Examples:
  ipamctl pool create pods-v4 --subnet 10.64.0.0/16
  ipamctl allocation list --node worker-1
  ipamctl history 10.64.0.7

\b
ipamctl finds ipamd by the first of these that is set:
  --endpoint
  IPAMD_ENDPOINT
  `endpoint` in the profile, ~/.config/ipamd/profile.toml
  http://127.0.0.1:8750
It finds your token by the first of these that is set:
  --token-file
  IPAMD_TOKEN_FILE
  `token_file` in the profile; it is sent to the profile's endpoint only

\b
Exit codes:
  0  done
  1  ipamd refused the request, something does not exist, or `check` found contradictions
  2  the command line, the profile, the token file or another file is wrong
  3  ipamd cannot be reached, or cannot answer now
"""


@contextmanager
def _in_own_words() -> Iterator[None]:
    """Say of a wrong option what REST would say of a wrong field."""
    try:
        yield
    except typer.BadParameter as failure:
        from pydantic import ValidationError  # loaded already, or nobody raised it

        if isinstance(failure.__cause__, ValidationError):
            failure.message = as_text(why_wrong(failure.__cause__.errors()[0]))
        raise


class _Sentences(TyperGroup):
    """Ends a failing command with one sentence on stderr and its exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _in_own_words():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _in_own_words():
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
for group in (
    pool,
    allocation,
    reservation,
    quota,
    hold,
    owner,
    request,
    route,
    node,
    lease,
    network,
    token,
    restore,
):
    application.add_typer(group.commands)
apply.register(application)
importing.register(application)
history.register(application)
log.register(application)
check.register(application)
explain.register(application)
forecast.register(application)
status.register(application)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ipamctl {version('ipamd')}")
        raise typer.Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class MainOptions(SessionOptions):
    """The options before a command's name."""

    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit."),
    ] = False


@application.callback()
@takes(MainOptions)
def remember(context: typer.Context, options: MainOptions) -> None:
    context.obj = options
