"""How much of ipamd's time the words of one node may take."""

import pytest

from ipamd.engine.census.share import AT_ONCE, MOST_NODES, PART, Shares
from ipamd.models.errors import CensusTooOften
from ipamd.models.node import NodeKey

LOUD, QUIET = NodeKey("default", "loud"), NodeKey("default", "quiet")


class Time:
    """A clock that goes by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def speak(shares: Shares, time: Time, node: NodeKey, seconds: float) -> None:
    with shares.taken(node):
        time.now += seconds


def test_an_agent_that_speaks_once_a_minute_is_always_heard() -> None:
    time = Time()
    shares = Shares(time)

    for _ in range(1000):
        speak(shares, time, LOUD, 60 * PART)
        time.now += 60 * (1 - PART)


def test_who_speaks_in_a_loop_is_told_when_to_speak_again_and_the_others_are_heard() -> None:
    time = Time()
    shares = Shares(time)
    speak(shares, time, LOUD, AT_ONCE + 0.5)

    with pytest.raises(CensusTooOften) as refused:
        speak(shares, time, LOUD, 0)
    speak(shares, time, QUIET, 1)
    time.now += refused.value.seconds

    speak(shares, time, LOUD, 0)


def test_the_words_of_a_node_are_heard_one_at_a_time() -> None:
    shares = Shares(Time())

    with shares.taken(LOUD), shares.taken(QUIET), pytest.raises(CensusTooOften, match="in 1 seconds"):
        shares.check(LOUD)
    shares.check(LOUD)


def test_a_word_that_ends_with_an_error_counts_too() -> None:
    time = Time()
    shares = Shares(time)
    with pytest.raises(ValueError, match="broken"), shares.taken(LOUD):
        time.now += AT_ONCE + 1
        raise ValueError("broken")

    with pytest.raises(CensusTooOften):
        shares.check(LOUD)


def test_invented_names_take_no_memory_without_bound() -> None:
    time = Time()
    shares = Shares(time)
    speak(shares, time, LOUD, AT_ONCE + 1)
    for number in range(MOST_NODES):
        speak(shares, time, NodeKey("default", f"n{number}"), 0)

    shares.check(LOUD)  # whoever has not spoken for longest is forgotten
