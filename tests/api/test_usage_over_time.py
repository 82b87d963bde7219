"""Use over time and the forecast over REST."""

from datetime import UTC, datetime

import httpx
import pytest

from tests.service import IpamdProcess
from tests.waiting import eventually


@pytest.fixture
def sampled(lasting_ipamd: IpamdProcess) -> str:
    """A pool that was there when the service began, with one sample."""
    http = lasting_ipamd.http
    if http.get("/v1/pools/sampled").is_success:
        return "sampled"
    lasting_ipamd.create_pool("sampled", "10.9.0.0/24")
    assert http.post("/v1/allocations", json={"owner": "vm-1", "pool": "sampled"}).is_success
    lasting_ipamd.stop()
    lasting_ipamd.start()
    eventually(lambda: http.get("/v1/pools/sampled/usage/history").json()["items"] != [])
    return "sampled"


def test_a_service_samples_use_when_it_starts(lasting_ipamd: IpamdProcess, sampled: str) -> None:
    http = lasting_ipamd.http

    page = http.get(f"/v1/pools/{sampled}/usage/history").json()

    assert page["next"] is None
    assert [each["allocated"] for each in page["items"]] == [1]
    begun = datetime.fromisoformat(page["items"][0]["at"])
    assert (begun.minute, begun.second, begun.microsecond) == (0, 0, 0)
    assert 0 <= (datetime.now(UTC) - begun).total_seconds() < 7200
    later = http.get(f"/v1/pools/{sampled}/usage/history", params={"after": "2100-01-01T00:00:00Z"})
    earlier = http.get(f"/v1/pools/{sampled}/usage/history", params={"before": "2020-01-01T00:00:00Z"})
    assert later.json()["items"] == earlier.json()["items"] == []


def test_a_forecast_says_what_it_is_made_of_and_why_there_is_none(
    lasting_ipamd: IpamdProcess, sampled: str
) -> None:
    known = lasting_ipamd.http.get(f"/v1/pools/{sampled}/forecast", params={"days": 7}).json()

    assert "and there are 1" in known.pop("why")
    assert known.pop("first_sample") == known.pop("last_sample")
    assert known == {
        "window_days": 7,
        "samples": 1,
        "room": 252,
        "growth_per_day": None,
        "days_until_full": None,
        "full_at": None,
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/pools/none/forecast", 404),
        ("/v1/pools/none/usage/history", 404),
        ("/v1/pools/sampled/forecast?days=2", 422),
        ("/v1/pools/sampled/forecast?days=366", 422),
        ("/v1/pools/sampled/usage/history?after=now", 422),
        ("/v1/pools/sampled/usage/history?cursor=x", 422),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    lasting_ipamd: IpamdProcess, sampled: str, path: str, status: int
) -> None:
    answer: httpx.Response = lasting_ipamd.http.get(path)

    assert answer.status_code == status
