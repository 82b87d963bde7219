"""Spans behave as the plain sets that they stand for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ipamd.addressing.ranges import Span, Spans

TOP = 120

pairs = st.tuples(st.integers(0, TOP), st.integers(0, TOP)).map(lambda pair: (min(pair), max(pair)))
some_spans = st.lists(pairs, max_size=8)


def plain(spans: list[Span]) -> set[int]:
    return {value for first, last in spans for value in range(first, last + 1)}


@given(some_spans, some_spans)
def test_minus_and_meeting_are_those_of_sets(left: list[Span], right: list[Span]) -> None:
    assert Spans(left).minus(Spans(right)) == Spans((v, v) for v in plain(left) - plain(right))
    assert Spans(left).meeting(Spans(right)) == Spans((v, v) for v in plain(left) & plain(right))


@given(some_spans)
def test_spans_neither_touch_nor_overlap(spans: list[Span]) -> None:
    kept = list(Spans(spans))
    assert all(before[1] + 1 < after[0] for before, after in pairwise(kept))
    assert plain(kept) == plain(spans)
    assert Spans(spans).total == len(plain(spans))


@given(some_spans, st.integers(0, TOP))
def test_next_from_finds_the_smallest_that_is_not_below(spans: list[Span], value: int) -> None:
    above = [each for each in plain(spans) if each >= value]
    assert Spans(spans).next_from(value) == (min(above) if above else None)
    assert (value in Spans(spans)) == (value in plain(spans))


@given(some_spans, st.integers(0, TOP), st.integers(1, 64))
def test_bits_say_which_of_a_block_are_in_the_set(spans: list[Span], first: int, size: int) -> None:
    bits = Spans(spans).bits(first, size)
    assert {first + i for i in range(size) if bits >> i & 1} == plain(spans) & set(range(first, first + size))


@given(some_spans)
def test_the_hull_reaches_from_the_smallest_to_the_largest(spans: list[Span]) -> None:
    values = plain(spans)
    assert Spans(spans).hull == ((min(values), max(values)) if values else None)


def test_a_set_of_an_ipv6_prefix_costs_one_span() -> None:
    everything = Spans([(0, 2**128 - 1)])
    without = everything.minus(Spans([(5, 5)]))
    assert without.total == 2**128 - 1
    assert len(list(without)) == 2
    assert without.next_from(5) == 6
