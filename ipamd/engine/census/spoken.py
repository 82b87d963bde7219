"""What a node's agent says of its containers, and what it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipamd.engine.allocation.adoption import Attachment
from ipamd.engine.census.verdict import Named
from ipamd.models.census import Conflict
from ipamd.models.issued import Issued
from ipamd.models.node import NodeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a node's agent says. `issued` is when its look began.

    `timeline` is the one in which it was told of its allocations, up to the id `told`. `is_whole` says that
    it sees all that lives, and names it. `receipt` is what ipamd signed for it last.
    """

    node: NodeKey
    machine: str
    issued: Issued
    dead: Sequence[Named]
    living: Sequence[Attachment] = ()
    """What lives, and is not among the allocations that the agent was told of."""
    timeline: str | None = None
    told: int = 0
    is_whole: bool = False
    receipt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of it.

    `gone` have ended, `changed` are not what the agent has seen. `waiting` is how many wait for an admin.
    `adopted` are interfaces that have their addresses in the tables now, `conflicts` those that cannot. The
    node keeps the `receipt`, and shows it the next time. If the census `is_anew`, the node reads all again:
    what it knew may have been released.
    """

    freed: int
    adopted: int
    conflicts: Sequence[Conflict]
    gone: Sequence[int]
    changed: Sequence[int]
    waiting: int
    receipt: str
    is_anew: bool = False
