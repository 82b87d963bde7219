"""Who calls."""

from __future__ import annotations

from msgspec import Struct

from ipamd.models.identity import Identity


class Caller(Struct, frozen=True):
    """Who calls, and in which CNI version. For GC and STATUS container and interface are empty.

    `spooled` is the number of releases that wait on the node.
    """

    version: str
    identity: Identity
    spooled: int
