"""The use of a pool over time: its curve, day by day, and when it will be full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ipamd.engine.engine import Engine
from ipamd.engine.inspection.forecast import Forecast, forecast
from ipamd.engine.inspection.usage import Usage
from ipamd.models.errors import NotFound
from ipamd.models.instant import SECOND
from ipamd.models.sample import DAY, HOUR, UsageSample
from ipamd.web.asking import engine
from ipamd.web.rendering import HEADERS

SHOWN_DAYS: Final = 31
FORECAST_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Day:
    """How many addresses were allocated at least and at most on one day, in UTC."""

    name: str
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Curve:
    """What is known of the last month, and what follows from it."""

    days: Sequence[Day]
    forecast: Forecast


async def curve(known: Engine, pool: str, usage: Usage) -> Curve:
    """The last month of a pool, read once."""
    samples = await _samples(known, pool)
    now = known.clock.read().now
    recent = [sample for sample in samples if sample.at >= now - FORECAST_DAYS * DAY]
    return Curve(days_of(samples), forecast(recent, usage.free + usage.cooling, now))


def days_of(samples: Sequence[UsageSample]) -> list[Day]:
    """The days of samples that are in their order, the latest first."""
    made = []
    for day, hours in groupby(samples, key=lambda sample: sample.at // DAY):
        counts = [sample.allocated for sample in hours]
        name = datetime.fromtimestamp(day * DAY // SECOND, UTC).date().isoformat()
        made.append(Day(name, min(counts), max(counts)))
    return made[::-1]


async def show(request: Request) -> Response:
    """The samples of a pool of the last month, for its curve."""
    name, catalogue = request.path_params["name"], await engine(request).refresh()
    if name not in catalogue.pools:
        raise NotFound("pool", name)
    samples = await _samples(engine(request), name)
    document = {
        "times": [sample.at // SECOND for sample in samples],
        "allocated": [sample.allocated for sample in samples],
    }
    return JSONResponse(document, headers=HEADERS)


async def _samples(known: Engine, pool: str) -> Sequence[UsageSample]:
    now = known.clock.read().now
    return await known.queries.samples(pool, now - SHOWN_DAYS * DAY, now + 1, SHOWN_DAYS * (DAY // HOUR) + 1)


ROUTES: Final = [Route("/ui/pools/{name}/samples", show)]
