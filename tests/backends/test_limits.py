"""What the backends of this package do at their limits, beyond what every backend is held to."""

import asyncio
from ipaddress import ip_address

import pytest

from ipamd.backends.conformance.examples import allocation
from ipamd.backends.interface import Backend, BlockId, Transaction
from ipamd.models.block import new_block
from tests.backends.conftest import begin


async def test_find_answers_for_more_holders_than_one_statement_takes(backend: Backend) -> None:
    rows = [allocation(str(ip_address("10.0.0.0") + number), f"c{number}") for number in range(1100)]
    await begin(backend, *rows)

    found = await backend.transact(lambda transaction: transaction.find([row.digest for row in rows]))

    assert all(len(found.held[row.digest]) == 1 for row in rows)


async def test_a_unit_of_work_that_waits_for_something_else_is_refused_and_undone(backend: Backend) -> None:
    async def waits(transaction: Transaction) -> None:
        await transaction.carve("pods", [new_block("pods", 0, 64, None)], None)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="may wait for its own transaction only"):
        await backend.transact(waits)

    [locked] = await backend.transact(lambda transaction: transaction.lock([BlockId("pods", 0)]))
    assert list(locked.blocks) == []
