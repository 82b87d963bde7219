"""The prefixes in a set of addresses: aligned, whole, and all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ipamd.addressing.free_prefixes import prefixes_within
from ipamd.addressing.ranges import Spans

SPANS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 90)), max_size=5)


@given(SPANS, st.integers(0, 6))
def test_every_aligned_prefix_that_lies_in_the_spans_is_found_once_the_last_first(
    pieces: list[tuple[int, int]], bits: int
) -> None:
    spans, size = Spans((first, first + more) for first, more in pieces), 1 << bits

    found = list(prefixes_within(spans, size))

    inside = [at for at in range(0, 512, size) if spans.count_between(at, at + size - 1) == size]
    assert found == inside[::-1]


def test_the_last_one_of_a_large_pool_is_found_at_once() -> None:
    spans = Spans([(1, 1 << 80)])

    assert next(prefixes_within(spans, 1 << 64)) == (1 << 80) - (1 << 64)
