"""Write JSON texts.

Here and beside it characters are read as bytes: to walk a text costs MicroPython much more.
"""

from __future__ import annotations

_SHOWN = 100


def quote(text: str) -> str:
    """Write a text as a JSON string; non-ASCII characters stay as they are."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    if text and min(text.encode()) < 0x20:
        text = "".join([c if c >= " " else f"\\u{ord(c):04x}" for c in text])
    return f'"{text}"'


def show(value: object) -> str:
    """Write a value of a configuration for an error message, shortened if it is long."""
    if isinstance(value, str):
        text = quote(value)
    elif value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, list):
        text = "[" + ", ".join([show(item) for item in value[:8]]) + "]"
    elif isinstance(value, dict):
        text = "an object"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
