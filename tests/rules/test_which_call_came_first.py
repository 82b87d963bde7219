"""Which call came first: networks, proxies and spools deliver the calls of one node out of turn.

Each call says in which boot of its node it was issued, and at what uptime. A late call must not undo what a
later one decided. docs/issued.md tells these rules with examples, and tests/faults/test_reordered_calls.py
tries them on a running ipamd.
"""

from __future__ import annotations

from collections.abc import Sequence

from ipamd.backends.interface import RememberedRelease, Repeated
from ipamd.engine.allocation.boots import missing_boots
from ipamd.engine.allocation.call_order import frees, order_among, order_on_arrival, overtaken, repeat
from ipamd.models.allocation import Allocation, NetworkNamespace
from ipamd.models.issued import CallOrder, Issued
from tests.rules.values import NOW, ago, held, moment, remembered, table

YEARS = 3 * 365 * 86_400 * 1_000_000

OTHER_NAMESPACE = NetworkNamespace(4, 4027)

BOOTS = {"monday": 100, "tuesday": 200}
"""The boots of a node by their numbers: ipamd heard of tuesday later."""


# The order ------------------------------------------------------------------------------------------------


@table(
    "earlier, later",
    {
        "in one boot the call with the lower uptime": (Issued("monday", 10), Issued("monday", 11)),
        "the call of the boot that ipamd heard of first, whatever the uptimes": (
            Issued("monday", 999),
            Issued("tuesday", 1),
        ),
        "the call with the lower uptime, whatever the wall clock says": (
            Issued("monday", 10, "2030-01-01T00:00:00Z"),
            Issued("monday", 11, "1970-01-01T00:00:00Z"),
        ),
    },
)
def test_which_of_two_calls_was_issued_first(earlier: Issued, later: Issued) -> None:
    assert order_among(BOOTS, earlier) < order_among(BOOTS, later)


@table(
    "issued, delivered, before, after",
    {
        "in its own boot where it was issued": (
            Issued("tuesday", 50),
            Issued("tuesday", 90),
            Issued("tuesday", 51),
            Issued("tuesday", 49),
        ),
        "in the boot before, where it was issued": (
            Issued("monday", 50),
            Issued("tuesday", 90),
            Issued("monday", 51),
            Issued("monday", 49),
        ),
        "before the boot that delivers it, though ipamd heard of its own later": (
            Issued("tuesday", 50),
            Issued("monday", 1),
            Issued("monday", 0),
            None,
        ),
    },
)
def test_where_a_call_out_of_a_spool_stands(
    issued: Issued, delivered: Issued, before: Issued, after: Issued | None
) -> None:
    order = order_among(BOOTS, issued, delivered)

    assert order < order_among(BOOTS, before)
    assert after is None or order_among(BOOTS, after) < order


@table(
    "latest, order",
    {
        "a second later than a call that was heard a second ago": (
            (CallOrder(100, 5_000_000_000), ago(1)),
            CallOrder(100, 6_000_000_000),
        ),
        "no earlier than a call that was heard in the same instant": (
            (CallOrder(100, 5), NOW),
            CallOrder(100, 5),
        ),
        "before every boot while no call has named its moment": (None, CallOrder(0, NOW * 1000)),
    },
)
def test_where_a_call_stands_that_does_not_say_when_it_was_issued(
    latest: tuple[CallOrder, int] | None, order: CallOrder
) -> None:
    assert order_on_arrival(NOW, NOW, latest) == order


def test_a_clock_that_was_set_does_not_move_a_call_that_does_not_say_when_it_was_issued() -> None:
    latest = CallOrder(100, 5_000_000_000), ago(1)

    assert order_on_arrival(NOW + YEARS, NOW, latest) == order_on_arrival(NOW, NOW, latest)


def test_a_release_of_a_clock_that_was_ahead_overtakes_no_add_that_arrives_now() -> None:
    add = order_on_arrival(NOW, 0, None)

    assert not overtaken(add, [remembered((NOW + YEARS) * 1000, boot=0)], NOW)
    assert overtaken(add, [remembered((NOW + 1) * 1000, boot=0)], NOW)


def test_calls_without_a_moment_stand_in_the_order_of_their_arrival() -> None:
    assert order_on_arrival(NOW, 0, None) < order_on_arrival(NOW + 1, 0, None) < CallOrder(1, 0)


# Boots ----------------------------------------------------------------------------------------------------


@table(
    "known, own, delivering, order",
    {
        "the first boot of a node": ([], "a", "a", "a"),
        "a boot heard of now is the latest": (["a", "b"], "c", "c", "a b c"),
        "a known boot keeps its place": (["a", "b"], "a", "a", "a b"),
        "a spooled call's boot is before the one that delivers it": (["a", "c"], "b", "c", "a b c"),
        "a spooled call's boot is after all others before the one that delivers it": (
            ["a", "b", "d"],
            "c",
            "d",
            "a b c d",
        ),
        "a spooled call's boot may be before the first that ipamd heard of": (["c"], "b", "c", "b c"),
        "a spooled call's boot is before the one that delivers it if ipamd has heard of neither": (
            ["a"],
            "b",
            "c",
            "a b c",
        ),
        "a spooled call of a known boot adds the boot that delivers it": (["a", "b"], "a", "c", "a b c"),
        "two known boots keep their places": (["a", "b"], "b", "a", "a b"),
    },
)
def test_how_boots_are_numbered(known: Sequence[str], own: str, delivering: str, order: str) -> None:
    numbers = numbered(known)

    added = {boot.identity: boot.number for boot in missing_boots(numbers, own, delivering)}

    assert not added.keys() & numbers.keys(), "a number is never changed"
    everything = {**numbers, **added}
    assert len(set(everything.values())) == len(everything)
    assert " ".join(sorted(everything, key=everything.__getitem__)) == order


def test_many_boots_of_which_a_spool_alone_tells_find_their_places_one_after_another() -> None:
    numbers = numbered(["first", "last"])

    for at in range(20):
        [boot] = missing_boots(numbers, f"spooled-{at}", "last")
        numbers[boot.identity] = boot.number

    assert sorted(numbers, key=numbers.__getitem__) == [
        "first",
        *(f"spooled-{at}" for at in range(20)),
        "last",
    ]


def numbered(boots: Sequence[str]) -> dict[str, int]:
    """Boots as ipamd has numbered them, one heard of after another."""
    numbers: dict[str, int] = {}
    for identity in boots:
        [boot] = missing_boots(numbers, identity, identity)
        numbers[identity] = boot.number
    return numbers


# ADD after DEL --------------------------------------------------------------------------------------------


@table(
    "add, releases, takes_nothing",
    {
        "it is served if no DEL is remembered": (moment(10), [], False),
        "it is late if a DEL was issued after it": (moment(10), [remembered(11)], True),
        "it is served if the DEL was issued before it": (moment(10), [remembered(9)], False),
        "it is served if the DEL was issued in the same instant": (moment(10), [remembered(10)], False),
        "it is late if the DEL is of a later boot": (moment(10, boot=1), [remembered(9, boot=2)], True),
        "it is served if the DEL is of an earlier boot": (
            moment(10, boot=2),
            [remembered(11, boot=1)],
            False,
        ),
        "it is late if one DEL of several was issued after it": (
            moment(10),
            [remembered(9), remembered(11)],
            True,
        ),
        "it is late if its own undo was carried out": (moment(10), [remembered(10, undo=True)], True),
        "it is served if a later ADD was undone": (
            moment(10),
            [remembered(11, undo=True)],
            False,
        ),
        "it is served if an earlier ADD was undone": (moment(10), [remembered(9, undo=True)], False),
    },
)
def test_when_an_add_comes_too_late(
    add: CallOrder, releases: Sequence[RememberedRelease], takes_nothing: bool
) -> None:
    assert overtaken(add, releases, NOW) == takes_nothing


# What a release frees -------------------------------------------------------------------------------------


@table(
    "release, row, freed",
    {
        "an address taken before it": (moment(20), held("10.0.0.9", taken=10), True),
        "no address taken after it": (moment(20), held("10.0.0.9", taken=30), False),
        "no address taken in the same instant": (moment(20), held("10.0.0.9", taken=20), False),
        "no address that another ADD was told of after it": (
            moment(20),
            held("10.0.0.9", taken=10, repeated=moment(30)),
            False,
        ),
        "an address that another ADD was told of before it": (
            moment(20),
            held("10.0.0.9", taken=10, repeated=moment(15)),
            True,
        ),
        "an address taken in an earlier boot": (moment(1, boot=2), held("10.0.0.9", taken=10), True),
        "no address that an ADD of a later boot was told of": (
            moment(99, boot=1),
            held("10.0.0.9", taken=1, repeated=moment(1, boot=2)),
            False,
        ),
        "every address if it does not say when it was issued": (
            None,
            held("10.0.0.9", taken=10, repeated=moment(30)),
            True,
        ),
    },
)
def test_what_a_del_frees(release: CallOrder | None, row: Allocation, freed: bool) -> None:
    assert frees(release, undo=False, row=row) == freed


@table(
    "undo, row, freed",
    {
        "the address that its own ADD took": (moment(10), held("10.0.0.9", taken=10), True),
        "no address of an earlier ADD": (moment(10), held("10.0.0.9", taken=5), False),
        "no address of a later ADD": (moment(10), held("10.0.0.9", taken=15), False),
        "no address that a later ADD was told of": (
            moment(10),
            held("10.0.0.9", taken=10, generation=2, repeated=moment(15)),
            False,
        ),
        "no address that an earlier ADD was told of": (
            moment(10),
            held("10.0.0.9", taken=10, generation=2),
            False,
        ),
    },
)
def test_what_an_undo_frees(undo: CallOrder, row: Allocation, freed: bool) -> None:
    assert frees(undo, undo=True, row=row) == freed


# ADD after ADD --------------------------------------------------------------------------------------------


@table(
    "row, add, generation, latest",
    {
        "another ADD raises the generation and the latest order": (
            held("10.0.0.9", taken=10),
            moment(15),
            2,
            moment(15),
        ),
        "the same ADD, tried again, raises nothing": (
            held("10.0.0.9", taken=10),
            moment(10),
            1,
            moment(10),
        ),
        "an earlier ADD raises the generation, and lowers no order": (
            held("10.0.0.9", taken=10),
            moment(5),
            2,
            moment(10),
        ),
        "an earlier ADD lowers no order that a repeat raised": (
            held("10.0.0.9", taken=10, generation=2, repeated=moment(15)),
            moment(12),
            3,
            moment(15),
        ),
        "the same ADD, tried again after another, raises nothing": (
            held("10.0.0.9", taken=10, generation=2, repeated=moment(15)),
            moment(10),
            2,
            moment(15),
        ),
    },
)
def test_what_a_repeated_add_makes_of_what_it_finds(
    row: Allocation, add: CallOrder, generation: int, latest: CallOrder
) -> None:
    again = repeat(row, add, "b", OTHER_NAMESPACE)

    lives = ("b", OTHER_NAMESPACE) if add > row.repeated else (row.boot, row.netns)
    assert again == Repeated(row.stored_id, generation, latest, *lives)
