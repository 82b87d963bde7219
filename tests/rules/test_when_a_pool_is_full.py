"""When a pool is full at the pace of its last days, and when that cannot be said."""

import pytest

from ipamd.engine.inspection.forecast import forecast
from ipamd.models.sample import DAY, HOUR, UsageSample

NOW = 1_700_000_000_000_000


def samples(days: float, *pattern: float) -> list[UsageSample]:
    """One sample an hour up to now. Each day adds the first number; the others come in turn on top of it."""
    growth, *ups = pattern
    hours = round(days * 24)
    return [
        UsageSample(
            NOW - (hours - hour) * HOUR, round(growth * hour / 24 + (ups[hour % len(ups)] if ups else 0))
        )
        for hour in range(hours + 1)
    ]


@pytest.mark.parametrize(
    ("known", "room", "days"),
    [
        (samples(30, 10), 100, 10),
        (samples(30, 10), 1, 0.1),
        (samples(2, 24), 240, 10),
        (samples(30, 10, 0, 50), 100, 10),
        (samples(30, 10)[::7], 100, 10),
    ],
    ids=["a line", "almost full", "the least", "up and down", "with gaps"],
)
def test_the_line_is_followed_until_nothing_is_left(known: list[UsageSample], room: int, days: float) -> None:
    found = forecast(known, room, NOW)

    assert found.why is None
    assert found.days == pytest.approx(days, rel=0.05)
    assert found.growth == pytest.approx(room / days, rel=0.05)
    assert found.full_at == pytest.approx(NOW + days * DAY, abs=DAY)
    assert (found.samples, found.room) == (len(known), room)


@pytest.mark.parametrize(
    ("known", "room", "why"),
    [
        ([], 100, "takes 24 samples over 2 days, and there are 0"),
        (samples(1.9, 24), 100, "too little is known"),
        (samples(30, 10)[:: 24 * 5], 100, "there are 7"),
        (samples(30, 0), 100, "does not grow"),
        (samples(30, -10), 100, "does not grow"),
        (samples(3, 20, 0, 900, 1500, 20), 100, "goes up and down by more than it grows"),
        (samples(30, 1), 2**64, "not full within ten years"),
    ],
    ids=["none", "too short", "too few", "level", "shrinking", "noise", "a large pool"],
)
def test_where_nothing_can_be_said_the_reason_is_said(known: list[UsageSample], room: int, why: str) -> None:
    found = forecast(known, room, NOW)

    assert (found.days, found.full_at) == (None, None)
    assert why in str(found.why)


def test_a_pool_without_room_is_full_now_whatever_is_known() -> None:
    found = forecast([], 0, NOW)

    assert (found.days, found.full_at, found.why) == (0, NOW, None)
