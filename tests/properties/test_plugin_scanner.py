"""The strict scanner agrees with CPython's json, made as strict as RFC 8259 and UTF-8 are."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from hypothesis import example, given
from hypothesis import strategies as st

from cni_plugin.quoting import quote
from cni_plugin.scanner import MAX_DEPTH, NotJson, parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)
# What the grammar is made of, so that random texts are often nearly JSON.
TOKENS = st.sampled_from(
    [
        *'{}[],:"\\ \n\t\r+-\x0b\x00\x1f\x7f\xa0\u2028\ud800\ue000\U0010ffff',
        *('"a"', '"\\u00fc"', '"\\ud83d\\ude00"', "\\ud800", "\\u12", "\\n", "//"),
        *("0", "00", "-1", "1.5", "1.", ".5", "1e9", "1E+2", "1e"),
        *("true", "false", "null", "nul", "NaN", "Infinity"),
    ]
)
ENCODED = st.lists(TOKENS, max_size=14).map(lambda tokens: "".join(tokens).encode("utf-8", "surrogatepass"))


def refuse(text: str) -> NoReturn:
    raise ValueError(text)


def integer(text: str) -> int | float:
    return int(text) if len(text) <= 18 else float(text)


def strictly(data: bytes) -> Any:
    """Read with CPython's json; ValueError for what neither RFC 8259 nor UTF-8 has."""
    text = data.decode("utf-8")
    if text.strip(" \t\n\r") != text.strip():
        raise ValueError("white space that JSON does not have")
    value = json.loads(text, parse_constant=refuse, parse_int=integer)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # no halves of surrogate pairs
    return value


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def agrees(data: bytes) -> None:
    try:
        expected = strictly(data)
    except (ValueError, RecursionError):
        expected = NotJson
    try:
        found = parse(data)
    except NotJson as problem:
        assert str(problem).startswith("byte ")
        found = NotJson
    if expected is not NotJson and depth(expected) > MAX_DEPTH:
        expected = NotJson
    assert repr(found) == repr(expected)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_json_writes_is_read(value: Any, ascii_only: bool, indent: int | None) -> None:
    agrees(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode())


@given(VALUES, st.data())
def test_what_a_slip_makes_of_json_is_judged_alike(value: Any, data: st.DataObject) -> None:
    written = json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode()
    at = data.draw(st.integers(0, len(written)))
    until = data.draw(st.integers(at, min(len(written), at + 3)))
    piece = data.draw(
        st.binary(max_size=2) | st.sampled_from([b",", b'"', b"\\", b"}", b"]", b"0", b"-", b"e"])
    )

    agrees(written[:at] + piece + written[until:])


@given(ENCODED | st.binary(max_size=12) | st.text(max_size=12).map(str.encode))
@example(b"\xef\xbb\xbf{}")
@example(b'"\xc0\xaf"')
@example(b'"\xed\xa0\x80"')
@example(b'"\xf4\x90\x80\x80"')
@example(b"[1]\x00")
def test_any_bytes_are_judged_alike(data: bytes) -> None:
    agrees(data)


@given(st.integers(0, MAX_DEPTH + 3), st.integers(0, 3), st.booleans())
def test_nesting_is_read_down_to_its_limit(levels: int, missing: int, objects: bool) -> None:
    opening, closing = (b'{"a":', b"}") if objects else (b"[", b"]")

    agrees(opening * levels + b"1" + closing * max(0, levels - missing))


@given(st.text())
def test_what_is_quoted_is_read_back(text: str) -> None:
    assert json.loads(quote(text)) == text
    assert parse(quote(text).encode()) == text
