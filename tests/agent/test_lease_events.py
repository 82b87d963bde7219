"""What a node's lease did while ipamd was away is in stateDir too: history has it after a power cut."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.agent.leased import Leased, leased_node
from tests.waiting import eventually


@pytest.fixture
def leased() -> Iterator[Leased]:
    with leased_node(4) as node:
        yield node


def kept(leased: Leased) -> Path:
    return leased.agent.state / "lease-events"


def numbers(leased: Leased) -> list[int]:
    """The numbers of the events that are written down."""
    try:
        _, *lines = kept(leased).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line)["number"] for line in lines]


def past(leased: Leased, container: str) -> list[dict[str, Any]]:
    """The times of a container in history."""
    items = leased.service.http.get("/v1/history", params={"node": "node-a"}).json()["items"]
    return [item for item in items if item["container_id"] == container]


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_what_happened_before_a_power_cut_is_in_history_with_its_times(leased: Leased) -> None:
    leased.service.kill()
    given = {}
    times = {}
    for name in ("a1", "a2", "a3"):
        given[name] = leased.add(name)
        times[name] = time.time()
    leased.delete("a2")
    ended = time.time()
    eventually(lambda: len(numbers(leased)) == 4)
    with kept(leased).open("ab") as file:  # what was being written when the power was cut
        file.write(b'{"number":5,"time":17')

    leased.cut_the_power()
    leased.service.start()
    leased.agent.start()

    eventually(lambda: not kept(leased).exists())
    held = leased.held()
    assert {name: held.get(name) for name in given} == given | {"a2": None}
    for name, begun in times.items():
        [row] = past(leased, name)
        assert row["address"].partition("/")[0] == given[name]
        assert abs(moment(row["since"]) - begun) < 5
    assert abs(moment(past(leased, "a2")[0]["until"]) - ended) < 5
    assert leased.service.contradictions() == []


def test_after_a_report_nothing_is_written_down(leased: Leased) -> None:
    leased.service.kill()
    leased.add("b1")
    eventually(lambda: len(numbers(leased)) == 1)
    leased.add("b2")
    eventually(lambda: len(numbers(leased)) == 2)

    leased.service.start()

    eventually(leased.is_reported)
    eventually(lambda: not kept(leased).exists())
    assert set(leased.held()) == {"first", "b1", "b2"}


def test_what_cannot_be_read_is_told_and_forgotten(leased: Leased) -> None:
    leased.agent.kill()
    kept(leased).write_bytes(b"\0" * 100)

    leased.agent.start()

    eventually(lambda: not kept(leased).exists())
    assert "what a former lease left unreported is lost" in leased.agent.log.read_text()
    eventually(leased.is_open)
