"""Advisory locks: each a number of 64 bits, kept apart from the numbers that others may use.

All of them end with their transaction, but for that of a migration.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from hashlib import blake2b
from typing import Final

from ipamd.models.identity import Digest
from ipamd.models.node import NodeKey

KEY_BYTES: Final = 8


class LockKind(Enum):
    """What a lock is about; the text is part of every number, so that two kinds never share one."""

    HOLDER = b"ipamd.holder"
    CARVING = b"ipamd.carving"
    BOOTS = b"ipamd.boots"
    COUNTING = b"ipamd.counting"
    LINE = b"ipamd.line"
    MIGRATION = b"ipamd.migration"


def key_of(kind: LockKind, *parts: bytes) -> int:
    """The number of a lock.

    Two things of which the numbers are the same would be locked together, which costs a wait and no more.
    """
    hashed = blake2b(digest_size=KEY_BYTES, person=kind.value)
    for part in parts:
        hashed.update(len(part).to_bytes(4, "big"))
        hashed.update(part)
    return int.from_bytes(hashed.digest(), "big", signed=True)


def keys_of_holders(digests: Iterable[Digest]) -> dict[Digest, int]:
    """The numbers of some holders' locks."""
    return {digest: key_of(LockKind.HOLDER, digest) for digest in digests}


def key_of_counting(quota: str) -> int:
    """The number under which a quota is counted: many units of work share it, or one change has it."""
    return key_of(LockKind.COUNTING, quota.encode())


def key_of_boots(node: NodeKey) -> int:
    """The number under which a node's boots are numbered."""
    return key_of(LockKind.BOOTS, *(part.encode("utf-8", "surrogatepass") for part in node))


CARVING_KEY: Final = key_of(LockKind.CARVING)
LINE_KEY: Final = key_of(LockKind.LINE)
MIGRATION_KEY: Final = key_of(LockKind.MIGRATION)
