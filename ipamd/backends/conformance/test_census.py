"""Censuses, and the allocations that a node compares with what lives on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from ipamd.backends.conformance.examples import (
    CENSUS,
    HERE,
    NOW,
    THERE,
    allocation,
    begin,
    container,
    end,
    remove,
    save,
    write,
)
from ipamd.backends.interface import Backend, CatalogueChange, Changes
from ipamd.models.catalogue import Snapshot
from ipamd.models.identity import Owner
from ipamd.models.node import Node
from ipamd.models.pod_network import Announced, AnnouncedKind
from ipamd.models.restoration import Restoration

pytestmark = pytest.mark.asyncio

OTHERS = structs.replace(CENSUS, node=THERE, noted_machine="n", noted_boot="c", noted=NOW, suspicions=())


async def test_a_census_is_found_by_its_node_and_written_again(backend: Backend) -> None:
    await write(backend, Changes(censuses=[OTHERS, CENSUS]))
    changed = structs.replace(CENSUS, suspicions=(), waiting=3)

    await write(backend, Changes(censuses=[changed]))

    assert await backend.ledger.censuses(None) == [changed, OTHERS]
    assert await backend.ledger.censuses(THERE) == [OTHERS]
    assert await backend.transact(lambda transaction: transaction.census(HERE)) == changed
    assert await backend.transact(lambda transaction: transaction.census(HERE._replace(name="no"))) is None


async def test_what_a_node_was_told_is_kept_with_its_census(backend: Backend) -> None:
    told = structs.replace(CENSUS, told=1 << 40, told_in="1-x")

    await write(backend, Changes(censuses=[told, OTHERS]))

    assert await backend.ledger.censuses(None) == [told, OTHERS]


async def test_the_key_of_receipts_never_changes(backend: Backend) -> None:
    key = await backend.ledger.receipt_key()

    await backend.change(lambda catalogue: catalogue.raise_revision())

    assert len(key) == 32
    assert await backend.ledger.receipt_key() == key


async def test_a_node_is_removed_with_its_census(backend: Backend) -> None:
    node = Node(cluster=HERE.cluster, name=HERE.name)
    await save(backend, node)
    await write(backend, Changes(censuses=[CENSUS, OTHERS]))

    await remove(backend, node)

    assert await backend.ledger.censuses(None) == [OTHERS]


async def test_what_a_nodes_containers_hold_is_read_by_id(backend: Backend) -> None:
    vm = Owner("vm-1", bytes(16))
    first, second, third, fourth, _, _ = await begin(
        backend,
        allocation("10.0.0.9", "c1"),
        allocation("10.0.0.3", "c2"),
        allocation("10.0.0.7", holder=container("c3", network="other")),
        allocation("10.0.0.5", "c4"),
        allocation("10.0.0.6", holder=vm),
        allocation("10.0.0.8", holder=container("c5", node=THERE.name)),
    )
    await end(backend, second)

    assert await backend.ledger.held_on(HERE, 0, 10) == [first, third, fourth]
    assert await backend.ledger.held_on(HERE, first.stored_id, 1) == [third]
    assert await backend.ledger.held_on(HERE._replace(cluster="other"), 0, 10) == []


async def test_that_a_database_was_put_back_is_part_of_the_catalogue(backend: Backend) -> None:
    before = await backend.ledger.snapshot(Snapshot())

    revision = await save(backend, Restoration(timeline="t1", began=NOW, cause="a node said so"))
    during = await backend.ledger.snapshot(before)
    await save(backend, Restoration(timeline="t1"))

    assert before.restoration == Restoration()
    assert during.restoration == Restoration(
        timeline="t1", began=NOW, cause="a node said so", revision=revision
    )
    assert (await backend.ledger.snapshot(during)).restoration.began is None
    assert (await backend.ledger.snapshot(Snapshot())).restoration.timeline == "t1"


async def test_what_was_known_in_another_timeline_is_read_again(backend: Backend) -> None:
    """A replica may know what was lost, under a number that is lower than that of the new timeline."""
    kept, lost = Node(cluster="default", name="kept"), Node(cluster="default", name="lost", revision=1)
    await save(backend, kept)
    known = await backend.ledger.snapshot(Snapshot())
    known = replace(known, nodes={**known.nodes, lost.key: lost})

    async def change(catalogue: CatalogueChange) -> int:
        revision = await catalogue.raise_revision(1000)
        await catalogue.save(Restoration(timeline="1-x", began=NOW))
        return revision

    revision = await backend.change(change)

    found = await backend.ledger.snapshot(known)
    assert (found.revision, known.revision + 1000) == (revision, revision)
    assert found.nodes.keys() == {kept.key}


async def test_a_new_epoch_leaves_the_numbers_and_changes_their_name(backend: Backend) -> None:
    changed = Announced("default", AnnouncedKind.NODE, "node-1")
    await write(backend, Changes(announced=frozenset({changed, changed._replace(cluster="west")})))
    before = await backend.ledger.positions()

    await backend.change(lambda catalogue: catalogue.renew_epochs())

    after = await backend.ledger.positions()
    assert after.keys() == before.keys() == {"default", "west"}
    for cluster in before:
        assert after[cluster].epoch != before[cluster].epoch
        assert after[cluster].number == before[cluster].number
