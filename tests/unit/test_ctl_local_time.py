from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ipamd.ctl.local_time import local_time, with_local_times


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "utc", "seconds", "exact"),
    [
        ("UTC", "2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456Z"),
        (
            "Europe/Berlin",
            "2026-01-31T23:30:00.9Z",
            "2026-02-01T00:30:00+01:00",
            "2026-02-01T00:30:00.900000+01:00",
        ),
        (
            "Europe/Berlin",
            "2026-07-31T23:30:00Z",
            "2026-08-01T01:30:00+02:00",
            "2026-08-01T01:30:00+02:00",
        ),
        ("Asia/Kolkata", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("UTC", "soon", "soon", "soon"),
    ],
    indirect=["zone"],
)
@pytest.mark.usefixtures("zone")
def test_a_time_is_the_readers_own(utc: str, seconds: str, exact: str) -> None:
    assert local_time(utc, exact=False) == seconds
    assert local_time(utc, exact=True) == exact


@pytest.mark.parametrize("zone", ["Europe/Berlin"], indirect=True)
@pytest.mark.usefixtures("zone")
def test_a_name_that_looks_like_a_time_stays_as_it_is() -> None:
    item = {"owner": "2026-01-31T12:00:00Z", "since": "2026-01-31T12:00:00Z", "until": None}

    assert with_local_times(item, exact=False) == {**item, "since": "2026-01-31T13:00:00+01:00"}


@pytest.mark.parametrize("zone", ["Europe/Berlin"], indirect=True)
@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    "field", ["since", "until", "last_contact", "gone_since", "away_since", "kept_until"]
)
def test_each_time_of_rest_is_the_readers_own(field: str) -> None:
    item = {field: "2026-01-31T12:00:00.25Z"}

    assert with_local_times(item, exact=False) == {field: "2026-01-31T13:00:00+01:00"}
