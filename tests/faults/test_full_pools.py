"""A full pool says so at once, with what is to be expected of it; a released address cools down."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.faults.churn import Churn
from tests.faults.clients import NOTHING_FREE, Answer, Caller, Node
from tests.faults.ledger import Tables
from tests.service import IpamdProcess

COOLDOWN = 1  # second
SECOND = 1_000_000  # of the tables' unit, microseconds
LONG = 3600
PATIENCE = 60.0


@pytest.fixture
def caller(ipamd_process: IpamdProcess) -> Iterator[Caller]:
    """A client of the pool `pods`."""
    caller = Caller(ipamd_process.port, Node("node-a"), ["pods"])
    yield caller
    caller.close()


def ready_at(refusal: Answer) -> int:
    """When the next address is ready, as a refusal says, in microseconds since 1970."""
    found = re.search(r"the next ready at (\S+)Z", refusal.msg)
    assert found is not None, refusal.msg
    return moment(found[1])


def moment(text: str) -> int:
    since = datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def times(service: IpamdProcess, container: str) -> tuple[int, int]:
    """When a container's holding began and ended, in microseconds since 1970."""
    [(since, until)] = Tables(service.database).rows(
        "SELECT since, until FROM allocation WHERE container_id = ?", container
    )
    assert isinstance(since, int)
    return since, until if isinstance(until, int) else 0


def add_when_ready(caller: Caller, container: str) -> Answer:
    """Ask until an address has cooled down."""
    deadline = time.monotonic() + PATIENCE
    while (answer := caller.add(container)).code == NOTHING_FREE:
        assert time.monotonic() < deadline, answer
    return answer


def test_a_full_pool_says_how_full_it_is(ipamd_process: IpamdProcess, caller: Caller) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/29", cooldown=LONG)
    for number in range(5):
        assert caller.add(f"c{number}").code == 0

    refusal = caller.add("c5")

    assert refusal.code == NOTHING_FREE
    assert "pool pods has 5 of 8 allocated, 0 cooling down" in refusal.msg
    assert "ready at" not in refusal.msg


def test_a_cooling_pool_says_how_many_cool_down_and_when_the_next_is_ready(
    ipamd_process: IpamdProcess, caller: Caller
) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/29", cooldown=LONG)
    for number in range(5):
        assert caller.add(f"c{number}").code == 0
    for number in (3, 1):
        assert caller.delete(f"c{number}").code == 0

    refusal = caller.add("c5")

    assert refusal.code == NOTHING_FREE
    assert "pool pods has 3 of 8 allocated, 2 cooling down" in refusal.msg
    _, freed_first = times(ipamd_process, "c3")
    assert ready_at(refusal) == freed_first + LONG * SECOND


def test_of_several_full_pools_each_is_described(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("one", "10.0.0.0/32")
    ipamd_process.create_pool("two", "10.0.1.0/31")
    caller = Caller(ipamd_process.port, Node("node-a"), [["one", "two"]])
    assert {caller.add(f"c{number}").address for number in range(3)} == {"10.0.0.0", "10.0.1.0", "10.0.1.1"}

    refusal = caller.add("c3")

    assert refusal.code == NOTHING_FREE
    assert "pool one has 1 of 1 allocated" in refusal.msg
    assert "pool two has 2 of 2 allocated" in refusal.msg
    caller.close()


def test_an_address_is_given_again_when_it_has_cooled_down_and_not_before(
    ipamd_process: IpamdProcess, caller: Caller
) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/32", cooldown=COOLDOWN)
    assert caller.add("c1").code == 0
    assert caller.delete("c1").code == 0

    refusal = caller.add("c2")
    assert "pool pods has 0 of 1 allocated, 1 cooling down" in refusal.msg
    assert add_when_ready(caller, "c2").address == "10.0.0.0"

    _, until = times(ipamd_process, "c1")
    since, _ = times(ipamd_process, "c2")
    assert ready_at(refusal) == until + COOLDOWN * SECOND
    assert since >= ready_at(refusal)


def test_addresses_come_back_in_the_order_in_which_they_were_released(
    ipamd_process: IpamdProcess, caller: Caller
) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/29", cooldown=COOLDOWN)
    given = {f"c{number}": caller.add(f"c{number}").address for number in range(5)}
    order = ["c2", "c0", "c4", "c1", "c3"]
    for container in order:
        assert caller.delete(container).code == 0

    again = [add_when_ready(caller, f"d{number}").address for number in range(5)]

    assert again == [given[container] for container in order]
    for number, container in enumerate(order):
        _, until = times(ipamd_process, container)
        since, _ = times(ipamd_process, f"d{number}")
        assert since >= until + COOLDOWN * SECOND


def test_many_clients_at_once_are_given_nothing_that_still_cools_down(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/28", cooldown=COOLDOWN)

    with Churn(ipamd_process.port, ["pods"]) as churn:
        churn.await_that(lambda: sum(one.answer.code == 0 for one in churn.added) >= 50)  # of 13 addresses

    pauses = Tables(ipamd_process.database).rows(
        """SELECT since - before FROM (
             SELECT since, LAG(until) OVER (PARTITION BY address ORDER BY since, id) AS before FROM allocation
           ) WHERE before IS NOT NULL"""
    )
    assert len(pauses) >= 50 - 13
    assert min(pauses) >= (COOLDOWN * SECOND,)


def test_an_address_that_was_asked_for_need_not_cool_down(
    ipamd_process: IpamdProcess, caller: Caller
) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/29", cooldown=LONG)
    assert caller.add("c1", args="IP=10.0.0.4").address == "10.0.0.4"
    assert caller.delete("c1").code == 0

    assert caller.add("c1", args="IP=10.0.0.4").address == "10.0.0.4"


def test_a_full_pool_still_answers_who_holds_an_address_as_before(
    ipamd_process: IpamdProcess, caller: Caller
) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/31")
    given = [caller.add(f"c{number}").address for number in range(2)]
    assert caller.add("c2").code == NOTHING_FREE

    assert [caller.add(f"c{number}").address for number in range(2)] == given
