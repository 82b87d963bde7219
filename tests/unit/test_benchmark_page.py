"""What the page of benchmarks says of a bar, and that its picture is one."""

from xml.etree import ElementTree

import pytest

from benchmarks.picture import Series, draw
from benchmarks.report import page
from benchmarks.table import Bar, Row, Scale, Table, figure

RATIO = Bar(0.5, at_least=True)
MILLISECONDS = Bar(5, at_least=False, of_ratio=False)


@pytest.mark.parametrize(
    ("own", "other", "bar", "verdict"),
    [
        ((10, 30, 20), (40, 40, 40), RATIO, "ratio >= 0.5: met"),
        ((10, 30, 19), (40, 40, 40), RATIO, "ratio >= 0.5: **missed**"),
        ((9, 5, 1), (1, 1, 1), MILLISECONDS, "<= 5: met"),
        ((9, 6, 1), (1, 1, 1), MILLISECONDS, "<= 5: **missed**"),
    ],
)
def test_a_bar_is_met_by_the_median(
    own: tuple[float, ...], other: tuple[float, ...], bar: Bar, verdict: str
) -> None:
    row = Row("measure", figure("ms", own), "peer", figure("ms", other), (bar,))

    assert row.cells()[-1] == verdict


def test_a_row_shows_its_lowest_and_highest_round_and_its_peer() -> None:
    row = Row("ADD", figure("/s", (1_200, 1_000, 5_000)), "peer", figure("/s", (600,)))

    assert row.cells() == ["ADD", "1,200 /s (1,000-5,000)", "peer: 600 /s", "2", ""]


def test_paired_rounds_have_the_median_of_their_ratios() -> None:
    own, other = figure("/s", (100, 50, 60)), figure("/s", (200, 100, 30))

    assert [Row("ADD", own, "peer", other, paired=paired).ratio for paired in (False, True)] == [0.6, 0.5]


def test_the_page_has_what_must_be_reached_first_and_each_benchmark_after_it() -> None:
    table = Table("one", "The first", "What it is.", notes=["A note."], picture="one.svg", scale=Scale.GROWTH)
    table.rows = [Row("with a bar", figure("ms", (1,)), bars=(MILLISECONDS,)), Row("none", figure("s", (2,)))]
    table.machine = {"processor": "two cores"}

    written = page([table])

    summary, _, section = written.partition("## The first, by `make bench-growth`")
    assert "| with a bar | 1 ms |" in summary
    assert "none" not in summary.partition("## What must be reached")[2]
    for text in ("| none | 2 s |", "A note.", "(benchmarks/one.svg)", "processor two cores"):
        assert text in section


def test_the_picture_has_a_point_for_every_value() -> None:
    lines = [Series("plain", [1, 2, 3]), Series("<dashed>", [30, 20, 10], dashed=True)]

    picture = ElementTree.fromstring(draw("A & B", ["a", "b", "c"], lines))

    assert len(picture.findall("{*}circle")) == 6
    assert [len(line.attrib["points"].split()) for line in picture.findall("{*}polyline")] == [3, 3]
