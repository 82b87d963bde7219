"""Which round of a benchmark other work has disturbed."""

from collections.abc import Sequence

import pytest

from benchmarks.rounds import spoilt


@pytest.mark.parametrize(
    ("seconds", "worst"),
    [
        ([1.0, 1.0, 1.0], None),
        ([1.0, 1.19, 1.0], None),
        ([1.0, 1.0, 1.21], 2),
        ([1.0, 1.5, 2.0, 1.0, 1.0], 2),
        ([2.0, 1.0], 0),
        ([2.0], None),  # there is nothing to compare it with
        ([], None),
    ],
)
def test_the_round_that_was_disturbed_most_is_measured_again(
    seconds: Sequence[float], worst: int | None
) -> None:
    assert spoilt(seconds) == worst
