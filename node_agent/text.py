"""Foreign text for terminals and logs."""

from __future__ import annotations

import sys


def escape(text: str) -> str:
    """The text with everything unprintable as its escape: it can steer no terminal and forge no line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(text: str) -> None:
    """Print a line on what was done."""
    sys.stdout.write(f"{escape(text)}\n")


def complain(text: str) -> None:
    """Print the last thing that a failing command says."""
    sys.stderr.write(f"ipamd-agent: {escape(text)}\n")
