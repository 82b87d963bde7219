"""Statements over whole batches: one parameter is an array, one round trip serves any number of rows."""

from ipamd.backends.sql.postgres.arrays.allocations import (
    DROP_ALLOCATIONS,
    END_ALLOCATIONS,
    LOCK_HISTORY,
    MARK,
    OLDEST_WRITER,
    REPEAT_ALLOCATIONS,
)
from ipamd.backends.sql.postgres.arrays.blocks import (
    BLOCK_KEYS,
    BLOCKS_BETWEEN,
    CARVE_BLOCKS,
    EXISTING_BLOCKS,
    LOCK_FREE_BLOCKS,
    NO_BLOCKS,
    WAIT_FOR_BLOCKS,
    WRITE_BLOCKS,
)
from ipamd.backends.sql.postgres.arrays.catalogue import (
    NOTE_CHANGES,
    PINNED_REVISION,
    REVISION,
    REVISION_AND_SCHEMA,
    SAVE_RESERVATIONS,
    WRITTEN,
)
from ipamd.backends.sql.postgres.arrays.contacts import SAVE_CONTACTS, SAVE_USES
from ipamd.backends.sql.postgres.arrays.given import columns_of
from ipamd.backends.sql.postgres.arrays.holders import (
    ENTER_LINE,
    FORGET_RELEASES,
    FOUND_OF_DIGESTS,
    REMEMBER_RELEASES,
    REMEMBER_UNDOS,
    TRY_SHARED_LOCKS,
    WAIT_FOR_LOCKS,
    WAIT_FOR_SHARED_LOCKS,
    FoundRows,
    found_rows,
    try_locks,
)
from ipamd.backends.sql.postgres.arrays.searches import LOCK_WITH_FREE, MORE_WITH_FREE, WITH_FREE

__all__ = [
    "BLOCKS_BETWEEN",
    "BLOCK_KEYS",
    "CARVE_BLOCKS",
    "DROP_ALLOCATIONS",
    "END_ALLOCATIONS",
    "ENTER_LINE",
    "EXISTING_BLOCKS",
    "FORGET_RELEASES",
    "FOUND_OF_DIGESTS",
    "LOCK_FREE_BLOCKS",
    "LOCK_HISTORY",
    "LOCK_WITH_FREE",
    "MARK",
    "MORE_WITH_FREE",
    "NOTE_CHANGES",
    "NO_BLOCKS",
    "OLDEST_WRITER",
    "PINNED_REVISION",
    "REMEMBER_RELEASES",
    "REMEMBER_UNDOS",
    "REPEAT_ALLOCATIONS",
    "REVISION",
    "REVISION_AND_SCHEMA",
    "SAVE_CONTACTS",
    "SAVE_RESERVATIONS",
    "SAVE_USES",
    "TRY_SHARED_LOCKS",
    "WAIT_FOR_BLOCKS",
    "WAIT_FOR_LOCKS",
    "WAIT_FOR_SHARED_LOCKS",
    "WITH_FREE",
    "WRITE_BLOCKS",
    "WRITTEN",
    "FoundRows",
    "columns_of",
    "found_rows",
    "try_locks",
]
