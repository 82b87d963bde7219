"""What a unit of work reads in one way, whatever the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ipamd.backends.interface import BlockRecord, HeldAddress
from ipamd.backends.sql import census, former, leasing, owning
from ipamd.backends.sql.record import record_of
from ipamd.backends.sql.session import DatabaseSession
from ipamd.models.allocation import Allocation
from ipamd.models.census import Census
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest
from ipamd.models.lease import Lease, SeatKey
from ipamd.models.node import NodeKey
from ipamd.models.pool import Pool


class SqlReads:
    """See `Transaction`. What must be locked before it is read has been."""

    def __init__(self, session: DatabaseSession) -> None:
        self._session = session

    async def leases(self, nodes: Sequence[NodeKey]) -> Mapping[NodeKey, Lease]:
        return await leasing.leases_by_node(self._session, nodes)

    async def census(self, node: NodeKey) -> Census | None:
        found = await census.censuses(self._session, node)
        return found[0] if found else None

    async def pinned(self, seats: Sequence[SeatKey]) -> Sequence[Allocation]:
        return await leasing.pinned(self._session, seats)

    async def of_addresses(self, addresses: Sequence[HeldAddress]) -> Sequence[Allocation]:
        return await owning.of_addresses(self._session, addresses)

    async def former(self, workloads: Sequence[Digest]) -> Mapping[Digest, Sequence[FormerAddress]]:
        return await former.read(self._session, workloads)

    async def record(self, pool: Pool, first: int) -> BlockRecord:
        return await record_of(self._session, pool, first)
