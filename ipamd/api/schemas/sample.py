"""Use over time, and when a pool is full, as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from ipamd.api.schemas.text import Document, Moment, Number, moment
from ipamd.engine.inspection.forecast import Forecast
from ipamd.models.instant import LATEST, Instant, rfc3339
from ipamd.models.sample import DAY, KEPT_SAMPLES, UsageSample


class SampleFilter(Document):
    """Which samples: those of hours that begin from `after` on, and before `before`."""

    after: Moment | None = None
    before: Moment | None = None

    def bounds(self) -> tuple[Instant, Instant]:
        """From when to before when."""
        begin = moment(self.after) if self.after is not None else 0
        return begin, moment(self.before) if self.before is not None else LATEST


class ForecastQuery(Document):
    """From how many of the last days the pace is taken."""

    days: Annotated[Number, Field(ge=3, le=KEPT_SAMPLES // DAY)] = 30


class ShownSample(TypedDict):
    """How many addresses of a pool were allocated in the hour that began then."""

    at: str
    allocated: int


class ShownForecast(TypedDict):
    """When a pool is full. `days_until_full` and `full_at` are null where `why` says why."""

    window_days: int
    samples: int
    first_sample: str | None
    last_sample: str | None
    room: int
    growth_per_day: float | None
    days_until_full: float | None
    full_at: str | None
    why: str | None


def sample_document(sample: UsageSample) -> ShownSample:
    """A sample as it is shown."""
    return {"at": rfc3339(sample.at), "allocated": sample.allocated}


def forecast_document(forecast: Forecast, days: int) -> ShownForecast:
    """A forecast as it is shown."""
    return {
        "window_days": days,
        "samples": forecast.samples,
        "first_sample": _time(forecast.first),
        "last_sample": _time(forecast.last),
        "room": forecast.room,
        "growth_per_day": _rounded(forecast.growth),
        "days_until_full": _rounded(forecast.days),
        "full_at": _time(forecast.full_at),
        "why": forecast.why,
    }


def _time(moment: Instant | None) -> str | None:
    return rfc3339(moment) if moment is not None else None


def _rounded(number: float | None) -> float | None:
    return round(number, 3) if number is not None else None
