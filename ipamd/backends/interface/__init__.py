"""The border to storage: what the engine asks of a database, and all that it knows of one.

A backend keeps rows, holds locks and makes writes durable; it decides nothing. Every method answers for
the whole batch at once. A method may raise `Unavailable` when the database does not answer. What a method
is given or answers is its caller's, who may change it without changing what is kept.

What each of these promises means in detail is held by `ipamd.backends.conformance`.
"""

from ipamd.backends.interface.audit import Audit, AuditedBlocks, AuditedRows, RowPosition
from ipamd.backends.interface.backend import (
    SKIP_LOCKS,
    Backend,
    Change,
    InDoubt,
    LockPolicy,
    SkipLocks,
    Undone,
    WaitForLocks,
    Work,
)
from ipamd.backends.interface.catalogue_change import CatalogueChange
from ipamd.backends.interface.ledger import Ledger
from ipamd.backends.interface.transaction import (
    BlockId,
    BlockOwner,
    BlockRecord,
    BlockSearch,
    BlocksWithFree,
    Changes,
    ConstraintViolated,
    Ended,
    Found,
    Locked,
    RememberedRelease,
    Repeated,
    Transaction,
)

__all__ = [
    "SKIP_LOCKS",
    "Audit",
    "AuditedBlocks",
    "AuditedRows",
    "Backend",
    "BlockId",
    "BlockOwner",
    "BlockRecord",
    "BlockSearch",
    "BlocksWithFree",
    "CatalogueChange",
    "Change",
    "Changes",
    "ConstraintViolated",
    "Ended",
    "Found",
    "InDoubt",
    "Ledger",
    "LockPolicy",
    "Locked",
    "RememberedRelease",
    "Repeated",
    "RowPosition",
    "SkipLocks",
    "Transaction",
    "Undone",
    "WaitForLocks",
    "Work",
]
