"""The service's clock: what it says, what it knows of the past, and how much time it counts."""

from collections.abc import Callable

from ipamd.engine.clock import UNCOUNTED, Clock
from ipamd.models.instant import SECOND
from tests.rules.values import NOW, table

HOUR = 3600 * SECOND
YEARS = 3 * 365 * 24 * HOUR
COOLDOWN = 60 * SECOND


class Machine:
    """A machine whose clock somebody sets."""

    def __init__(self) -> None:
        self.wall, self.passed = NOW, 0
        self.clock = Clock(lambda: self.wall, lambda: self.passed)

    def wait(self, span: int) -> None:
        self.wall += span
        self.passed += span

    def set(self, step: int) -> None:
        self.wall += step
        self.clock()


def test_the_clock_stands_still_for_a_small_step_back_and_follows_a_large_one() -> None:
    machine = Machine()

    machine.set(-SECOND)
    assert machine.clock() == NOW
    machine.set(-YEARS)
    assert machine.clock() == NOW - SECOND - YEARS

    assert machine.clock.jumps == {"ahead": 0, "back": 1}


@table(
    "waited, cooled",
    {
        "not at once, though the clock says that years have passed": (0, False),
        "not before the cooldown has really passed": (COOLDOWN - SECOND, False),
        "when it has really passed": (COOLDOWN, True),
    },
)
def test_what_was_freed_before_a_step_ahead_has_cooled(waited: int, cooled: bool) -> None:
    machine = Machine()
    freed = machine.clock()

    machine.set(YEARS)
    machine.wait(waited)

    assert (freed <= machine.clock.read().past(COOLDOWN)) == cooled


def test_what_was_freed_after_a_step_ahead_cools_as_ever() -> None:
    machine = Machine()
    machine.set(YEARS)
    freed = machine.clock()

    machine.wait(COOLDOWN - 1)
    assert freed > machine.clock.read().past(COOLDOWN)
    assert machine.clock.read().lasts_until(freed, COOLDOWN) == freed + COOLDOWN
    machine.wait(1)

    assert freed <= machine.clock.read().past(COOLDOWN)


def test_many_steps_ahead_in_a_minute_count_together() -> None:
    machine = Machine()
    freed = machine.clock()
    for _ in range(40):
        machine.set(HOUR)
        machine.wait(SECOND)

    assert freed > machine.clock.read().past(COOLDOWN)
    machine.wait(COOLDOWN)
    assert freed <= machine.clock.read().past(COOLDOWN)


@table(
    "change, counted",
    {
        "as time passes": (lambda machine: machine.wait(HOUR), HOUR),
        "not with a step ahead": (lambda machine: machine.set(YEARS), 0),
        "not with a step back": (lambda machine: machine.set(-YEARS), 0),
        "an hour a day faster than time passes after a step ahead": (
            lambda machine: (machine.set(YEARS), machine.wait(24 * HOUR)),
            25 * HOUR,
        ),
    },
)
def test_how_time_is_counted(change: Callable[[Machine], object], counted: int) -> None:
    machine = Machine()

    change(machine)

    assert machine.clock.count() == NOW + counted
    assert machine.clock.count() == NOW + counted, "looking counts nothing"


def test_long_service_saves_up_no_time_that_a_step_ahead_could_use() -> None:
    machine = Machine()
    for _ in range(1000):
        machine.wait(24 * HOUR)
        machine.clock.count()

    machine.set(YEARS)

    assert machine.clock.count() == NOW + 1000 * 24 * HOUR


def test_a_process_that_starts_under_a_clock_ahead_goes_on_from_what_was_counted() -> None:
    machine = Machine()
    stored = NOW - YEARS

    machine.clock.begin_counting(stored)

    assert machine.clock.count() == stored
    assert machine.clock.ahead == YEARS
    assert stored > machine.clock.read().past(COOLDOWN), "nor has anything cooled meanwhile"


def test_a_short_restart_is_time_that_has_passed() -> None:
    machine = Machine()

    machine.clock.begin_counting(NOW - UNCOUNTED)

    assert machine.clock.read().past(COOLDOWN) == NOW - COOLDOWN


def test_an_admin_who_says_that_the_clock_is_right_is_believed() -> None:
    machine = Machine()
    machine.set(YEARS)

    assert machine.clock.trust() == NOW + YEARS
    assert machine.clock.count() == NOW + YEARS


def test_a_clock_behind_what_was_counted_is_known_to_be_behind() -> None:
    machine = Machine()

    machine.set(-HOUR)
    assert machine.clock.is_behind
    machine.set(HOUR)
    assert not machine.clock.is_behind
