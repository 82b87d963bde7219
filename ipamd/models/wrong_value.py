"""What is wrong with a value that pydantic refused, in the words of every edge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

LONGEST_QUOTE: Final = 80
LONGEST_SENTENCE: Final = 500

_SAYS_NO_VALUE: Final = (
    "greater_than",
    "less_than",
    "int_",
    "bool_",
    "literal_error",
    "enum",
)
"""Kinds of errors whose sentence leaves out which value it is about."""


def why_wrong(found: Mapping[str, Any]) -> str:
    """The sentence for one of `ValidationError.errors()`, with the value if that is short."""
    kind, value = str(found["type"]), found.get("input")
    sentence = str(found["msg"]).removeprefix("Value error, ")
    if kind in ("int_parsing", "int_type"):
        sentence = "Input should be a valid integer"
    if kind.startswith(_SAYS_NO_VALUE) and (value is None or isinstance(value, str | int | float)):
        quoted = json.dumps(value)
        sentence += f", not {quoted if len(quoted) <= LONGEST_QUOTE else quoted[:LONGEST_QUOTE] + '...'}"
    return sentence[:LONGEST_SENTENCE]
