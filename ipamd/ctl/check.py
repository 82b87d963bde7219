"""`ipamctl check`: contradictions in ipamd's database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.ctl.render import print_line, print_table
from ipamd.ctl.session import CommandSession, command

CHECK: Final = "/v1/check"
REPAIR: Final = "/v1/repair"
COLUMNS: Final = ("KIND", "POOL", "WHAT", "REPAIR")
MOST_SHOWN: Final = 1000


def register(application: typer.Typer) -> None:
    """Add `check` to the command."""
    command(application, "check")(check)


def check(
    session: CommandSession,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what can be repaired without a guess.")
    ] = False,
    trust_clock: Annotated[
        bool,
        typer.Option(
            "--trust-clock",
            help="With --repair: the service's clock is right, so drop history by it from now on.",
        ),
    ] = False,
    silent_days: Annotated[
        int | None,
        typer.Option(
            "--silent-days",
            min=0,
            help="Report nodes that hold addresses and have been silent for this many days; 0 reports none. "
            "Default: 7.",
        ),
    ] = None,
) -> None:
    """Look for contradictions between pools, blocks, allocations and nodes, while ipamd serves.

    The exit code is 1 if any contradiction is left, with --repair too.
    """
    if trust_clock and not repair:
        raise typer.BadParameter("it needs --repair", param_hint="--trust-clock")
    wanted: dict[str, int] = {} if silent_days is None else {"silent_days": silent_days}
    if trust_clock:
        wanted["trust_clock"] = True
    counts = {"blocks": 0, "allocations": 0, "findings": 0, "repaired": 0}
    repairable = False
    shown: list[dict[str, Any]] = []
    for portion in _portions(session, REPAIR if repair else CHECK, wanted):
        found = portion["items"]
        shown += found[: MOST_SHOWN - len(shown)]
        counts["findings"] += len(found)
        counts["repaired"] += sum(finding["repaired"] for finding in found)
        repairable |= any(finding["repairable"] for finding in found)
        counts["blocks"] += portion["blocks"]
        counts["allocations"] += portion["allocations"]
    if not session.for_people:
        session.show_document({"items": shown, **counts})
    else:
        if shown:
            print_table(COLUMNS, [_row(finding) for finding in shown])
        print_line(_summary(counts))
    left = counts["findings"] - counts["repaired"]
    if left:
        sentence = _what_is_left(left, counts, len(shown), repairable=repairable and not repair)
        raise CommandFailed(sentence, ExitCode.REFUSED)


def _portions(session: CommandSession, path: str, wanted: dict[str, int]) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        portion = session.client.post(path, {**wanted, "cursor": cursor}).body
        yield portion
        cursor = portion["next"]
        if cursor is None:
            return


def _row(finding: dict[str, Any]) -> tuple[Any, ...]:
    repair = "done" if finding["repaired"] else "possible" if finding["repairable"] else "by hand"
    return finding["kind"], finding["pool"], finding["what"], repair


def _summary(counts: dict[str, int]) -> str:
    return (
        f"checked {_counted(counts['blocks'], 'block')} and {_counted(counts['allocations'], 'allocation')}: "
        f"{_counted(counts['findings'], 'contradiction')}, {counts['repaired']} repaired"
    )


def _what_is_left(left: int, counts: dict[str, int], shown: int, *, repairable: bool) -> str:
    """What to do about what is left. If it is `repairable`, --repair mends some of it."""
    sentence = f"{_counted(left, 'contradiction')} {'is' if left == 1 else 'are'} left"
    if shown < counts["findings"]:
        sentence += f" ({shown} of {counts['findings']} are listed)"
    advice = "add --repair" if repairable else "docs/operations.md says what to do about each kind"
    return f"{sentence}: {advice}"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
