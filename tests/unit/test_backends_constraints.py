"""What no backend stores, whatever it is told, and that nothing of a failed unit of work stays."""

from ipaddress import ip_address

import pytest

from ipamd.backends.interface import (
    Backend,
    Catalogue,
    Changes,
    ConstraintViolated,
    Ended,
    Numbered,
    RememberedRelease,
    Repeated,
    Transaction,
)
from ipamd.models.allocation import Ending, Idempotency
from ipamd.models.block import new_block
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import Unavailable
from ipamd.models.issued import Order
from ipamd.models.node import Boot, Node, NodeKey
from ipamd.models.query import AllocationQuery
from tests.unit.conftest import NOW, allocation, begin, carve, end, write

NODE = NodeKey("default", "node-1")


async def test_an_address_has_one_live_owner(backend: Backend) -> None:
    await begin(backend, allocation("10.0.0.1", "c1"))

    with pytest.raises(ConstraintViolated):
        await begin(backend, allocation("10.0.0.1", "c2"))


async def test_an_address_may_have_an_owner_in_each_space(backend: Backend) -> None:
    stored = await begin(backend, allocation("10.0.0.1", "c1"), allocation("10.0.0.1", "c2", space="lab"))

    assert [row.space for row in stored] == ["default", "lab"]


async def test_an_address_passes_on_within_one_unit_of_work(backend: Backend) -> None:
    [first] = await begin(backend, allocation("10.0.0.1", "c1"))

    assert first.id is not None
    ended = Ended(first.id, NOW + 1, Ending.RELEASED)
    await write(backend, Changes(begun=[allocation("10.0.0.1", "c2")], ended=[ended]))

    [held] = await backend.ledger.page(AllocationQuery(address=ip_address("10.0.0.1")), None, 10)
    assert held.holder == allocation(container_id="c2").holder


async def test_a_holder_has_one_live_address_at_each_position(backend: Backend) -> None:
    await begin(backend, allocation("10.0.0.1", "c1"), allocation("10.0.0.2", "c1", position=1))

    with pytest.raises(ConstraintViolated):
        await begin(backend, allocation("10.0.0.3", "c1", position=1))


async def test_an_idempotency_key_is_used_once_even_when_its_allocation_has_ended(backend: Backend) -> None:
    key = Idempotency("token-1/key-1", b"body")
    [stored] = await begin(backend, allocation("10.0.0.1", "c1", idempotency=key))
    await end(backend, stored, NOW + 1)

    with pytest.raises(ConstraintViolated):
        await begin(backend, allocation("10.0.0.2", "c2", idempotency=key))


async def test_only_a_live_allocation_ends_or_repeats(backend: Backend) -> None:
    [stored] = await begin(backend, allocation())
    assert stored.id is not None
    await end(backend, stored, NOW + 1)

    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(ended=[Ended(stored.id, NOW + 2, Ending.ADMIN)]))
    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(repeated=[Repeated(stored.id, 2, Order(1, 20))]))


async def test_a_block_that_was_never_carved_is_not_written(backend: Backend) -> None:
    with pytest.raises(ConstraintViolated):
        await write(backend, Changes(blocks=[new_block("pods", 64, 64, None)]))


async def test_a_boot_is_known_once_by_its_identity_and_once_by_its_number(backend: Backend) -> None:
    await save_boot(backend, NODE, Boot("a", 1))

    for again in (Boot("a", 2), Boot("b", 1)):
        with pytest.raises(ConstraintViolated):
            await save_boot(backend, NODE, again)
    await save_boot(backend, NodeKey("default", "node-2"), Boot("a", 1))


async def test_nothing_of_a_failed_unit_of_work_stays(backend: Backend) -> None:
    await carve(backend, new_block("pods", 0, 64, None), cursor=64)
    [kept] = await begin(backend, allocation("10.0.0.1", "c1"))
    release = RememberedRelease(kept.digest, Order(1, 5), False, NOW)

    async def fail(transaction: Transaction) -> None:
        assert kept.id is not None
        await transaction.carve("pods", [new_block("pods", 64, 64, None)], 128)
        [locked] = await transaction.lock([Numbered("pods", 0)])
        block = locked.blocks[0]
        block.allocated, block.next_free_since = 64, None
        changes = Changes(begun=[allocation("10.0.0.2", "c2")], blocks=[block], remembered=[release])
        changes.ended.append(Ended(kept.id, NOW + 1, Ending.RELEASED))
        await transaction.write(changes)
        raise LookupError

    with pytest.raises(LookupError):
        await backend.transact(fail)

    async def look(transaction: Transaction) -> None:
        found = await transaction.find([kept.digest])
        assert found.held[kept.digest] == [kept]
        assert not found.releases[kept.digest]
        assert await transaction.cursor("pods") == 64
        [old, new] = await transaction.lock([Numbered("pods", 0), Numbered("pods", 64)])
        assert old.blocks == [new_block("pods", 0, 64, None)]
        assert not new.blocks

    await backend.transact(look)
    assert await backend.ledger.page(AllocationQuery(), None, 10) == [kept]


async def test_nothing_of_a_failed_change_stays(backend: Backend) -> None:
    async def fail(catalogue: Catalogue) -> None:
        await catalogue.raise_revision()
        await catalogue.save(Node(cluster="default", name="node-1"))
        raise LookupError

    with pytest.raises(LookupError):
        await backend.change(fail)

    assert await backend.ledger.snapshot(Snapshot()) == Snapshot()


async def test_what_is_read_can_be_changed_without_changing_what_is_kept(backend: Backend) -> None:
    await carve(backend, new_block("pods", 0, 64, None))

    async def scribble(transaction: Transaction) -> None:
        [locked] = await transaction.lock([Numbered("pods", 0)])
        locked.blocks[0].free_since[0] = 7

    await backend.transact(scribble)

    [block] = await backend.ledger.blocks("pods", NOW, (0, 63))
    assert block == new_block("pods", 0, 64, None)


async def test_a_closed_database_says_so(backend: Backend) -> None:
    assert await backend.ready() is None

    await backend.close()

    assert await backend.ready() == "the database is closed"
    with pytest.raises(Unavailable):
        await begin_nothing(backend)


async def save_boot(backend: Backend, node: NodeKey, boot: Boot) -> None:
    await backend.change(lambda catalogue: catalogue.save_boot(node, boot))


async def begin_nothing(backend: Backend) -> None:
    await backend.transact(lambda transaction: transaction.write(Changes()))
