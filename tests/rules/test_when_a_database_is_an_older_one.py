"""What a node was told and a database does not know: by this ipamd sees that the database was put back."""

import pytest

from ipamd.engine.census.receipt import Receipt, signed, verified, what_is_lacking
from ipamd.models.census import Census
from ipamd.models.node import NodeKey
from ipamd.models.restoration import order_of, timeline_after

NODE = NodeKey("default", "a")
KEY = b"k" * 32


def census(told: int, told_in: str = "") -> Census:
    return Census(node=NODE, machine="m", boot="b", since=1, told=told, told_in=told_in)


@pytest.mark.parametrize(
    ("receipt", "timeline", "revision", "known", "lacks"),
    [
        (Receipt("", 7, 40), "", 7, census(40), None),
        (Receipt("", 7, 40), "", 9, census(50), None),
        (Receipt("", 7, 41), "", 9, census(40), "allocation 41"),
        (Receipt("", 8, 40), "", 7, census(40), "change 8"),
        # Who is not in the tables was forgotten since, by a change of the catalogue, or came after the copy.
        (Receipt("", 7, 40), "", 8, None, None),
        (Receipt("", 7, 40), "", 7, None, "allocation 40"),
        (Receipt("", 7, 0), "", 7, None, None),
        # After a restore what was told before it says nothing, whatever the numbers are.
        (Receipt("", 99, 99), "1-x", 7, census(5, "1-x"), None),
        (Receipt("1-y", 99, 99), "1-x", 7, census(5, "1-x"), None),
        # What was told in another timeline does not count as known in this one.
        (Receipt("1-x", 7, 3), "1-x", 7, census(99, ""), "allocation 3"),
        # A restore was lost itself.
        (Receipt("1-x", 1, 0), "", 7, census(40), "put back"),
        (Receipt("2-x", 1, 0), "1-y", 7, census(40), "put back"),
    ],
)
def test_what_a_database_lacks(
    receipt: Receipt, timeline: str, revision: int, known: Census | None, lacks: str | None
) -> None:
    found = what_is_lacking(receipt, timeline, revision, known)

    assert (found is None) if lacks is None else (found is not None and lacks in found)


def test_a_receipt_is_what_ipamd_signed_for_this_node() -> None:
    receipt = Receipt("3-0c1f", 12, 4711)
    shown = signed(KEY, NODE, receipt)

    assert verified(KEY, NODE, shown) == receipt
    assert verified(KEY, NodeKey("default", "b"), shown) is None
    assert verified(b"x" * 32, NODE, shown) is None


@pytest.mark.parametrize("forged", ["", ".", "...", "3-0c1f.12.9999", "é", "x" * 256])
def test_nobody_can_claim_more_than_that(forged: str) -> None:
    shown = signed(KEY, NODE, Receipt("3-0c1f", 12, 4711))
    signature = shown.rpartition(".")[2]

    assert verified(KEY, NODE, forged) is None
    assert verified(KEY, NODE, f"{forged}.{signature}") is None


def test_a_timeline_comes_after_all_that_are_known() -> None:
    first = timeline_after("", name="x")
    second = timeline_after(first, "7-y", name="z")

    assert (order_of(""), order_of(first), order_of(second)) == (0, 1, 8)
