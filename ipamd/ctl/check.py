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
    found = _Found()
    for portion in _portions(session, REPAIR if repair else CHECK, wanted):
        found.add(portion)
    if not session.for_people:
        session.show_document({"items": found.shown, **found.counts})
    else:
        if found.shown:
            print_table(COLUMNS, [_row(finding) for finding in found.shown])
        print_line(_summary(found.counts))
    if found.left:
        raise CommandFailed(_what_is_left(found, repairs=repair), ExitCode.REFUSED)


class _Found:
    """What the portions of a check have found; the first findings are kept to be shown."""

    def __init__(self) -> None:
        self.counts = {"blocks": 0, "allocations": 0, "findings": 0, "repaired": 0}
        self.shown: list[dict[str, Any]] = []
        self.is_repairable = False

    def add(self, portion: dict[str, Any]) -> None:
        """Add a portion."""
        findings = portion["items"]
        self.shown += findings[: MOST_SHOWN - len(self.shown)]
        self.counts["findings"] += len(findings)
        self.counts["repaired"] += sum(finding["repaired"] for finding in findings)
        self.counts["blocks"] += portion["blocks"]
        self.counts["allocations"] += portion["allocations"]
        self.is_repairable |= any(finding["repairable"] for finding in findings)

    @property
    def left(self) -> int:
        """How many contradictions were not repaired."""
        return self.counts["findings"] - self.counts["repaired"]


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


def _what_is_left(found: _Found, *, repairs: bool) -> str:
    """What to do about what is left; `repairs` says that what could be repaired was."""
    findings, shown = found.counts["findings"], len(found.shown)
    sentence = f"{_counted(found.left, 'contradiction')} {'is' if found.left == 1 else 'are'} left"
    if shown < findings:
        sentence += f" ({shown} of {findings} are listed)"
    advice = (
        "add --repair"
        if found.is_repairable and not repairs
        else "docs/operations.md says what to do about each kind"
    )
    return f"{sentence}: {advice}"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
