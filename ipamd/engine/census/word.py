"""Whose word counts for a node: that of one machine in one boot, until it is silent. Pure.

A machine that was cloned speaks as its original does, in a boot of its own. To it all that the original's
containers hold is of another boot, and so dead.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import structs

from ipamd.engine.clock import Reading
from ipamd.models.census import Census
from ipamd.models.errors import CensusSettling, CensusSuperseded, DomainError
from ipamd.models.instant import SECOND, Instant
from ipamd.models.node import NodeKey

SETTLING: Final = 75 * SECOND
"""How long another boot waits for a word of the former one: longer than an agent rests between two looks.

If less lies between two reports that free an allocation, another boot waits only that long.
"""

RIVALRY: Final = 600 * SECOND
"""How long a node counts as spoken for by two after the second one's last word."""

NOBODY: Final = ""
"""The machine of a node that an admin released: whoever speaks next is heard."""


class Speaker(NamedTuple):
    """Who speaks for a node."""

    node: NodeKey
    machine: str
    boot: str


class Heard(NamedTuple):
    """The census with this word noted, and why the word does not count, None if it does."""

    census: Census
    refusal: DomainError | None = None


def hear(known: Census | None, speaker: Speaker, clock: Reading, grace: Instant) -> Heard:
    """Note a word, and say whether it counts."""
    settling = min(SETTLING, grace)
    node, machine, boot = speaker
    if known is None or known.machine == NOBODY:
        return Heard(Census(node=node, machine=machine, boot=boot, since=clock.now))
    if (known.machine, known.boot) == (machine, boot):
        return Heard(structs.replace(known, noted=None))
    is_same = (known.noted_machine, known.noted_boot) == (machine, boot)
    noted = min(known.noted, clock.now) if is_same and known.noted is not None else clock.now
    if machine == known.machine and noted <= clock.past(settling):
        return Heard(Census(node=node, machine=machine, boot=boot, since=noted))
    beside = structs.replace(
        known, noted_machine=machine, noted_boot=boot, noted=noted, rival_heard=clock.now
    )
    if machine != known.machine:
        return Heard(beside, CensusSuperseded(node.name, machine, known.machine))
    left = clock.lasts_until(noted, settling) - clock.now
    return Heard(beside, CensusSettling(node.name, max(-(-left // SECOND), 1)))


def has_settled(census: Census, clock: Reading, grace: Instant) -> bool:
    """Whether this machine and boot speak for their node alone, and have for long enough."""
    return census.since <= clock.past(min(SETTLING, grace)) and not has_rival(census, clock)


def has_rival(census: Census, clock: Reading) -> bool:
    """Whether another machine or boot spoke for the node lately."""
    return census.rival_heard is not None and census.rival_heard > clock.past(RIVALRY)


def released(node: NodeKey, since: Instant, timeline: str) -> Census:
    """The census of a node whose machine is gone, as an admin says: nothing lives on it."""
    return Census(node=node, machine=NOBODY, boot=NOBODY, since=since, timeline=timeline)
