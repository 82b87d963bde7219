"""The lease of a node, locked: whoever changes a lease reads it so first."""

from __future__ import annotations

from typing import Final

from ipamd.backends.interface import Transaction, WaitForLocks
from ipamd.models.lease import Lease, lease_digest
from ipamd.models.node import NodeKey

LOCKS: Final = WaitForLocks(5.0)


async def locked_lease(transaction: Transaction, node: NodeKey) -> Lease | None:
    """The lease of a node, None if it has none. Nobody else changes it before the transaction ends."""
    await transaction.find([lease_digest(node)])
    return (await transaction.leases([node])).get(node)
