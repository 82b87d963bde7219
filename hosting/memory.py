"""Memory that a process has freed, and its C library keeps."""

from __future__ import annotations

import ctypes
from typing import Final

_trim: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Of glibc; another C library may have none, and needs none."""


def give_back() -> None:
    """Give the kernel what is free. Of what was needed for a moment glibc keeps most, for each thread."""
    if _trim is not None:
        _trim(0)
