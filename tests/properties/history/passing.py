"""How time passes in a history."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ipamd.engine.clock import MOST_STEPS
from ipamd.models.instant import SECOND
from tests.properties.history.machine import Machine


class TimeRules(Machine):
    """Addresses cool, clocks are wrong, holds and history end."""

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        self.model.now += seconds * SECOND
        over = [name for name, hold in self.model.holds.items() if hold.until <= self.model.now]
        if over:  # at once, for each engine looks for such by itself
            self.every(lambda engine: engine.holds.finish())
        for name in over:
            self.model.end_hold(name)

    @precondition(lambda self: self.steps < MOST_STEPS)
    @rule(seconds=st.integers(3, 10**8))
    def set_the_clock_ahead(self, seconds: int) -> None:
        """Nothing cools faster by it: the model knows only how much time has passed."""
        self.model.ahead += seconds * SECOND
        self.steps += 1

    @rule(seconds=st.integers(0, 20))
    def forget_what_ended_long_ago(self, seconds: int) -> None:
        before = self.wall() - seconds * SECOND
        for backend in self.backends:
            self.run(backend.forget_history(before, 0))
