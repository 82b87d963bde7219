"""The tables, with the promises that the database itself keeps.

Addresses are their packed bytes (4 or 16), instants integers, lists and mappings JSON in text: what a driver
takes as it is. The number of a block is 16 bytes whatever its family, so that the order of bytes is the
order of numbers and no search needs to know the family.
"""

from typing import Final

from ipamd.backends.sql.schema.allocation import ALLOCATION, ALLOCATION_COLUMNS
from ipamd.backends.sql.schema.block import BLOCK, CARVING
from ipamd.backends.sql.schema.catalogue import CATALOGUE, POOL, REMOVED, RESERVATION
from ipamd.backends.sql.schema.database import HISTORY, RECEIPT_KEY, RESTORATION, SCHEMA_VERSION
from ipamd.backends.sql.schema.definition import METADATA
from ipamd.backends.sql.schema.hold import HOLD
from ipamd.backends.sql.schema.lease import LEASE, LEASE_CONFIGURATION, SEAT
from ipamd.backends.sql.schema.node import BOOT, CENSUS, CONTACT, NODE
from ipamd.backends.sql.schema.pod_network import ANNOUNCED, ANNOUNCING, POD_NETWORK
from ipamd.backends.sql.schema.prefix_guard import PREFIX_GUARD
from ipamd.backends.sql.schema.quota import QUOTA, TALLY
from ipamd.backends.sql.schema.record import CHANGE_LOG, CHANGE_REQUEST, USAGE_SAMPLE
from ipamd.backends.sql.schema.release import FORMER_ADDRESS, RELEASE
from ipamd.backends.sql.schema.term import TERM, TermKind
from ipamd.backends.sql.schema.token import TOKEN, TOKEN_USE
from ipamd.backends.sql.schema.waiter import WAITER

REVISION: Final = 34
"""The revision of the schema that this code was written for: the number of the latest migration."""

__all__ = [
    "ALLOCATION",
    "ALLOCATION_COLUMNS",
    "ANNOUNCED",
    "ANNOUNCING",
    "BLOCK",
    "BOOT",
    "CARVING",
    "CATALOGUE",
    "CENSUS",
    "CHANGE_LOG",
    "CHANGE_REQUEST",
    "CONTACT",
    "FORMER_ADDRESS",
    "HISTORY",
    "HOLD",
    "LEASE",
    "LEASE_CONFIGURATION",
    "METADATA",
    "NODE",
    "POD_NETWORK",
    "POOL",
    "PREFIX_GUARD",
    "QUOTA",
    "RECEIPT_KEY",
    "RELEASE",
    "REMOVED",
    "RESERVATION",
    "RESTORATION",
    "REVISION",
    "SCHEMA_VERSION",
    "SEAT",
    "TALLY",
    "TERM",
    "TOKEN",
    "TOKEN_USE",
    "USAGE_SAMPLE",
    "WAITER",
    "TermKind",
]
