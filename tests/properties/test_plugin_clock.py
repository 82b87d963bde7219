"""Times are RFC 3339 to the nanosecond, and parts of a deadline stay inside it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from cni_plugin.clock import Deadline, after, rfc3339
from cni_plugin.platform import uptime_ns

LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


@given(st.integers(0, LAST), st.integers(0, 999_999_999))
@example(0, 0)
@example(951_782_400, 1)  # the 29th of February 2000
@example(4_294_967_296, 0)
def test_a_wall_clock_is_written_as_rfc_3339(seconds: int, nanoseconds: int) -> None:
    text = rfc3339(seconds * 10**9 + nanoseconds)

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", text)
    assert int(datetime.fromisoformat(text[:19] + "+00:00").timestamp()) == seconds
    assert int(text[20:29]) == nanoseconds


@given(st.integers(1, 10**6), st.integers(1, 8))
def test_a_share_of_a_deadline_ends_with_it_at_the_latest(seconds: int, parts: int) -> None:
    whole = after(uptime_ns(), seconds)

    assert whole.share(parts).end_ns <= whole.end_ns
    assert whole.share(1).end_ns == whole.end_ns
    assert 0 < whole.share(parts).left_ms() <= seconds * 1000 // parts


@given(st.integers(0, 10**6))
def test_a_deadline_that_has_passed_leaves_nothing(ago: int) -> None:
    assert Deadline(uptime_ns() - ago).left_ms() == 0
