"""What a line of the log looks like, whichever way it takes."""

import json
from typing import Any

import pytest

from hosting.log_format import LogFormat
from hosting.logs import FrequentEvents, Lines, as_json, as_text


class Kept(Lines):
    """Keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def msg(self, line: str) -> None:
        self.lines.append(line)


def frequent(form: LogFormat, pairs: dict[str, Any]) -> str:
    kept, events = Kept(), FrequentEvents()
    events.configure(kept, form)
    events.info("add", pairs)
    return kept.lines[0]


def after_time(line: str) -> str:
    return line.split(" ", 1)[1]


@pytest.mark.parametrize(
    ("pairs", "written"),
    [
        ({"node": "n1", "code": 7}, "node=n1 code=7"),
        ({"node": "n1", "by": None, "code": 7}, "node=n1 code=7"),
        ({"why": ""}, 'why=""'),
        ({"why": "", "code": 7}, 'why="" code=7'),
        ({"why": "a b"}, 'why="a b"'),
        ({"why": "a code=7"}, 'why="a code=7"'),
        ({"why": "x ", "code": "=7"}, 'why="x " code="=7"'),
        ({"why": " =", "code": 7}, 'why=" =" code=7'),
        ({"why": 'say "no"'}, 'why="say \\"no\\""'),
        ({"why": "x\n2026-01-01T00:00:00Z info    forged"}, 'why="x\\n2026-01-01T00:00:00Z info    forged"'),
        ({"name": "größe", "why": "100%s"}, "name=größe why=100%s"),
        ({"name": "\x1b[2J"}, 'name="\\x1b[2J"'),
    ],
)
def test_a_value_that_could_be_taken_for_more_than_one_is_in_quotes(
    pairs: dict[str, Any], written: str
) -> None:
    assert after_time(as_text(None, "info", {**pairs, "event": "add"})) == f"info    add {written}"
    assert after_time(frequent(LogFormat.TEXT, pairs)) == f"info    add {written}"


def test_a_line_for_programs_is_one_object_in_ascii() -> None:
    pairs = {"name": "größe\x7f", "why": "a\nb", "by": None}

    told = [as_json(None, "info", {**pairs, "event": "add"}), frequent(LogFormat.JSON, pairs)]

    for line in told:
        assert line.isascii()
        assert line.isprintable()
        assert list(json.loads(line)) == ["timestamp", "level", "name", "why", "by", "event"]
        assert json.loads(line) == {**json.loads(line), **pairs, "event": "add", "level": "info"}
