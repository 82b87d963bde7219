"""Leases: addresses that this node holds in advance, and gives out without asking anybody.

One file of fixed parts on tmpfs holds them (`layout`). It changes under one lock, one change at a time
(`store`). A kill at any instruction leaves a store that the next call reads. This module is all that a node
without leases loads.
"""

from __future__ import annotations

import os

PATH = "/run/ipamd/leases/store"


def are_here() -> bool:
    """Tell whether this node has a store of leases."""
    try:
        os.stat(PATH)
    except OSError:
        return False
    return True
