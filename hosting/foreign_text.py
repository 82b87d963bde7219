"""Foreign text, for terminals and logs."""

from __future__ import annotations


def escape(text: str) -> str:
    """The text with each unprintable character as its escape.

    So it cannot control a terminal or forge a line.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
