"""Text of others, for terminals and logs."""

from __future__ import annotations


def escape(text: str) -> str:
    """The text with everything unprintable as its escape: it can steer no terminal and forge no line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
