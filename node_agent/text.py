"""What a command of the agent prints."""

from __future__ import annotations

import sys

from hosting.foreign_text import escape


def say(text: str) -> None:
    """Print a line on what was done."""
    sys.stdout.write(f"{escape(text)}\n")


def complain(text: str) -> None:
    """Print the last thing that a failing command says."""
    sys.stderr.write(f"ipamd-agent: {escape(text)}\n")
