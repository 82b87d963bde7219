"""How often a view that is live is made again."""

import pytest

from ipamd.web.live import EVERY, RAREST, pause_after


@pytest.mark.parametrize(
    ("took", "pause"), [(0.0, EVERY), (0.02, EVERY), (0.05, 5.0), (0.1, RAREST), (7.0, RAREST)]
)
def test_a_view_takes_a_hundredth_of_the_time_at_most_and_is_never_left_for_long(
    took: float, pause: float
) -> None:
    assert pause_after(took) == pytest.approx(pause)
