"""A block hands out what has been free longest, and forgets nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ipamd.addressing.block import OpenBlock, count_freed_after, count_held, held_bits, longest_free_since
from ipamd.addressing.ranges import Spans
from ipamd.models.block import NEVER_HELD, new_block

FIRST = 1 << 20


class OneBlock(RuleBasedStateMachine):
    """Takes, gives back and puts back at random, beside a dictionary that does the same."""

    @initialize(size=st.sampled_from([1, 2, 4, 16]), data=st.data())
    def begin(self, size: int, data: st.DataObject) -> None:
        self.size = size
        self.assignable = data.draw(st.integers(0, (1 << size) - 1))
        self.open = OpenBlock(new_block("p", FIRST, size, None), self.assignable)
        self.free = dict.fromkeys(range(size), NEVER_HELD)
        self.now = 1

    def may(self, offset: int) -> bool:
        return bool(self.assignable >> offset & 1)

    @rule(wait=st.integers(0, 3))
    def take_next(self, wait: int) -> None:
        before = self.now - wait
        ready = {o: since for o, since in self.free.items() if self.may(o) and since <= before}
        taken = self.open.take_next(before)
        if not ready:
            assert taken is None
            return
        assert taken is not None
        assert ready[taken - FIRST] == min(ready.values())
        del self.free[taken - FIRST]

    @rule(among=st.integers(0, (1 << 16) - 1))
    def take_among(self, among: int) -> None:
        wanted = [o for o in self.free if among >> o & 1]
        taken = self.open.take_among(among)
        if not wanted:
            assert taken is None
            return
        assert taken is not None
        assert taken - FIRST in wanted
        assert self.free[taken - FIRST] == min(self.free[offset] for offset in wanted)
        del self.free[taken - FIRST]

    @rule(among=st.integers(0, (1 << 16) - 1), bits=st.integers(0, 4), wait=st.integers(0, 3))
    def take_prefix(self, among: int, bits: int, wait: int) -> None:
        """Aligned neighbours, all of them free for long enough; those that were freed last count."""
        count, before = 1 << bits, self.now - wait
        groups = [range(at, at + count) for at in range(0, self.size - count + 1, count)]
        ready = {
            group[0]: max(self.free[offset] for offset in group)
            for group in groups
            if all(among >> offset & 1 and self.free.get(offset, before + 1) <= before for offset in group)
        }
        taken = self.open.take_prefix(among & ((1 << self.size) - 1), count, before)
        if not ready:
            assert taken is None
            return
        assert taken is not None
        assert taken - FIRST == max(ready, key=lambda at: (-ready[at], at))
        for offset in range(taken - FIRST, taken - FIRST + count):
            del self.free[offset]

    @rule(offset=st.integers(0, 15), passed=st.integers(-2, 3))
    def give_back(self, offset: int, passed: int) -> None:
        """Replicas' clocks differ: the one that frees next may be behind."""
        if offset < self.size:
            self.now = max(1, self.now + passed)
            self.open.give_back(FIRST + offset, self.now)
            self.free.setdefault(offset, self.now)

    @rule()
    def take_and_untake_leaves_no_trace(self) -> None:
        before = list(self.open.block.free_since)
        taken = self.open.take_next(self.now)
        if taken is not None:
            self.open.untake(taken)
        assert list(self.open.block.free_since) == before

    @invariant()
    def the_block_says_what_is_true(self) -> None:
        block = self.open.close()
        assert block.allocated == self.size - len(self.free) == held_bits(block).bit_count()
        lower = Spans([(block.first - 1, block.first + self.size // 2)])
        among = lower.bits(block.first, self.size)
        assert count_held(block, lower) == (held_bits(block) & among).bit_count()
        ready = [since for o, since in self.free.items() if self.may(o)]
        assert block.next_free_since == min(ready, default=None) == longest_free_since(block, self.assignable)
        everything = (1 << self.size) - 1
        assert count_freed_after(block, everything, 0) == sum(since > 0 for since in self.free.values())


TestOneBlock = OneBlock.TestCase


@given(st.integers(1, 64))
def test_addresses_nobody_had_come_in_their_order(size: int) -> None:
    block = OpenBlock(new_block("p", FIRST, size, None), (1 << size) - 1)
    assert [block.take_next(0) for _ in range(size + 1)] == [*range(FIRST, FIRST + size), None]
