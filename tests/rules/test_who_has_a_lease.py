"""Who has a node's lease: each row is one asking, and what becomes of it."""

from typing import Any

import pytest
from msgspec import structs

from ipamd.engine.clock import Reading, Step
from ipamd.engine.leasing.conversation import Asking
from ipamd.engine.leasing.reporting import waves
from ipamd.engine.leasing.tenancy import decide, fenced, may_give_until
from ipamd.models.identity import Identity
from ipamd.models.instant import SECOND
from ipamd.models.issued import CallOrder
from ipamd.models.lease import GRACE, Lease, SeatEvent, SeatEventKind
from ipamd.models.limits import LEASE_SECONDS
from ipamd.models.node import NodeKey

NOW = 10**15
CLOCK = Reading(NOW)
HOUR = 3600 * SECOND
HERE = NodeKey("default", "n1")
KNOWN = Lease(
    node=HERE,
    epoch=3,
    machine="m",
    boot="b",
    store="s",
    granted=5,
    seats=9,
    until=NOW - 3600 * SECOND,
    reported=7,
    heard=NOW - 3600 * SECOND,
)
NOTED = structs.replace(KNOWN, noted_boot="b2", noted_store="s2")
ANEW: dict[str, Any] = {"epoch": None, "granted": 0}
NEW_BOOT = ANEW | {"boot": "b2", "store": "s2"}


def asking(**changes: Any) -> Asking:
    said: dict[str, Any] = {
        "node": HERE,
        "machine": "m",
        "boot": "b",
        "store": "s",
        "epoch": 3,
        "granted": 5,
        "seats": {},
    }
    return Asking(**(said | changes))


CASES = [
    ("its own store goes on", KNOWN, {}, True, "epoch 3"),
    ("an agent that started again knows no epoch", KNOWN, {"epoch": None}, True, "epoch 3"),
    ("a machine that was off for 30 hours goes on", structs.replace(KNOWN, until=0), {}, True, "epoch 3"),
    ("nobody had the lease", None, ANEW, False, "epoch 1"),
    ("nobody had it, but the store says otherwise", None, {}, False, "lease-over"),
    ("an older epoch is over", structs.replace(KNOWN, epoch=4), {}, True, "lease-over"),
    ("the database was put back behind the store", KNOWN, {"granted": 6}, True, "lease-over"),
    ("another machine, while there are seats", KNOWN, ANEW | {"machine": "m2"}, True, "lease-superseded"),
    ("another machine, with nothing leased", KNOWN, ANEW | {"machine": "m2"}, False, "epoch 4"),
    ("another machine after a fence", fenced(KNOWN), ANEW | {"machine": "m2"}, True, "epoch 5"),
    ("the old store after a fence", fenced(KNOWN), {}, True, "lease-over"),
    ("a new boot is noted", KNOWN, NEW_BOOT, True, "lease-settling"),
    ("a new boot with nothing leased", KNOWN, NEW_BOOT, False, "epoch 4"),
    (
        "a new boot that waits",
        structs.replace(NOTED, noted=NOW - 9 * SECOND),
        NEW_BOOT,
        True,
        "lease-settling",
    ),
    (
        "a new boot that has waited",
        structs.replace(NOTED, noted=NOW - 10 * SECOND),
        NEW_BOOT,
        True,
        "epoch 4",
    ),
    (
        "a third boot begins to wait anew",
        structs.replace(NOTED, noted=NOW - 60 * SECOND),
        NEW_BOOT | {"boot": "b3"},
        True,
        "lease-settling",
    ),
    ("a new store in the same boot is noted", KNOWN, ANEW | {"store": "s2"}, True, "lease-settling"),
]


@pytest.mark.parametrize(
    ("lease", "changes", "has_seats", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_who_has_the_lease(
    lease: Lease | None, changes: dict[str, Any], has_seats: bool, expected: str
) -> None:
    decided = decide(lease, asking(**changes), CLOCK, has_seats=has_seats)

    if decided.refusal is not None:
        assert decided.refusal.code == expected
    else:
        assert decided.lease is not None
        assert f"epoch {decided.lease.epoch}" == expected
        assert decided.lease.until == NOW + LEASE_SECONDS * SECOND


def test_the_present_boot_strikes_out_the_one_that_waits() -> None:
    decided = decide(structs.replace(NOTED, noted=NOW - SECOND), asking(), CLOCK, has_seats=True)

    assert decided.lease is not None
    assert decided.lease.noted is None


@pytest.mark.parametrize(
    ("known", "seconds", "lasts"),
    [
        pytest.param(None, 600, 600, id="as long as ipamd says"),
        pytest.param(NOW + 60 * SECOND, 600, 600, id="longer than it was told before"),
        pytest.param(NOW + HOUR, 600, 3600, id="no shorter: the answer may be lost"),
        pytest.param(NOW + 9000 * HOUR, 600, LEASE_SECONDS, id="told by a clock that was ahead"),
    ],
)
def test_how_long_a_lease_lasts_if_a_setting_makes_it_shorter(
    known: int | None, seconds: int, lasts: int
) -> None:
    lease = None if known is None else structs.replace(KNOWN, until=known)
    asks = asking(**ANEW) if known is None else asking()

    decided = decide(lease, asks, CLOCK, has_seats=True, seconds=seconds)

    assert decided.lease is not None
    assert decided.lease.until == NOW + lasts * SECOND


@pytest.mark.parametrize(("boot", "is_lost"), [("b", True), ("b2", False)])
def test_a_store_is_lost_if_its_boot_goes_on(boot: str, is_lost: bool) -> None:
    waited = structs.replace(KNOWN, noted_boot=boot, noted_store="s2", noted=NOW - 60 * SECOND)

    decided = decide(waited, asking(**ANEW, boot=boot, store="s2"), CLOCK, has_seats=True)

    assert decided.is_lost_store is is_lost
    assert decided.lease is not None
    assert (decided.lease.epoch, decided.lease.reported, decided.lease.granted) == (4, 0, 0)


@pytest.mark.parametrize(
    ("until", "steps", "expected"),
    [
        pytest.param(NOW + HOUR, [], NOW + HOUR, id="as it was told"),
        pytest.param(NOW - HOUR, [], NOW - HOUR, id="it is over"),
        pytest.param(0, [], 0, id="it was fenced"),
        pytest.param(NOW - HOUR, [(2, 30)], NOW + 29 * HOUR, id="the clock was set ahead since it was told"),
        pytest.param(NOW + HOUR, [(30, 30)], NOW + HOUR, id="the clock was set ahead before it was told"),
        pytest.param(NOW - 2 * HOUR, [(4, 3), (2, 5)], NOW + 6 * HOUR, id="it was set ahead twice"),
        pytest.param(NOW + 9000 * HOUR, [], NOW + 24 * HOUR, id="the clock that told it was ahead"),
    ],
)
def test_until_when_a_node_may_give_whatever_the_clock_was_set_to(
    until: int, steps: list[tuple[int, int]], expected: int
) -> None:
    clock = Reading(NOW, tuple(Step(ago * HOUR, size * HOUR) for ago, size in steps))

    assert may_give_until(structs.replace(KNOWN, until=until), clock) == expected + GRACE


def test_a_new_boot_waits_for_time_that_passes_not_for_a_clock_that_is_set_ahead() -> None:
    waits = structs.replace(NOTED, noted=NOW - HOUR)
    set_ahead = Reading(NOW, (Step(SECOND, HOUR),))

    decided = decide(waits, asking(**NEW_BOOT), set_ahead, has_seats=True)

    assert (decided.lease, getattr(decided.refusal, "code", None)) == (None, "lease-settling")


def test_a_new_boot_that_a_clock_ahead_noted_waits_from_now() -> None:
    waits = structs.replace(NOTED, noted=NOW + 9000 * HOUR)

    decided = decide(waits, asking(**NEW_BOOT), CLOCK, has_seats=True)

    assert decided.lease is not None
    assert decided.lease.noted == NOW


def event(seat: int, container: str) -> SeatEvent:
    holder = Identity("default", "pods", "n1", container, "eth0")
    return SeatEvent(
        kind=SeatEventKind.BEGIN, seat=seat, holder=holder, digest=holder.digest, order=CallOrder(1, 1), age=0
    )


@pytest.mark.parametrize(
    ("events", "lengths"),
    [
        ([], []),
        ([(1, "a"), (2, "b"), (3, "c")], [3]),
        ([(1, "a"), (1, "a"), (1, "b")], [1, 1, 1]),
        ([(1, "a"), (2, "b"), (3, "a"), (4, "c")], [2, 2]),
        ([(number, f"c{number}") for number in range(300)], [128, 128, 44]),
    ],
)
def test_events_of_one_seat_or_container_are_carried_out_one_after_another(
    events: list[tuple[int, str]], lengths: list[int]
) -> None:
    cut = list(waves([event(*each) for each in events]))

    assert [len(wave) for wave in cut] == lengths
    assert [each.seat for wave in cut for each in wave] == [seat for seat, _ in events]
