"""Reports of the dead against a plain model: whatever is delayed, doubled or lost, nothing living is freed.

The model is a node with containers that begin, end, and begin again under their IDs, and an agent whose looks
and words are separate steps. So a word may be older than what happened since, and come twice or late.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from ipamd.engine.census.verdict import Look, Named, judge
from ipamd.engine.census.word import Speaker
from ipamd.engine.clock import Reading
from ipamd.models.allocation import Allocation, NetworkNamespace
from ipamd.models.census import Census
from ipamd.models.instant import SECOND
from ipamd.models.issued import CallOrder
from ipamd.models.node import NodeKey
from tests.rules.values import NOW, held

NODE = NodeKey("default", "n1")
GRACE = 300 * SECOND
MACHINE = "m"
STEADY, MORTAL = ("a", "b", "c"), ("x",)
"""Containers that always live, so that there is a majority, and those that end and begin again."""


@dataclass
class Container:
    """What really is: in which boot and namespace a container lives, None if it does not."""

    lives: tuple[int, int] | None = None
    row: int | None = None


class Censuses(RuleBasedStateMachine):
    """One node, its true containers, ipamd's rows and census, and words on their way."""

    def __init__(self) -> None:
        super().__init__()
        self.boot = 1
        self.uptime = 0
        self.now = NOW
        self.numbers = 0
        self.namespaces = 0
        self.containers = {name: Container() for name in (*STEADY, *MORTAL)}
        self.rows: dict[int, Allocation] = {}
        self.census: Census | None = None
        self.words: list[Look] = []

    def tick(self) -> CallOrder:
        self.uptime += 1
        return CallOrder(self.boot, self.uptime)

    @initialize()
    def begin_with_some(self) -> None:
        for name in self.containers:
            self.add(name)

    @rule(name=st.sampled_from(MORTAL))
    def add(self, name: str) -> None:
        """An ADD: a new row, or a repeat of the row in a new namespace (no DEL came)."""
        container, order = self.containers[name], self.tick()
        self.namespaces += 1
        container.lives = (self.boot, self.namespaces)
        netns = NetworkNamespace(4, self.namespaces)
        row = self.rows.get(container.row or 0)
        if row is not None:
            self.rows[row.stored_id] = structs.replace(
                row, generation=row.generation + 1, repeated=order, boot=f"boot-{self.boot}", netns=netns
            )
            return
        self.numbers += 1
        container.row = self.numbers
        made = held(f"10.0.0.{self.numbers % 250 + 1}", name, id=self.numbers, since=self.now, netns=netns)
        made = structs.replace(made, boot=f"boot-{self.boot}", taken=order, repeated=order)
        self.rows[self.numbers] = made

    @rule(name=st.sampled_from(MORTAL), tells=st.booleans())
    def end(self, name: str, tells: bool) -> None:
        """A container ends; its DEL comes, or the runtime sends none."""
        container = self.containers[name]
        container.lives = None
        self.tick()
        if tells and container.row is not None:
            self.rows.pop(container.row, None)
            container.row = None

    @precondition(lambda self: self.boot < 3)
    @rule()
    def reboot(self) -> None:
        """Nothing of the former boot lives. Some containers start before the agent, in their old rows."""
        self.boot += 1
        self.uptime = 0
        for container in self.containers.values():
            container.lives = None
        for name in STEADY:
            self.add(name)

    @rule(at_once=st.booleans())
    def look(self, at_once: bool) -> None:
        """The agent reads its rows, then looks; its word is on its way, and may come at once."""
        order = self.tick()
        boot = f"boot-{self.boot}"
        inodes = {each.lives[1] for each in self.containers.values() if each.lives is not None}
        dead = [
            Named(row.stored_id, row.generation, row.taken.uptime_ns)
            for row in self.rows.values()
            if row.boot != boot or (row.netns is not None and row.netns.inode not in inodes)
        ]
        self.words = [*self.words, Look(Speaker(NODE, MACHINE, boot), order, dead)][-3:]
        if at_once:
            self.arrives(len(self.words) - 1, 0)

    @precondition(lambda self: self.words)
    @rule(at=st.integers(0, 2), seconds=st.sampled_from([0, 80, 301]))
    def arrives(self, at: int, seconds: int) -> None:
        """One of the last words comes, in any order, after some time; it may come again."""
        self.now += seconds * SECOND
        look = self.words[at % len(self.words)]
        verdict = judge(self.census, look, self.rows, Reading(self.now), GRACE)
        self.census = verdict.census
        for row in (*verdict.former, *verdict.dead):
            assert not self.lives(row), f"{row.holder} lives, and was freed"
            del self.rows[row.stored_id]

    def lives(self, row: Allocation) -> bool:
        return any(each.lives is not None and each.row == row.stored_id for each in self.containers.values())

    @invariant()
    def who_lives_has_its_row(self) -> None:
        for container in self.containers.values():
            assert container.lives is None or container.row in self.rows


TestCensuses = Censuses.TestCase
TestCensuses.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
