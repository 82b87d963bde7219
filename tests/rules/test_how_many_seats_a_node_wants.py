"""As many free seats as there were ADDs of late: at least four, and at most what is allowed."""

import pytest

from node_agent.leasing.demand import Demand

KEYS = [bytes([number]) * 16 for number in range(40)]


def demand(most: int, adds: dict[int, int], known: int = 0, age: float = 0.0) -> dict[int, int]:
    """What is wanted at second 1000 after so many ADDs of each configuration; `known` more had none."""
    made = Demand(most)
    for number in range(max([known, *(each + 1 for each in adds)])):
        made.know(KEYS[number], b"{}")
    for number, count in adds.items():
        for _ in range(count):
            made.count(KEYS[number], 1000.0 - age)
    return {KEYS.index(each.key): each.free for each in made.wanted(1000.0)}


@pytest.mark.parametrize(
    ("most", "adds", "known", "wanted"),
    [
        pytest.param(64, {}, 0, {}, id="nothing was seen"),
        pytest.param(64, {0: 1}, 0, {0: 4}, id="at least four"),
        pytest.param(64, {0: 30}, 0, {0: 30}, id="as many as ADDs"),
        pytest.param(64, {0: 500}, 0, {0: 64}, id="at most what is allowed"),
        pytest.param(2, {0: 500}, 0, {0: 2}, id="also if that is less than four"),
        pytest.param(0, {0: 5}, 0, {0: 0}, id="none"),
        pytest.param(64, {0: 30, 1: 10}, 0, {0: 30, 1: 10}, id="two configurations"),
        pytest.param(20, {0: 30, 1: 10}, 0, {0: 15, 1: 5}, id="by their shares"),
        pytest.param(64, {0: 40}, 2, {0: 40, 1: 0}, id="one without ADDs beside a busy one"),
        pytest.param(64, {}, 2, {0: 2, 1: 2}, id="a quiet node"),
    ],
)
def test_what_a_node_wants(most: int, adds: dict[int, int], known: int, wanted: dict[int, int]) -> None:
    assert demand(most, adds, known) == wanted


def test_an_add_counts_for_ten_minutes() -> None:
    assert demand(64, {0: 30}, age=599) == {0: 30}
    assert demand(64, {0: 30}, age=601) == {0: 4}


def test_many_configurations_together_get_no_more_than_the_node() -> None:
    assert sum(demand(64, dict.fromkeys(range(40), 100)).values()) == 64


def test_of_many_configurations_the_last_sixteen_count() -> None:
    assert set(demand(64, {}, known=40)) == set(range(24, 40))


def test_the_next_agent_knows_the_same() -> None:
    made, other = Demand(8), Demand(8)
    made.know(KEYS[1], b'{"name": "pods"}')

    other.read(made.encode())

    assert other.wanted(0.0) == made.wanted(0.0)
