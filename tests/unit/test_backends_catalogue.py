"""Changes of the catalogue, and the reading of what changed since."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from ipamd.backends.interface import Backend, Catalogue, Numbered
from ipamd.models.address import AddressRange
from ipamd.models.block import Block, new_block
from ipamd.models.catalogue import Snapshot
from ipamd.models.node import Boot, Node, NodeKey
from ipamd.models.pool import Affinity, Dns, Pool, PoolState, Route, Selectors
from ipamd.models.reservation import Reservation
from tests.unit.conftest import NOW, allocation, begin, carve, end

NODE = NodeKey("default", "node-1")
PLAIN = Pool(name="pods", subnet=ip_network("10.0.0.0/16"), block_length=26)
FULL = Pool(
    name="six",
    space="lab",
    subnet=ip_network("fd00::/64"),
    ranges=(AddressRange.parse("fd00::10-fd00::ff"), AddressRange.parse("fd00::1:0/112")),
    exclusions=(AddressRange.parse("fd00::20"),),
    gateway=ip_address("fe80::1"),
    routes=(
        Route(
            ip_network("::/0"), ip_address("fe80::1"), mtu=1400, advmss=1340, priority=5, table=100, scope=0
        ),
        Route(ip_network("fd01::/48")),
    ),
    dns=Dns(("fd00::53",), "cluster.local", ("svc.cluster.local",), ("ndots:5",)),
    block_length=122,
    affinity=Affinity.NODE,
    cooldown=0,
    state=PoolState.DRAINING,
    priority=-3,
    auto_assign=False,
    masquerade=True,
    selectors=Selectors(("east",), ("pods",), ("node-1",), {"zone": "ä"}, ("shop",)),
)
RESERVATION = Reservation(
    id=2, addresses=AddressRange.parse("10.0.1.0/28"), namespace="shop", name="web-0", note="a printer"
)
LABELLED = Node(cluster="default", name="node-1", labels={"zone": "a"})


async def save(backend: Backend, *entries: Pool | Reservation | Node) -> int:
    async def change(catalogue: Catalogue) -> int:
        revision = await catalogue.raise_revision()
        for entry in entries:
            await catalogue.save(entry)
        return revision

    return await backend.change(change)


async def remove(backend: Backend, *entries: Pool | Reservation | Node) -> None:
    async def change(catalogue: Catalogue) -> None:
        await catalogue.raise_revision()
        for entry in entries:
            await catalogue.remove(entry)

    await backend.change(change)


async def test_each_change_raises_the_revision_by_one(backend: Backend) -> None:
    assert await backend.transact(lambda transaction: transaction.revision()) == 0

    assert await save(backend, PLAIN) == 1
    assert await save(backend, LABELLED) == 2

    assert await backend.transact(lambda transaction: transaction.revision()) == 2
    assert await backend.transact(lambda transaction: transaction.pin_catalogue()) == 2


async def test_every_field_of_an_entry_comes_back_with_the_revision_of_its_change(backend: Backend) -> None:
    await save(backend, PLAIN, FULL)
    await save(backend, RESERVATION, LABELLED)

    snapshot = await backend.ledger.snapshot(Snapshot())

    assert snapshot == Snapshot(
        revision=2,
        pools={"pods": replace(PLAIN, revision=1), "six": replace(FULL, revision=1)},
        reservations={2: replace(RESERVATION, revision=2)},
        nodes={NODE: replace(LABELLED, revision=2)},
    )


async def test_what_is_known_stays_as_it_was_and_what_changed_is_added(backend: Backend) -> None:
    await save(backend, PLAIN, RESERVATION)
    known = await backend.ledger.snapshot(Snapshot())
    changed = replace(PLAIN, priority=9)
    await save(backend, changed, LABELLED)

    later = await backend.ledger.snapshot(known)

    assert known.pools["pods"].priority == 0
    assert later.pools == {"pods": replace(changed, revision=2)}
    assert later.reservations == known.reservations
    assert later.nodes == {NODE: replace(LABELLED, revision=2)}


async def test_what_was_removed_goes_from_what_is_known(backend: Backend) -> None:
    await save(backend, PLAIN, RESERVATION, LABELLED)
    known = await backend.ledger.snapshot(Snapshot())

    await remove(backend, PLAIN, RESERVATION, LABELLED)

    assert await backend.ledger.snapshot(known) == Snapshot(revision=2)
    assert await backend.ledger.snapshot(Snapshot()) == Snapshot(revision=2)


async def test_what_was_removed_and_made_again_is_there(backend: Backend) -> None:
    await save(backend, PLAIN)
    known = await backend.ledger.snapshot(Snapshot())
    await remove(backend, PLAIN)
    between = await backend.ledger.snapshot(known)
    await save(backend, PLAIN)

    for basis in (known, between, Snapshot()):
        assert (await backend.ledger.snapshot(basis)).pools == {"pods": replace(PLAIN, revision=3)}


async def test_a_catalogue_older_than_what_is_known_is_read_whole(backend: Backend) -> None:
    await save(backend, PLAIN)
    from_another_database = Snapshot(revision=7, pools={"gone": replace(FULL, revision=7)})

    snapshot = await backend.ledger.snapshot(from_another_database)

    assert snapshot == Snapshot(revision=1, pools={"pods": replace(PLAIN, revision=1)})


async def test_a_change_sees_what_it_wrote(backend: Backend) -> None:
    await save(backend, PLAIN)
    known = await backend.ledger.snapshot(Snapshot())

    async def change(catalogue: Catalogue) -> Snapshot:
        await catalogue.raise_revision()
        await catalogue.save(FULL)
        return await catalogue.load(known)

    assert set((await backend.change(change)).pools) == {"pods", "six"}


async def test_a_pool_goes_with_its_blocks_and_its_cursor_and_leaves_history(backend: Backend) -> None:
    await save(backend, PLAIN)
    await carve(backend, new_block("pods", 0, 64, None), cursor=64)
    [stored] = await begin(backend, allocation())
    ended = await end(backend, stored, NOW + 1)

    await remove(backend, PLAIN)

    [locked] = await backend.transact(lambda transaction: transaction.lock([Numbered("pods", 0)]))
    assert list(locked.blocks) == []
    assert await backend.transact(lambda transaction: transaction.cursor("pods")) == 0
    assert not await backend.ledger.fill(["pods"])
    assert stored.id is not None
    assert await backend.ledger.allocation(stored.id) == ended


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 1000, [64, 128, 256]),
        (127, 128, [64, 128]),
        (100, 100, [64]),
        (192, 255, []),
        (200, 256, [256]),
        (0, 63, []),
        (319, 400, [256]),
        (320, 400, []),
    ],
)
async def test_blocks_between_are_those_that_hold_any_of_the_addresses(
    backend: Backend, first: int, last: int, expected: list[int]
) -> None:
    await carve(backend, *(new_block("pods", number, 64, None) for number in (64, 128, 256)))
    await carve(backend, new_block("other", 192, 64, None))

    blocks = await backend.change(lambda catalogue: catalogue.blocks_between("pods", first, last))

    assert [block.first for block in blocks] == expected


async def test_a_rewrite_changes_blocks_and_lowers_the_cursor_but_never_raises_it(backend: Backend) -> None:
    await carve(backend, new_block("pods", 0, 64, None), cursor=640)

    async def rewrite(catalogue: Catalogue, cursor: int | None) -> None:
        [block] = await catalogue.blocks_between("pods", 0, 0)
        block.next_free_since = None
        await catalogue.rewrite("pods", [block], cursor)

    async def cursor_after(cursor: int | None) -> int:
        await backend.change(lambda catalogue: rewrite(catalogue, cursor))
        return await backend.transact(lambda transaction: transaction.cursor("pods"))

    assert await cursor_after(None) == 640
    assert await cursor_after(704) == 640
    assert await cursor_after(128) == 128
    [block] = await backend.ledger.blocks("pods", NOW, (0, 0))
    assert block.next_free_since is None


async def test_the_holder_of_an_address_is_the_live_one_of_its_space(backend: Backend) -> None:
    [stored, other] = await begin(backend, allocation("10.0.0.1", "c1"), allocation("10.0.0.2", "c2"))
    await end(backend, other, NOW + 1)

    async def holder(catalogue: Catalogue, space: str, address: str) -> object:
        return await catalogue.holder_of(space, ip_address(address))

    assert await backend.change(lambda catalogue: holder(catalogue, "default", "10.0.0.1")) == stored
    assert await backend.change(lambda catalogue: holder(catalogue, "default", "10.0.0.2")) is None
    assert await backend.change(lambda catalogue: holder(catalogue, "lab", "10.0.0.1")) is None


async def test_boots_come_in_the_order_of_their_numbers(backend: Backend) -> None:
    async def change(catalogue: Catalogue) -> list[Boot]:
        await catalogue.save_boot(NODE, Boot("later", 2))
        await catalogue.save_boot(NODE, Boot("early", 1))
        return list(await catalogue.boots(NODE))

    assert await backend.change(change) == [Boot("early", 1), Boot("later", 2)]


async def test_contacts_are_kept_until_the_node_is_removed(backend: Backend) -> None:
    other = NodeKey("west", "node-1")
    await save(backend, LABELLED)

    await backend.record_contacts({NODE: NOW, other: NOW})
    await backend.record_contacts({NODE: NOW + 5})
    await backend.record_contacts({})

    assert await backend.ledger.contacts() == {NODE: NOW + 5, other: NOW}
    await remove(backend, LABELLED)
    assert await backend.ledger.contacts() == {other: NOW}


async def test_fill_adds_up_blocks(backend: Backend) -> None:
    full = new_block("pods", 0, 64, None)
    full.allocated, full.next_free_since = 64, None
    half = new_block("pods", 64, 64, None)
    half.allocated, half.next_free_since = 32, NOW
    await carve(backend, full, half)
    await carve(backend, new_block("six", 0, 64, None))

    fill = await backend.ledger.fill(["pods", "six", "empty"])

    assert set(fill) == {"pods", "six"}
    assert (fill["pods"].blocks, fill["pods"].allocated, fill["pods"].next_free_since) == (2, 96, NOW)
    assert await backend.ledger.fill([]) == {}


async def test_blocks_freed_lately_are_told_from_the_others(backend: Backend) -> None:
    def freed(first: int, last_freed: int) -> Block:
        return replace(new_block("pods", first, 64, None), last_freed=last_freed)

    await carve(backend, freed(0, NOW - 1), freed(64, NOW), freed(128, NOW + 1), freed(192, 0))

    lately = await backend.ledger.blocks("pods", NOW, None)
    with_range = await backend.ledger.blocks("pods", NOW, (128, 192))

    assert [block.first for block in lately] == [128]
    assert [block.first for block in with_range] == [128, 192]
