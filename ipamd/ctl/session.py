"""What every command has: a connection to ipamd and a form of output.

A command is a function whose first parameter is a `CommandSession`. A dataclass as a parameter stands for an
option for each of its fields, so that options of several commands are written once.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, cast, get_type_hints

import typer

from ipamd.ctl.client import Client, Listing, RestAnswer
from ipamd.ctl.endpoint import Access
from ipamd.ctl.local_time import with_local_times
from ipamd.ctl.render import print_json, print_line, print_record, print_table, print_yaml

P = ParamSpec("P")


class Output(StrEnum):
    """The form of what a command prints."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Options of every command. They may stand before the command's name too; those after it win."""

    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="Where ipamd listens: http://HOST:PORT, https://HOST:PORT or unix:///PATH. Default: "
            "IPAMD_ENDPOINT, then the profile, then http://127.0.0.1:8750.",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="PATH",
            help="File with your token. Default: IPAMD_TOKEN_FILE, then the profile.",
        ),
    ] = None
    output: Annotated[
        Output | None,
        typer.Option(
            "--output",
            "-o",
            help="`table`: for people, the default. `wide`: every field, and all digits of a time. "
            "`json`, `yaml`: for programs.",
        ),
    ] = None

    def over(self, outer: SessionOptions) -> SessionOptions:
        """These options, and those of `outer` if they are not given here."""
        return SessionOptions(
            endpoint=self.endpoint or outer.endpoint,
            token_file=self.token_file or outer.token_file,
            output=self.output or outer.output,
        )


@dataclass(frozen=True, slots=True)
class CommandSession:
    """One run of a command against one ipamd."""

    client: Client
    output: Output

    @property
    def for_people(self) -> bool:
        """Whether a table or a sentence is wanted, not a document."""
        return self.output in (Output.TABLE, Output.WIDE)

    def show_list(
        self, listing: Listing, columns: Sequence[str], row: Callable[[Any], Iterable[Any]]
    ) -> None:
        """A list: as REST answers it, or a table with a row for each item."""
        if not self.for_people:
            self.show_document({"items": listing.items, "next": listing.next})
            return
        items = [with_local_times(item, exact=self.output is Output.WIDE) for item in listing.items]
        if self.output is Output.WIDE and items:
            fields = list(dict.fromkeys(field for item in items for field in item))
            print_table(
                [field.replace("_", " ").upper() for field in fields],
                [[item.get(field) for field in fields] for item in items],
            )
        else:
            print_table(columns, [tuple(row(item)) for item in items])
        if listing.next is not None:
            typer.echo("there are more rows: raise --limit, or leave it out", err=True)

    def show_record(self, body: Any) -> None:
        """One thing with all its fields."""
        if self.for_people:
            print_record(with_local_times(body, exact=self.output is Output.WIDE))
        else:
            self.show_document(body)

    def show_done(self, sentence: str, answer: RestAnswer) -> None:
        """What was done: a sentence, or the thing as it is now (nothing if it is gone)."""
        if self.for_people:
            print_line(sentence)
        elif answer.body is not None:
            self.show_document(answer.body)

    def warn(self, *sentences: str) -> None:
        """Say what its user may not have meant, after what was done; a document has it in itself."""
        if self.for_people:
            for sentence in sentences:
                print_line(f"warning: {sentence}")

    def show_document(self, value: Any) -> None:
        """A value for programs."""
        if self.output is Output.YAML:
            print_yaml(value)
        else:
            print_json(value)


def command(
    group: typer.Typer, name: str
) -> Callable[[Callable[Concatenate[CommandSession, P], None]], Callable[..., None]]:
    """Make a function a command of a group. Its docstring is the command's help."""

    def register(function: Callable[Concatenate[CommandSession, P], None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())[1:]

        @functools.wraps(function)
        def run(context: typer.Context, **given: Any) -> None:
            options: SessionOptions = _gather(SessionOptions, given)
            options = options.over(context.find_object(SessionOptions) or SessionOptions())
            arguments = {
                parameter.name: _gather(hints[parameter.name], given)
                if is_dataclass(hints[parameter.name])
                else given[parameter.name]
                for parameter in parameters
            }
            access = Access.resolve(options.endpoint, options.token_file, os.environ)
            with Client(access) as client:
                cast(Any, function)(CommandSession(client, options.output or Output.TABLE), **arguments)

        _describe(run, [_context(), *_expanded(parameters, hints), *_fields_of(SessionOptions)])
        group.command(name)(run)
        return run

    return register


def takes(options: type[Any]) -> Callable[[Callable[[typer.Context, Any], None]], Callable[..., None]]:
    """For the callback of a group: hand its options to a function as one dataclass."""

    def wrap(function: Callable[[typer.Context, Any], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(context: typer.Context, **given: Any) -> None:
            function(context, _gather(options, given))

        _describe(run, [_context(), *_fields_of(options)])
        return run

    return wrap


def _context() -> inspect.Parameter:
    return inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _expanded(parameters: Iterable[inspect.Parameter], hints: dict[str, Any]) -> Iterable[inspect.Parameter]:
    for parameter in parameters:
        hint = hints[parameter.name]
        if is_dataclass(hint):
            yield from _fields_of(cast(type[Any], hint))
        else:
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint)


def _fields_of(options: type[Any]) -> Iterable[inspect.Parameter]:
    hints = get_type_hints(options, include_extras=True)
    for field in fields(options):
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
        )


def _gather(options: Any, given: dict[str, Any]) -> Any:
    return options(**{field.name: given[field.name] for field in fields(options)})


def _describe(run: Any, parameters: list[inspect.Parameter]) -> None:
    """Tell Typer what the function takes: Typer reads signature and annotations."""
    run.__signature__ = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del run.__wrapped__
