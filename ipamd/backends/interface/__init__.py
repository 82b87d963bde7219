"""The interface to storage: what the engine asks of a database, and all that it knows about one.

A backend keeps rows, holds locks and makes writes durable. It decides nothing. Every method works for a whole
batch at once. A method may raise `Unavailable` if the database does not answer. The caller may change the
arguments and results of a method: that does not change what is stored.

`ipamd.backends.conformance` tests in detail what these promises mean.
"""

from ipamd.backends.interface.audit import Audit, AuditedBlocks, AuditedRows, Counted, RowPosition
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
from ipamd.backends.interface.catalogue_change import KEPT_ANNOUNCEMENTS, CatalogueChange
from ipamd.backends.interface.changes import (
    Changes,
    Ended,
    OwnerChange,
    RememberedRelease,
    Repeated,
    SetBack,
    TallyChange,
)
from ipamd.backends.interface.ledger import NOT_ADDED_UP, Ledger, PodNetworkReading
from ipamd.backends.interface.line import Line
from ipamd.backends.interface.searches import (
    BlockId,
    BlockOwner,
    BlockRecord,
    BlockSearch,
    BlocksWithFree,
    Found,
    HeldAddress,
    HoldPosition,
    HoldSearch,
    Locked,
    LockedRows,
    Tallied,
)
from ipamd.backends.interface.transaction import CatalogueMoved, ConstraintViolated, TallyMoved, Transaction

__all__ = [
    "KEPT_ANNOUNCEMENTS",
    "NOT_ADDED_UP",
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
    "CatalogueMoved",
    "Change",
    "Changes",
    "ConstraintViolated",
    "Counted",
    "Ended",
    "Found",
    "HeldAddress",
    "HoldPosition",
    "HoldSearch",
    "InDoubt",
    "Ledger",
    "Line",
    "LockPolicy",
    "Locked",
    "LockedRows",
    "OwnerChange",
    "PodNetworkReading",
    "RememberedRelease",
    "Repeated",
    "RowPosition",
    "SetBack",
    "SkipLocks",
    "Tallied",
    "TallyChange",
    "TallyMoved",
    "Transaction",
    "Undone",
    "WaitForLocks",
    "Work",
]
