"""Strict JSON, by the rules of the plugin's scanner: all parts of ipamd accept the same texts."""

from __future__ import annotations

from typing import Any, Final

from msgspec.json import Decoder

DEEPEST: Final = 128
"""Levels of lists and objects that the plugin accepts (MAX_DEPTH there)."""

_DECODER: Final = Decoder()


def parse_json(raw: bytes | str) -> Any:
    """Decode JSON. For any other bytes raises ValueError with a sentence.

    The decoder refuses invalid UTF-8, NaN and half a surrogate pair. For JSON that is nested too deeply it
    raises RecursionError.
    """
    try:
        return _DECODER.decode(raw)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def parse_configuration(raw: bytes) -> Any:
    """Decode a network configuration: JSON with no more levels than the plugin accepts."""
    values = parse_json(raw)
    # Most configurations have fewer brackets in all than levels are allowed.
    if raw.count(b"{") + raw.count(b"[") > DEEPEST and _is_deeper(values):
        raise ValueError("JSON is nested too deeply")
    return values


def _is_deeper(value: object) -> bool:
    layer = [value]
    for _ in range(DEEPEST):
        layer = [
            each
            for holder in layer
            if isinstance(holder, dict | list)
            for each in (holder.values() if isinstance(holder, dict) else holder)
        ]
    return any(isinstance(each, dict | list) for each in layer)
