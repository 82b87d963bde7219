"""How much is tried: little in every run, more by hand."""

import os
from typing import Final

TIMES: Final = int(os.environ.get("IPAMD_FUZZ", "1"))
"""So many times as much as usual (`IPAMD_FUZZ=50 make fuzz`)."""


def examples(usual: int) -> int:
    """The examples to try where there are usually so many."""
    return usual * TIMES
