"""`ipamctl apply` and `ipamctl export`: pools, reservations and quotas as a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.desired import LISTS, DesiredFiles
from ipamd.ctl.failure import CommandFailed
from ipamd.ctl.render import as_text, print_json, print_line, print_yaml
from ipamd.ctl.session import CommandSession, Output, command
from ipamd.models import csv_table
from ipamd.models.csv_table import CsvKind

PATH: Final = "/v1/apply"
UNSTATED: Final = ("id", "gateway", "used", "exceeded", "counting")
"""What of an entry is not stated as it is told: a gateway is handled by itself."""

SIGNS: Final = {"create": "+", "change": "~", "delete": "-"}
DONE: Final = {"create": "created", "change": "changed", "delete": "deleted"}


def register(application: typer.Typer) -> None:
    """Add `apply` and `export` to the command."""
    command(application, "apply")(apply)
    command(application, "export")(export)


def apply(
    session: CommandSession,
    file: Annotated[
        list[str],
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="YAML file with the lists `pools`, `reservations` and `quotas`, or CSV of one of the "
            "first two; `-` is stdin; repeatable.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
    ] = (False),
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete what the lists of the files do not name."),
    ] = False,
) -> None:
    """Create and change pools, reservations and quotas as files say: all of it, or nothing."""
    wanted = DesiredFiles.read(file)
    try:
        found = session.client.post(PATH, {**wanted.lists, "prune": prune, "dry_run": dry_run}).body
    except CommandFailed as failure:
        raise _located(failure, wanted) from None
    if not session.for_people:
        session.show_document(found)
        return
    for change in found["changes"]:
        for line in _lines(change):
            print_line(line)
    session.warn(*found.get("warnings", ()))
    print_line(_summary(found))


def export(
    session: CommandSession,
    kind: Annotated[
        CsvKind | None, typer.Option("--csv", help="Print these as CSV, for spreadsheets and `apply`.")
    ] = None,
) -> None:
    """Print all pools, reservations and quotas as a file for `apply`; or one table, as CSV."""
    if kind is not None:
        sys.stdout.writelines(csv_table.written(kind, session.client.each(f"/v1/{kind}")))
        return
    # An ipamd of the version before knows no quotas.
    kept = [name for name in LISTS if session.client.find(f"/v1/{name}") is not None]
    lists = {name: [_told(each) for each in session.client.pages(f"/v1/{name}").items] for name in kept}
    if session.output is Output.JSON:
        print_json(lists)
    else:
        print_yaml(lists)


def _told(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry without its empty fields."""
    told = {key: _filled(value) for key, value in entry.items() if key not in UNSTATED}
    told = {key: value for key, value in told.items() if value not in (None, [], {})}
    if "gateway" in entry:
        told["gateway"] = entry[
            "gateway"
        ]  # null says that there is none; absent, that it is the first address
    return told


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: part for key, part in value.items() if part not in (None, [], {})}
    return value


def _lines(change: dict[str, Any]) -> Iterator[str]:
    before, after = change["before"] or {}, change["after"] or {}
    entry = after or before
    name = entry["address"] if change["kind"] == "reservation" else entry["name"]
    yield f"{SIGNS[change['action']]} {change['kind']} {name}"
    if not after:
        return
    for key, value in after.items():
        if key in before and before[key] != value:
            yield f"    {key}: {as_text(before[key])} -> {as_text(value)}"
        elif not before and value not in (None, [], {}) and as_text(value) != "-":
            yield f"    {key}: {as_text(value)}"


def _summary(found: dict[str, Any]) -> str:
    counts = [
        (sum(change["action"] == action for change in found["changes"]), done)
        for action, done in DONE.items()
    ]
    would = "would be " if found["dry_run"] else ""
    said = ", ".join(f"{count} {would}{done}" for count, done in counts if count) or "nothing to do"
    return f"{said}; {found['unchanged']} unchanged"


def _located(failure: CommandFailed, wanted: DesiredFiles) -> CommandFailed:
    """The same failure, with the line of each wrong field, or with one line for each refusal."""
    problem = failure.problem or {}
    details = [f"{refusal['what']}: {refusal['why']}" for refusal in problem.get("refusals", ())]
    for error in problem.get("errors", ()):
        line = wanted.line_of(error["field"])
        details.append(
            f"{line}: {error['field']}: {error['why']}" if line else f"{error['field']}: {error['why']}"
        )
    if not details:
        return failure
    return CommandFailed("nothing was applied", failure.exit_code, problem, details)
