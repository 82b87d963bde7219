"""Which of the allocations that a node says are dead are freed now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec import structs

from ipamd.engine.census.word import Speaker, has_rival, has_settled, hear
from ipamd.engine.clock import Reading
from ipamd.models.allocation import Allocation
from ipamd.models.census import Census, Suspicion
from ipamd.models.errors import DomainError
from ipamd.models.instant import Instant
from ipamd.models.issued import CallOrder

ENOUGH: Final = 2
"""So many reports free an allocation."""

ENOUGH_OF_MANY: Final = ENOUGH + 3
"""So many are needed if they would free more than half of what a node holds: its agent may be broken."""

FORMER_BOOT: Final = "its node has started anew since"
GONE: Final = "its node said twice that its network namespace is gone"


class Named(NamedTuple):
    """An allocation that a node says is dead: with its generation, and the uptime of the ADD that took it."""

    allocation: int
    generation: int
    uptime_ns: int


@dataclass(frozen=True, slots=True)
class Look:
    """All that a node says is dead, and the place of its look in the order of the node's calls."""

    speaker: Speaker
    order: CallOrder
    dead: Sequence[Named]


@dataclass(slots=True)
class Verdict:
    """What is to be stored and freed.

    `gone` are named allocations that have ended, `changed` those that are not what the node has seen. With a
    `refusal` nothing else is decided. `is_anew` says that the node's census begins, as after an admin has
    released or removed the node. `waits` says that more than half of the node's allocations would go.
    """

    census: Census
    refusal: DomainError | None = None
    former: list[Allocation] = field(default_factory=list)
    dead: list[Allocation] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    is_anew: bool = False

    @property
    def waits(self) -> bool:
        return self.census.waiting > 0


def judge(
    known: Census | None, look: Look, rows: Mapping[int, Allocation], clock: Reading, grace: Instant
) -> Verdict:
    """Judge a look. `rows` are all live allocations of the node's containers, by id.

    A look is whole: what it does not name is not suspected any more.
    """
    heard = hear(known, look.speaker, clock, grace)
    verdict = Verdict(heard.census, heard.refusal)
    if heard.refusal is not None:
        return verdict
    before = {(each.allocation, each.generation): each for each in heard.census.suspicions}
    suspicions = []
    for name in look.dead:
        row = rows.get(name.allocation)
        if row is None:
            verdict.gone.append(name.allocation)
        elif not _is_meant(row, name, look.order):
            verdict.changed.append(name.allocation)
        elif _is_of_former_boot(row, look, heard.census) and has_settled(heard.census, clock, grace):
            verdict.former.append(row)
        elif _may_be_suspected(row, look, heard.census, clock):
            suspicions.append(_suspicion(before.get((name.allocation, name.generation)), name, clock, grace))
    holds = len(rows) - len(verdict.former)
    certain = [each for each in suspicions if each.times >= ENOUGH]
    enough = ENOUGH_OF_MANY if 2 * len(certain) > holds else ENOUGH
    due = [each for each in certain if each.times >= enough]
    verdict.dead = [rows[each.allocation] for each in due]
    verdict.census = structs.replace(
        heard.census, suspicions=tuple(suspicions), waiting=len(certain) - len(due)
    )
    return verdict


def _is_meant(row: Allocation, name: Named, order: CallOrder) -> bool:
    """Whether a row is what the node has seen, and no call was told of it since the look began."""
    seen = (row.generation, row.taken.uptime_ns) == (name.generation, name.uptime_ns)
    return seen and row.repeated < order


def _is_of_former_boot(row: Allocation, look: Look, census: Census) -> bool:
    """Whether a row is of a boot that was over when this one began to speak.

    If it began after this boot first spoke, the other boot lived then, or its news came late.
    """
    is_former = row.boot is not None and row.boot != look.speaker.boot and row.repeated.boot < look.order.boot
    return is_former and row.since < census.since


def _may_be_suspected(row: Allocation, look: Look, census: Census, clock: Reading) -> bool:
    if row.boot is None:
        return False  # nobody knows where its container lives
    if row.boot == look.speaker.boot:
        return row.netns is not None
    return row.since >= census.since and not has_rival(census, clock)


def _suspicion(before: Suspicion | None, name: Named, clock: Reading, grace: Instant) -> Suspicion:
    if before is None:
        return Suspicion(name.allocation, name.generation, 1, clock.now)
    counted = min(before.counted, clock.now)
    if counted <= clock.past(grace):
        return structs.replace(before, times=before.times + 1, counted=clock.now)
    return structs.replace(before, counted=counted)
