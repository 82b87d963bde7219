"""What no backend stores, whatever it is told."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from ipamd.backends.conformance.examples import (
    HERE,
    NOW,
    THERE,
    allocation,
    begin,
    block,
    carve,
    end,
    ending,
    write,
)
from ipamd.backends.interface import (
    Backend,
    CatalogueChange,
    Changes,
    ConstraintViolated,
    Ended,
    Repeated,
    Transaction,
)
from ipamd.models.allocation import Allocation, Ending, Idempotency
from ipamd.models.identity import Owner, digest_of
from ipamd.models.issued import CallOrder
from ipamd.models.node import Boot, NodeKey
from ipamd.models.query import AllocationQuery

pytestmark = pytest.mark.asyncio


async def refused(backend: Backend, changes: Changes) -> None:
    """The database refuses these changes, and keeps what it had."""
    before = await backend.ledger.page(AllocationQuery(), None, 1000)
    with pytest.raises(ConstraintViolated):
        await write(backend, changes)
    assert await backend.ledger.page(AllocationQuery(), None, 1000) == before


async def test_an_address_has_one_live_owner(backend: Backend) -> None:
    await begin(backend, allocation("10.0.0.1", "c1"))

    await refused(backend, Changes(begun=[allocation("10.0.0.1", "c2")]))


async def test_an_address_has_one_live_owner_whatever_the_pool(backend: Backend) -> None:
    await begin(backend, allocation("fd00::1", "c1"))

    await refused(backend, Changes(begun=[allocation("fd00::1", "c2", pool="other")]))


async def test_two_holders_in_one_write_do_not_share_an_address(backend: Backend) -> None:
    await refused(backend, Changes(begun=[allocation("10.0.0.1", "c1"), allocation("10.0.0.1", "c2")]))


async def test_two_holders_in_two_writes_of_one_unit_of_work_do_not_share_an_address(
    backend: Backend,
) -> None:
    async def both(transaction: Transaction) -> None:
        for name in ("c1", "c2"):
            await transaction.write(Changes(begun=[allocation("10.0.0.1", name)]))

    with pytest.raises(ConstraintViolated):
        await backend.transact(both)
    assert await backend.ledger.page(AllocationQuery(), None, 10) == []


async def test_an_address_may_have_an_owner_in_each_space(backend: Backend) -> None:
    stored = await begin(backend, allocation("10.0.0.1", "c1"), allocation("10.0.0.1", "c2", space="lab"))

    assert [row.space for row in stored] == ["default", "lab"]


async def test_an_address_of_one_family_is_none_of_the_other(backend: Backend) -> None:
    stored = await begin(backend, allocation("10.0.0.1", "c1"), allocation("::a00:1", "c2"))

    assert int(stored[0].address) == int(stored[1].address)


async def test_endings_come_before_beginnings_so_that_an_address_passes_on(backend: Backend) -> None:
    [first] = await begin(backend, allocation("10.0.0.1", "c1"))

    await write(backend, Changes(begun=[allocation("10.0.0.1", "c2")], ended=[ending(first)]))

    [held] = await backend.ledger.page(AllocationQuery(address=ip_address("10.0.0.1")), None, 10)
    assert held.holder == allocation(container_id="c2").holder


async def test_an_address_is_free_again_when_its_owner_has_ended(backend: Backend) -> None:
    for number in range(3):
        [stored] = await begin(backend, allocation("10.0.0.1", f"c{number}"))
        await end(backend, stored)


async def test_a_holder_has_one_live_address_at_each_position(backend: Backend) -> None:
    await begin(backend, allocation("10.0.0.1", "c1"), allocation("10.0.0.2", "c1", position=1))

    await refused(backend, Changes(begun=[allocation("10.0.0.3", "c1", position=1)]))


@pytest.mark.parametrize("ended", [False, True])
async def test_an_idempotency_key_is_used_once_also_when_its_allocation_has_ended(
    backend: Backend, ended: bool
) -> None:
    key = Idempotency("token-1/key-1", b"body")
    [stored] = await begin(backend, allocation("10.0.0.1", "c1", idempotency=key))
    if ended:
        await end(backend, stored)

    await refused(backend, Changes(begun=[allocation("10.0.0.2", "c2", idempotency=key)]))


async def test_an_idempotency_key_serves_each_position_of_one_answer(backend: Backend) -> None:
    key = Idempotency("token-1/key-1", b"body")
    machine = Owner("vm-1", digest_of("vm-1"))
    four = allocation("10.0.0.1", holder=machine, idempotency=key)
    six = allocation("fd00::1", holder=machine, position=1, idempotency=key)

    assert len(await begin(backend, four, six)) == 2


def again(stored: Allocation) -> list[Changes]:
    number = stored.stored_id
    return [
        Changes(ended=[Ended(number, NOW + 2, Ending.ADMIN)]),
        Changes(repeated=[Repeated(number, 2, CallOrder(1, 20), "b", None)]),
        Changes(ended=[Ended(number + 1000, NOW + 2, Ending.ADMIN)]),
        Changes(repeated=[Repeated(number + 1000, 2, CallOrder(1, 20), "b", None)]),
    ]


@pytest.mark.parametrize("which", range(4))
async def test_only_a_live_allocation_ends_or_repeats(backend: Backend, which: int) -> None:
    [stored, other] = await begin(backend, allocation("10.0.0.1", "c1"), allocation("10.0.0.2", "c2"))
    await end(backend, stored)

    await refused(backend, again(stored)[which])
    await write(backend, Changes(repeated=[Repeated(other.stored_id, 2, CallOrder(1, 20), "b", None)]))


async def test_an_id_names_one_allocation_for_ever(backend: Backend) -> None:
    [first] = await begin(backend, allocation("10.0.0.1", "c1"))
    await end(backend, first)
    with pytest.raises(ConstraintViolated):
        await begin(backend, allocation("10.0.0.2", "c2"), allocation("10.0.0.2", "c3"))

    [second] = await begin(backend, allocation("10.0.0.1", "c1"))

    assert second.stored_id > first.stored_id


async def test_a_block_that_was_never_carved_is_not_written(backend: Backend) -> None:
    await carve(backend, block(0), block(64, pool="pods"))

    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(blocks=[block(128)]))
    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(blocks=[block(0, pool="other")]))


async def test_a_boot_is_known_once_by_its_identity_and_once_by_its_number(backend: Backend) -> None:
    async def save(node: NodeKey, boot: Boot) -> None:
        async def change(catalogue: CatalogueChange) -> None:
            await catalogue.save_boot(node, boot)

        await backend.change(change)

    await save(HERE, Boot("a", 1))

    for known in (Boot("a", 2), Boot("b", 1)):
        with pytest.raises(ConstraintViolated):
            await save(HERE, known)
    await save(THERE, Boot("a", 1))
    boots = await backend.change(lambda catalogue: catalogue.boots(HERE))
    assert list(boots) == [Boot("a", 1)]
