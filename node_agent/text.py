"""The output of the agent's commands."""

from __future__ import annotations

import sys

from hosting.foreign_text import escape


def say(text: str) -> None:
    """Print a line about what was done."""
    sys.stdout.write(f"{escape(text)}\n")


def complain(text: str) -> None:
    """Print the last line of a failing command."""
    sys.stderr.write(f"ipamd-agent: {escape(text)}\n")
