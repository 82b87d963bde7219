"""Who calls."""

from __future__ import annotations

from msgspec import Struct

from ipamd.models.identity import Identity


class Caller(Struct, frozen=True):
    """Who calls and in which version it speaks; container and interface are empty for GC and STATUS.

    `spooled` is how many releases wait on the node.
    """

    version: str
    identity: Identity
    spooled: int
