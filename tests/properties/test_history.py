"""One random history against every backend and a plain model: the same answers, and every promise kept."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.properties.history.allocations import AllocationRules
from tests.properties.history.holds import HoldRules
from tests.properties.history.owners import OwnerRules
from tests.properties.history.passing import TimeRules
from tests.properties.history.pools import PoolRules
from tests.properties.history.prefixes import PrefixRules
from tests.properties.history.quotas import QuotaRules
from tests.properties.history.releases import ReleaseRules
from tests.properties.history.reservations import ReservationRules
from tests.properties.history.waiting import WaitingRules


class History(
    WaitingRules,
    HoldRules,
    OwnerRules,
    AllocationRules,
    PrefixRules,
    ReleaseRules,
    TimeRules,
    PoolRules,
    QuotaRules,
    ReservationRules,
):
    """Drives every backend's engine with all of these, in any order."""


# Four databases do all of it: on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(900)

TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=22,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
