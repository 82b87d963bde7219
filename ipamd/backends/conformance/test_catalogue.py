"""Changes of the catalogue, and the reading of what changed since."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from ipamd.backends.conformance.examples import (
    HERE,
    NOW,
    PLAIN,
    THERE,
    allocation,
    begin,
    block,
    carve,
    cursor,
    end,
    firsts,
    lock,
    remove,
    save,
)
from ipamd.backends.interface import Backend, BlockId, CatalogueChange, ConstraintViolated
from ipamd.models.address import AddressRange
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.node import Boot, Node, NodeKey
from ipamd.models.pod_network import PodNetwork, PodNetworkMode, Published, Underlay
from ipamd.models.pool import Affinity, Dns, Pool, PoolState, Route, Selectors
from ipamd.models.query import ContactQuery
from ipamd.models.reservation import Reservation
from ipamd.models.token import Role, Token, hash_of

pytestmark = pytest.mark.asyncio

SIX = ip_address("fe80::1")
FULL = Pool(
    name="six",
    space="lab",
    subnet=ip_network("fd00::/64"),
    ranges=(AddressRange.parse("fd00::10-fd00::ff"), AddressRange.parse("fd00::1:0/112")),
    exclusions=(AddressRange.parse("fd00::20"),),
    gateway=SIX,
    gateway_on_link=True,
    routes=(
        Route(ip_network("::/0"), SIX, mtu=1400, advmss=1340, priority=5, table=100, scope=0),
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
    borrow=False,
    selectors=Selectors(("east",), ("pods",), ("node-1",), {"zone": "ä"}, ("shop",)),
)
KEPT = Reservation(
    id=2, addresses=AddressRange.parse("10.0.1.0/28"), namespace="shop", name="web-0", note="x"
)
OWNED = Reservation(id=3, addresses=AddressRange.parse("fd00::5-fd00::9"), space="lab", owner="vm-1")
LABELLED = Node(cluster="default", name="node-1", labels={"zone": "a"})
JOINED = Node(
    cluster="default",
    name="node-2",
    proof=hash_of(b"a secret of the node's"),
    published=Published(
        machine="3e2b",
        address=ip_address("192.0.2.11"),
        prefixes=(ip_network("192.0.2.0/24"), ip_network("fd00:2::/64")),
        mtu=9000,
        mac="02:00:00:00:00:0b",
        version="0.1.0",
        at=NOW,
    ),
)
NETWORK = PodNetwork(
    cluster="default",
    mode=PodNetworkMode.VXLAN,
    underlay=Underlay.IPV6,
    vxlan_port=4790,
    vxlan_vni=77,
    masquerade_except=(ip_network("192.0.2.0/24"), ip_network("fd00::/16")),
    check_sources=False,
)
ADMINS = Token(id=2, hash=hash_of(b"one"), role=Role.ADMIN, name="ann", created=NOW)
NODES = Token(
    id=3,
    hash=hash_of(b"two"),
    role=Role.NODE,
    cluster="default",
    node="node-2",
    created=NOW,
    created_by="ann (token 2)",
    expires=NOW + 9,
    previous=hash_of(b"three"),
    previous_until=NOW + 5,
)


async def test_an_empty_database_is_at_revision_zero(backend: Backend) -> None:
    assert await backend.ledger.snapshot(Snapshot()) == Snapshot()


async def test_each_change_raises_the_revision_by_one(backend: Backend) -> None:
    assert [await save(backend, entry) for entry in (PLAIN, LABELLED, PLAIN)] == [1, 2, 3]
    await remove(backend, LABELLED)

    assert (await backend.ledger.snapshot(Snapshot())).revision == 4


async def test_a_change_that_raises_nothing_leaves_the_revision(backend: Backend) -> None:
    await save(backend, PLAIN)

    await backend.change(lambda catalogue: catalogue.save_boot(HERE, Boot("a", 1)))

    assert (await backend.ledger.snapshot(Snapshot())).revision == 1


async def test_every_field_of_an_entry_comes_back_with_the_revision_of_its_change(backend: Backend) -> None:
    await save(backend, PLAIN, FULL)
    await save(backend, KEPT, OWNED, LABELLED, JOINED, ADMINS, NODES, NETWORK)

    assert await backend.ledger.snapshot(Snapshot()) == Snapshot(
        revision=2,
        pools={"pods": replace(PLAIN, revision=1), "six": replace(FULL, revision=1)},
        reservations={2: replace(KEPT, revision=2), 3: replace(OWNED, revision=2)},
        nodes={HERE: replace(LABELLED, revision=2), THERE: replace(JOINED, revision=2)},
        tokens={2: replace(ADMINS, revision=2), 3: replace(NODES, revision=2)},
        networks={"default": replace(NETWORK, revision=2)},
    )


async def test_what_is_known_stays_as_it_was_and_what_changed_is_added(backend: Backend) -> None:
    await save(backend, PLAIN, FULL, KEPT)
    known = await backend.ledger.snapshot(Snapshot())
    changed = replace(PLAIN, priority=9)
    await save(backend, changed, LABELLED, ADMINS)

    later = await backend.ledger.snapshot(known)

    assert (known.revision, known.pools["pods"].priority, dict(known.nodes)) == (1, 0, {})
    assert dict(known.tokens) == {}
    assert later == Snapshot(
        revision=2,
        pools={"pods": replace(changed, revision=2), "six": replace(FULL, revision=1)},
        reservations={2: replace(KEPT, revision=1)},
        nodes={HERE: replace(LABELLED, revision=2)},
        tokens={2: replace(ADMINS, revision=2)},
    )


async def test_nothing_new_is_what_is_known(backend: Backend) -> None:
    await save(backend, PLAIN, LABELLED)
    known = await backend.ledger.snapshot(Snapshot())

    assert await backend.ledger.snapshot(known) == known


async def test_what_was_removed_goes_from_what_is_known(backend: Backend) -> None:
    await save(backend, PLAIN, FULL, KEPT, OWNED, LABELLED, Node(cluster="west", name="node-1"))
    await save(backend, ADMINS, NODES)
    known = await backend.ledger.snapshot(Snapshot())

    await remove(backend, PLAIN, KEPT, LABELLED, ADMINS)

    for basis in (known, Snapshot()):
        later = await backend.ledger.snapshot(basis)
        assert later.revision == 3
        assert (set(later.pools), set(later.reservations), set(later.tokens)) == ({"six"}, {3}, {3})
        assert [node.cluster for node in later.nodes] == ["west"]


async def test_what_was_removed_and_made_again_is_there_from_every_basis(backend: Backend) -> None:
    await save(backend, PLAIN)
    known = await backend.ledger.snapshot(Snapshot())
    await remove(backend, PLAIN)
    between = await backend.ledger.snapshot(known)
    await save(backend, PLAIN)

    for basis in (known, between, Snapshot()):
        assert (await backend.ledger.snapshot(basis)).pools == {"pods": replace(PLAIN, revision=3)}


async def test_what_came_and_went_since_is_not_there(backend: Backend) -> None:
    known = await backend.ledger.snapshot(Snapshot())
    await save(backend, PLAIN)
    await remove(backend, PLAIN)

    assert await backend.ledger.snapshot(known) == Snapshot(revision=2)


async def test_many_changes_are_read_at_once(backend: Backend) -> None:
    bases = [Snapshot()]
    for number in range(12):
        await save(backend, replace(PLAIN, name=f"pool-{number % 5}", priority=number))
        if number % 3 == 2:
            await remove(backend, replace(PLAIN, name=f"pool-{number % 5}"))
        bases.append(await backend.ledger.snapshot(bases[-1]))
    whole = await backend.ledger.snapshot(Snapshot())

    assert len(whole.pools) == 3
    for basis in bases:
        assert await backend.ledger.snapshot(basis) == whole


async def test_a_catalogue_older_than_what_is_known_is_read_whole(backend: Backend) -> None:
    await save(backend, PLAIN)
    from_another_database = Snapshot(revision=7, pools={"gone": replace(FULL, revision=7)})

    snapshot = await backend.ledger.snapshot(from_another_database)

    assert snapshot == Snapshot(revision=1, pools={"pods": replace(PLAIN, revision=1)})


async def test_a_change_sees_what_it_wrote(backend: Backend) -> None:
    await save(backend, PLAIN)
    known = await backend.ledger.snapshot(Snapshot())

    async def change(catalogue: CatalogueChange) -> Snapshot:
        await catalogue.raise_revision()
        await catalogue.save(FULL)
        await catalogue.remove(PLAIN)
        return await catalogue.load(known)

    assert await backend.change(change) == Snapshot(revision=2, pools={"six": replace(FULL, revision=2)})


async def test_a_pool_goes_with_its_blocks_and_its_cursor_and_leaves_history(backend: Backend) -> None:
    await save(backend, PLAIN, FULL)
    await carve(backend, block(0), cursor=64)
    await carve(backend, block(0, pool="six"), cursor=64)
    [stored] = await begin(backend, allocation())
    ended = await end(backend, stored)

    await remove(backend, PLAIN)

    assert await lock(backend, BlockId("pods", 0), BlockId("six", 0)) == [[], [block(0, pool="six")]]
    assert (await cursor(backend), await cursor(backend, "six")) == (0, 64)
    assert set(await backend.ledger.fill(["pods", "six"])) == {"six"}
    assert await backend.ledger.allocation(stored.stored_id) == ended


async def test_a_pool_that_is_made_again_begins_without_blocks(backend: Backend) -> None:
    await save(backend, PLAIN)
    await carve(backend, block(0, allocated=64, next_free_since=None), cursor=64)
    await remove(backend, PLAIN)
    await save(backend, PLAIN)

    assert await carve(backend, block(0), cursor=64) == 1
    assert await lock(backend, BlockId("pods", 0)) == [[block(0)]]


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
        (0, 2**128 - 1, [64, 128, 256]),
    ],
)
async def test_blocks_between_are_those_that_hold_any_of_the_addresses(
    backend: Backend, first: int, last: int, expected: list[int]
) -> None:
    await carve(backend, *(block(number) for number in (256, 64, 128)))
    await carve(backend, block(192, pool="other"))

    blocks = await backend.change(lambda catalogue: catalogue.blocks_between("pods", first, last))

    assert firsts(blocks) == expected


async def rewrite(backend: Backend, blocks: list[Block], cursor: int | None) -> None:
    await backend.change(lambda catalogue: catalogue.rewrite("pods", blocks, cursor))


async def test_a_rewrite_lowers_the_cursor_and_never_raises_it(backend: Backend) -> None:
    await carve(backend, block(0), cursor=640)

    for told, expected in ((None, 640), (704, 640), (128, 128), (129, 128), (0, 0)):
        await rewrite(backend, [], told)
        assert await cursor(backend) == expected


async def test_a_rewrite_sets_no_cursor_where_nothing_was_carved(backend: Backend) -> None:
    await rewrite(backend, [], 640)

    assert await cursor(backend) == 0


async def test_a_rewrite_changes_blocks_that_exist(backend: Backend) -> None:
    await carve(backend, block(0), block(64))

    await rewrite(backend, [block(64, next_free_since=None)], None)
    with pytest.raises(ConstraintViolated):
        await rewrite(backend, [block(0, next_free_since=None), block(128)], 0)

    blocks = await backend.ledger.blocks("pods", NOW, (0, 1000))
    assert [each.next_free_since for each in blocks] == [0, None]


async def test_the_holder_of_an_address_is_the_live_one_of_its_space(backend: Backend) -> None:
    [stored, other] = await begin(backend, allocation("10.0.0.1", "c1"), allocation("10.0.0.2", "c2"))
    await end(backend, other)

    async def holders(catalogue: CatalogueChange) -> list[object]:
        asked = [
            ("default", "10.0.0.1"),
            ("default", "10.0.0.2"),
            ("lab", "10.0.0.1"),
            ("default", "::a00:1"),
        ]
        return [await catalogue.holder_of(space, ip_address(address)) for space, address in asked]

    assert await backend.change(holders) == [stored, None, None, None]


async def test_boots_come_in_the_order_of_their_numbers(backend: Backend) -> None:
    async def change(catalogue: CatalogueChange) -> list[Boot]:
        await catalogue.save_boot(HERE, Boot("later", 1 << 40))
        await catalogue.save_boot(HERE, Boot("early", 1))
        await catalogue.save_boot(HERE, Boot("between", 1 << 32))
        await catalogue.save_boot(THERE, Boot("elsewhere", 2))
        return list(await catalogue.boots(HERE))

    boots = [Boot("early", 1), Boot("between", 1 << 32), Boot("later", 1 << 40)]
    assert await backend.change(change) == boots
    assert list(await backend.change(lambda catalogue: catalogue.boots(HERE))) == boots


async def test_contacts_are_read_page_by_page_by_name_and_by_a_part_of_it(backend: Backend) -> None:
    keys = [NodeKey(cluster, name) for cluster in ("east", "west") for name in ("a%1", "a_2", "b\\3")]
    await backend.record_contacts({key: NOW + number for number, key in enumerate(keys)})
    contacts = backend.ledger.contacts

    assert list(await contacts(ContactQuery(limit=2))) == keys[:2]
    assert list(await contacts(ContactQuery(after=keys[1], limit=3))) == keys[2:5]
    assert list(await contacts(ContactQuery(cluster="west", after=keys[1]))) == keys[3:]
    assert await contacts(ContactQuery(cluster="west", name="a_2")) == {keys[4]: NOW + 4}
    assert list(await contacts(ContactQuery(part="_", limit=9))) == [keys[1], keys[4]]
    assert list(await contacts(ContactQuery(part="%1"))) == [keys[0], keys[3]]
    assert list(await contacts(ContactQuery(part="b\\", cluster="east"))) == [keys[2]]


async def test_contacts_are_kept_until_the_node_is_removed(backend: Backend) -> None:
    namesake = replace(LABELLED, cluster="west")
    await save(backend, LABELLED, namesake)

    await backend.record_contacts({HERE: NOW, namesake.key: NOW})
    await backend.record_contacts({HERE: NOW + 5})
    await backend.record_contacts({})

    assert await backend.ledger.contacts() == {HERE: NOW + 5, namesake.key: NOW}
    await remove(backend, LABELLED)
    assert await backend.ledger.contacts() == {namesake.key: NOW}


async def test_the_last_use_of_a_token_is_kept_until_the_token_is_removed(backend: Backend) -> None:
    await save(backend, ADMINS, NODES)

    await backend.record_uses({ADMINS.id: NOW, NODES.id: NOW})
    await backend.record_uses({ADMINS.id: NOW + 5})
    await backend.record_uses({})

    assert await backend.ledger.uses() == {ADMINS.id: NOW + 5, NODES.id: NOW}
    await remove(backend, ADMINS)
    assert await backend.ledger.uses() == {NODES.id: NOW}


async def test_a_token_that_is_replaced_keeps_its_id_and_its_last_use(backend: Backend) -> None:
    await save(backend, NODES)
    await backend.record_uses({NODES.id: NOW})
    renewed = replace(NODES, hash=hash_of(b"four"), previous=NODES.hash)

    await save(backend, renewed)

    assert (await backend.ledger.snapshot(Snapshot())).tokens == {3: replace(renewed, revision=2)}
    assert await backend.ledger.uses() == {NODES.id: NOW}


async def test_no_two_tokens_have_one_hash(backend: Backend) -> None:
    await save(backend, ADMINS)

    with pytest.raises(ConstraintViolated):
        await save(backend, replace(ADMINS, id=7))

    assert set((await backend.ledger.snapshot(Snapshot())).tokens) == {ADMINS.id}


async def test_a_node_that_no_admin_knows_is_heard_from_too(backend: Backend) -> None:
    await backend.record_contacts({THERE: NOW})

    assert await backend.ledger.contacts() == {THERE: NOW}


async def test_the_boots_of_a_node_outlive_its_labels(backend: Backend) -> None:
    await save(backend, LABELLED)
    await backend.change(lambda catalogue: catalogue.save_boot(HERE, Boot("a", 1)))

    await remove(backend, LABELLED)

    assert list(await backend.change(lambda catalogue: catalogue.boots(HERE))) == [Boot("a", 1)]
