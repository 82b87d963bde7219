"""What is announced of pod networks: its numbers, and what a reader sees from one of them on."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ipamd.backends.conformance.examples import (
    HERE,
    PLAIN,
    THERE,
    allocation,
    begin,
    block,
    carve,
    container,
    end,
    firsts,
    remove,
    save,
    write,
)
from ipamd.backends.interface import (
    KEPT_ANNOUNCEMENTS,
    Backend,
    CatalogueChange,
    Changes,
    PodNetworkReading,
    Undone,
)
from ipamd.models.catalogue import Snapshot
from ipamd.models.identity import owner_of_node
from ipamd.models.node import Node, NodeKey
from ipamd.models.pod_network import (
    Announced,
    AnnouncedKind,
    NetworkPosition,
    NodeAddress,
    NodeBlock,
    Published,
)
from ipamd.models.pool import Affinity, Selectors

pytestmark = pytest.mark.asyncio

OF_NODES = replace(PLAIN, affinity=Affinity.NODE)
FIRST = Announced("default", AnnouncedKind.NODE, "node-1")
SECOND = Announced("default", AnnouncedKind.NODE, "node-2")
POOLS = Announced("default", AnnouncedKind.POOLS)
WEST = Announced("west", AnnouncedKind.NODE, "node-1")


async def announce(backend: Backend, *announced: Announced) -> None:
    """One unit of work that announces."""
    await write(backend, Changes(announced=frozenset(announced)))


async def reading(backend: Backend, after: int | None = None, cluster: str = "default") -> PodNetworkReading:
    return await backend.ledger.pod_network(cluster, Snapshot(), after)


async def test_a_cluster_of_which_nothing_was_announced_is_at_the_beginning(backend: Backend) -> None:
    assert await backend.ledger.positions() == {}
    assert (await reading(backend)).position == NetworkPosition()
    assert (await reading(backend)).changed == set()


async def test_each_unit_of_work_that_announces_has_the_next_number_of_each_of_its_clusters(
    backend: Backend,
) -> None:
    await announce(backend, FIRST, SECOND)
    await announce(backend, FIRST, WEST)
    await write(backend, Changes())

    positions = await backend.ledger.positions()

    assert {cluster: position.number for cluster, position in positions.items()} == {"default": 2, "west": 1}
    assert (await reading(backend)).position == positions["default"]


async def test_the_epoch_stays_while_numbers_go_on(backend: Backend) -> None:
    await announce(backend, FIRST)
    before = (await reading(backend)).position
    await announce(backend, SECOND)

    assert (await reading(backend)).position == NetworkPosition(before.epoch, 2)


async def test_a_reader_sees_what_has_changed_after_its_number_and_nothing_else(backend: Backend) -> None:
    await announce(backend, FIRST, WEST)
    await announce(backend, SECOND)
    await backend.change(lambda catalogue: catalogue.announce({POOLS}))

    seen = [(await reading(backend, after)).changed for after in (None, 0, 1, 2, 3)]

    assert seen == [{FIRST, SECOND, POOLS}, {FIRST, SECOND, POOLS}, {SECOND, POOLS}, {POOLS}, set()]


async def test_what_changes_again_is_at_its_last_number(backend: Backend) -> None:
    for each in (FIRST, SECOND, FIRST):
        await announce(backend, each)

    assert (await reading(backend, 2)).changed == {FIRST}


async def test_what_is_undone_takes_no_number(backend: Backend) -> None:
    await announce(backend, FIRST)

    async def dry_run(catalogue: CatalogueChange) -> str | Undone[str]:
        await catalogue.announce({SECOND})
        return Undone("undone")

    assert await backend.change(dry_run) == "undone"

    assert (await reading(backend)).position.number == 1
    assert (await reading(backend)).changed == {FIRST}


async def test_the_blocks_of_nodes_are_those_of_announced_pools(backend: Backend) -> None:
    elsewhere = replace(OF_NODES, name="west", space="west", selectors=Selectors(clusters=("west",)))
    await save(backend, OF_NODES, replace(PLAIN, name="all", space="all"), elsewhere)
    await carve(backend, block(0, node=HERE), block(64, node=HERE, next_free_since=None), block(128))
    await carve(backend, block(192, node=THERE), block(256, node=NodeKey("west", "node-1")))
    await carve(backend, block(0, pool="all", node=HERE))
    await carve(backend, block(0, pool="west", node=HERE))
    await announce(backend, FIRST)

    of_all, of_changed = await reading(backend), await reading(backend, 0)

    mine = {NodeBlock("node-1", "pods", 0), NodeBlock("node-1", "pods", 64)}
    assert set(of_all.blocks) == {*mine, NodeBlock("node-2", "pods", 192)}
    assert {each for each in of_changed.blocks if each.node == "node-1"} == mine
    assert set((await reading(backend, cluster="west")).blocks) == {NodeBlock("node-1", "pods", 256)}


async def test_borrowed_addresses_and_the_nodes_own_are_read_while_they_are_held(backend: Backend) -> None:
    await save(backend, OF_NODES)
    borrowed = allocation("10.0.0.1", "c1", borrowed=True)
    plain = allocation("10.0.0.2", "c2")
    theirs = allocation("10.0.0.3", holder=container("c3", node="node-2"), borrowed=True)
    own = allocation("10.0.0.4", holder=owner_of_node(HERE, 4))
    stored = await begin(backend, borrowed, plain, theirs, own)
    await announce(backend, FIRST)

    of_all, of_changed = await reading(backend), await reading(backend, 0)
    await end(backend, stored[0])
    await end(backend, stored[3])
    later = await reading(backend)

    mine = NodeAddress("node-1", "pods", ip_address("10.0.0.1"))
    other = NodeAddress("node-2", "pods", ip_address("10.0.0.3"))
    address = NodeAddress("node-1", "pods", ip_address("10.0.0.4"))
    assert (set(of_all.singles), list(of_all.own)) == ({mine, other}, [address])
    assert [each for each in of_changed.singles if each.node == "node-1"] == [mine]
    assert list(of_changed.own) == [address]
    assert (list(later.singles), list(later.own)) == ([other], [])


async def test_the_reading_has_the_catalogue_of_its_moment(backend: Backend) -> None:
    await save(backend, OF_NODES)
    known = await backend.ledger.snapshot(Snapshot())
    await save(backend, Node(cluster="default", name="node-1"))

    found = await backend.ledger.pod_network("default", known, None)

    assert found.snapshot == await backend.ledger.snapshot(Snapshot())


async def test_a_node_that_is_gone_is_forgotten_after_many_numbers_and_those_that_live_are_not(
    backend: Backend,
) -> None:
    published = Published(
        machine="m", address=ip_address("192.0.2.1"), prefixes=(), mtu=1500, mac="02:00:00:00:00:01"
    )
    living = Node(cluster="default", name="node-1", published=published)
    gone = Node(cluster="default", name="node-2", published=published)
    await save(backend, living, gone)
    await announce(backend, FIRST, SECOND)
    await remove(backend, gone)

    async def many(catalogue: CatalogueChange) -> None:
        for _ in range(KEPT_ANNOUNCEMENTS):
            await catalogue.announce({POOLS})

    before = await reading(backend)
    await backend.change(many)
    after = await reading(backend, 0)

    assert (before.changed, before.forgotten) == ({FIRST, SECOND}, 0)
    assert after.changed == {FIRST, POOLS}
    assert after.forgotten >= 1


async def test_the_blocks_of_a_node_come_by_number_full_ones_too(backend: Backend) -> None:
    await save(backend, OF_NODES)
    await carve(backend, block(128, node=HERE), block(64, node=HERE, next_free_since=None))
    await carve(backend, block(0, node=THERE), block(192))

    assert firsts(await backend.ledger.blocks_of_node("pods", HERE)) == [64, 128]
