"""All that a database keeps, as one value; and units of work that touch all of it, step by step."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Final

from msgspec import structs

from ipamd.backends.conformance.examples import (
    CENSUS,
    CONFIGURATION,
    HERE,
    LEASE,
    NOW,
    PLAIN,
    SEAT,
    THERE,
    WAIT,
    allocation,
    begin,
    block,
    carve,
    change_of,
    end,
    ending,
    log,
    release,
    save,
    write,
)
from ipamd.backends.interface import (
    Backend,
    BlockId,
    BlockOwner,
    BlocksWithFree,
    CatalogueChange,
    Changes,
    Counted,
    Found,
    HoldSearch,
    PodNetworkReading,
    RememberedRelease,
    Repeated,
    SetBack,
    TallyChange,
    Transaction,
)
from ipamd.models.address import AddressRange
from ipamd.models.allocation import Allocation
from ipamd.models.block import Block
from ipamd.models.catalogue import Snapshot
from ipamd.models.census import Census
from ipamd.models.change_log import LogEntry, LogQuery
from ipamd.models.change_request import ChangeRequest, RequestKind, RequestQuery
from ipamd.models.former_address import FormerAddress
from ipamd.models.hold import Hold
from ipamd.models.identity import Digest
from ipamd.models.instant import LATEST, Instant
from ipamd.models.issued import CallOrder
from ipamd.models.lease import Lease, Seat, SeatKey
from ipamd.models.node import Boot, Node, NodeKey
from ipamd.models.pod_network import Announced, AnnouncedKind, PodNetwork
from ipamd.models.query import AllocationQuery, HistoryQuery
from ipamd.models.quota import Quota, Tally, TallyUse
from ipamd.models.reservation import Reservation
from ipamd.models.restoration import Restoration
from ipamd.models.sample import UsageSample, hour_of
from ipamd.models.token import Role, Token, hash_of

MOST: Final = 100_000
SECOND_POOL: Final = replace(PLAIN, name="other", subnet=ip_network("10.1.0.0/16"))
POOLS: Final = ("pods", "other", "third")
LABELLED: Final = Node(cluster="default", name="node-1", labels={"zone": "a"})
KEPT: Final = Reservation(id=1, addresses=AddressRange.parse("10.0.0.9"), owner="vm-9")
MADE: Final = Token(id=1, hash=hash_of(b"one"), role=Role.ADMIN, name="ann", created=NOW)
HOLDERS: Final = ("c1", "c2", "c3", "c4", "c5")

ASKED: Final = ChangeRequest(
    id=1, kind=RequestKind.ALLOCATION, wanted={"owner": "vm-1"}, note=None, created=NOW, created_by="eve"
)
LIMIT: Final = Quota(name="teams", limit=5, namespaces=("team-*",))
HELD_BACK: Final = Hold(name="evening", size=2, pool="pods", namespaces=("*",), since=NOW, seconds=60)
TALLY: Final = Tally("teams", 4, "default", "team-a")
HAD: Final = FormerAddress(bytes(16), 0, "pods", ip_address("10.0.0.1"), NOW - 9, NOW, NOW + 60)
OTHERS: Final = Announced("default", AnnouncedKind.NODE, "node-2")

Steps = AsyncGenerator[str, None]


@dataclass(frozen=True, slots=True)
class Everything:
    """What a database keeps, read through every door."""

    snapshot: Snapshot
    live: Sequence[Allocation]
    history: Sequence[Allocation]
    held: Mapping[Digest, Sequence[Allocation]]
    releases: Mapping[Digest, Sequence[RememberedRelease]]
    blocks: Mapping[str, Sequence[Block]]
    with_room: Mapping[str, Sequence[Block]]
    cursors: Mapping[str, int]
    boots: Mapping[NodeKey, Sequence[Boot]]
    contacts: Mapping[NodeKey, Instant]
    uses: Mapping[int, Instant]
    network: PodNetworkReading
    counted: Counted
    log: Sequence[LogEntry]
    leases: Sequence[Lease]
    seats: Sequence[Seat]
    configurations: Mapping[Digest, bytes]
    samples: Mapping[str, Sequence[UsageSample]]
    requests: Sequence[ChangeRequest]
    censuses: Sequence[Census]
    former: Sequence[FormerAddress]
    tallies: Sequence[TallyUse]


async def everything(backend: Backend) -> Everything:
    """Read all of it."""
    ledger = backend.ledger
    digests = [allocation(container_id=name).digest for name in HOLDERS]
    history = list(await ledger.history(HistoryQuery(), None, MOST))
    digests += sorted({row.digest for row in history} - set(digests))

    async def read(transaction: Transaction) -> tuple[Found, dict[str, int], dict[str, list[Block]]]:
        found = await transaction.find(digests)
        searches = [BlocksWithFree(pool, BlockOwner.ANY, None, NOW, 1000) for pool in POOLS]
        with_room = [list(locked.blocks) for locked in await transaction.lock(searches)]
        cursors = {pool: await transaction.cursor(pool) for pool in POOLS}
        return found, cursors, dict(zip(POOLS, with_room, strict=True))

    async def read_boots(catalogue: CatalogueChange) -> dict[NodeKey, list[Boot]]:
        return {node: list(await catalogue.boots(node)) for node in (HERE, THERE)}

    found, cursors, with_room = await backend.transact(read, WAIT)
    former = await backend.transact(lambda transaction: transaction.former([HAD.workload]))
    return Everything(
        snapshot=await ledger.snapshot(Snapshot()),
        live=list(await ledger.page(AllocationQuery(), None, MOST)),
        history=history,
        held={digest: list(found.held[digest]) for digest in digests},
        releases={digest: sorted(found.releases[digest], key=repr) for digest in digests},
        blocks={pool: list(await ledger.blocks(pool, NOW, (0, 2**128 - 1))) for pool in POOLS},
        with_room=with_room,
        cursors=cursors,
        boots=await backend.change(read_boots),
        contacts=dict(await ledger.contacts()),
        uses=dict(await ledger.uses()),
        network=await ledger.pod_network("default", Snapshot(), None),
        counted=await backend.audit.counted(),
        log=list((await ledger.log(LogQuery(), None, MOST)).entries),
        leases=list(await ledger.leases(None)),
        seats=list(await ledger.seats(HERE)),
        configurations=dict(await ledger.configurations([SEAT.configuration])),
        samples={pool: list(await ledger.samples(pool, 0, LATEST, MOST)) for pool in POOLS},
        requests=list(await ledger.requests(RequestQuery(), None, MOST)),
        censuses=list(await ledger.censuses(None)),
        former=list(former.get(HAD.workload, ())),
        tallies=list(await ledger.tallies(LIMIT.name, MOST)),
    )


async def furnish(backend: Backend) -> None:
    """Put something of everything into an empty database; the steps below count on it."""
    await save(backend, PLAIN, SECOND_POOL, LABELLED, KEPT, MADE, LIMIT, HELD_BACK)
    await carve(backend, block(0), block(64, node=HERE, allocated=2), cursor=128)
    await carve(backend, block(0, pool="other"), cursor=64)
    await begin(backend, allocation("10.0.0.1", "c1"), allocation("10.0.0.2", "c2"))
    await begin(backend, allocation("10.0.0.5", "c5"))
    [gone] = await begin(backend, allocation("10.0.0.3", "c3"))
    await end(backend, gone)
    await write(backend, Changes(remembered=[release(gone.digest, 30), release(gone.digest, 10, undo=True)]))
    await write(backend, Changes(announced=frozenset({Announced("default", AnnouncedKind.NODE, "node-1")})))
    await write(backend, Changes(leases=[LEASE], seats=[SEAT], former=[HAD], tallies={TALLY: TallyChange(2)}))
    await write(backend, Changes(censuses=[CENSUS]))
    await backend.change(lambda catalogue: catalogue.save_boot(HERE, Boot("first", 1)))
    await backend.record_contacts({HERE: NOW})
    await backend.record_uses({MADE.id: NOW})
    await backend.count_time(NOW)
    await log(backend, change_of("pods"))
    await backend.sample_usage(hour_of(NOW))


async def unit_of_work(transaction: Transaction) -> Steps:
    """One unit of work that uses every method; between any two of them it may end."""
    yield "begins"
    c1, c2, c4, c5 = (allocation(container_id=name) for name in ("c1", "c2", "c4", "c5"))
    found = await transaction.find([c1.digest, c2.digest, c4.digest, c5.digest])
    [first], [second] = found.held[c1.digest], found.held[c2.digest]
    yield "found"
    locked = await transaction.lock(
        [BlockId("pods", 64), BlocksWithFree("pods", BlockOwner.ANY, None, NOW, 1)]
    )
    yield "locked"
    await transaction.revision()
    yield "read the revision"
    await transaction.write(Changes(ended=[ending(first)]))
    yield "wrote an end"
    await transaction.write(Changes(repeated=[Repeated(second.id or 0, 2, CallOrder(1, 20), "b", None)]))
    yield "wrote a repeat"
    await transaction.write(Changes(begun=[allocation("10.0.0.1", "c4", since=NOW + 2)]))
    yield "wrote a beginning"
    await transaction.write(Changes(set_back=[SetBack(second.id or 0, NOW - 9, NOW)]))
    yield "set a moment back"
    full = replace(locked[0].blocks[0], node=THERE, allocated=64, next_free_since=None)
    await transaction.write(Changes(blocks=[full]))
    yield "wrote a block"
    await transaction.write(Changes(remembered=[release(c1.digest, 15), release(c4.digest, 5, undo=True)]))
    yield "wrote releases"
    await transaction.former([HAD.workload])
    await transaction.write(Changes(former=[structs.replace(HAD, freed=NOW + 5)]))
    yield "wrote a former address"
    await transaction.tallies([TALLY], [LIMIT.name])
    await transaction.write(Changes(tallies={TALLY: TallyChange(1, 2)}))
    yield "wrote a tally"
    await transaction.of_holds([HoldSearch(HELD_BACK.owner.digest, NOW, 2)])
    await transaction.leases([HERE])
    await transaction.pinned([SeatKey(HERE, 1)])
    yield "read a lease"
    await transaction.write(Changes(dropped=[found.held[c5.digest][0].stored_id]))
    yield "dropped a row"
    lease = structs.replace(LEASE, epoch=2)
    seats = [structs.replace(SEAT, number=2)]
    configurations = {SEAT.configuration: CONFIGURATION}
    await transaction.write(Changes(leases=[lease], seats=seats, configurations=configurations))
    yield "wrote a lease"
    await transaction.write(Changes(recalled=[SeatKey(HERE, 2)], returned=[SeatKey(HERE, 1)]))
    yield "forgot a seat"
    await transaction.census(HERE)
    yield "read a census"
    await transaction.write(Changes(censuses=[structs.replace(CENSUS, waiting=1)]))
    yield "wrote a census"
    await transaction.pin_catalogue()
    yield "pinned the catalogue"
    await transaction.carve("pods", [block(128), block(192)], await transaction.cursor("pods") + 128)
    yield "carved"
    await transaction.write(Changes(announced=frozenset({OTHERS})))
    yield "announced"


async def change(catalogue: CatalogueChange) -> Steps:
    """One change that uses every method; between any two of them it may end."""
    yield "begins"
    await catalogue.raise_revision()
    yield "raised the revision"
    await catalogue.load(Snapshot())
    yield "loaded"
    await catalogue.save(replace(PLAIN, priority=7))
    yield "replaced a pool"
    await catalogue.save(replace(PLAIN, name="third", space="lab"))
    yield "added a pool"
    await catalogue.remove(SECOND_POOL)
    yield "removed a pool"
    await catalogue.remove(KEPT)
    yield "removed a reservation"
    await catalogue.save(replace(KEPT, id=2, addresses=AddressRange.parse("10.0.0.10")))
    yield "added a reservation"
    await catalogue.remove(LABELLED)
    yield "removed a node"
    await catalogue.save(Node(cluster="default", name="node-2"))
    yield "added a node"
    await catalogue.save(PodNetwork(cluster="default", check_sources=False))
    yield "changed a pod network"
    await catalogue.save(Restoration(timeline="t2", began=NOW))
    yield "began to wait for nodes"
    await catalogue.remove(MADE)
    yield "removed a token"
    await catalogue.save(replace(MADE, id=2, hash=hash_of(b"two")))
    yield "added a token"
    await catalogue.count([LIMIT])
    yield "counted"
    await catalogue.remove(LIMIT)
    yield "removed a quota"
    await catalogue.save(replace(LIMIT, name="others"))
    yield "added a quota"
    await catalogue.remove(HELD_BACK)
    yield "removed a hold"
    await catalogue.save(replace(HELD_BACK, name="others"))
    yield "added a hold"
    blocks = await catalogue.blocks_between("pods", 0, 64)
    yield "locked blocks"
    await catalogue.rewrite("pods", [replace(each, next_free_since=None) for each in blocks], 0)
    yield "rewrote blocks"
    await catalogue.holder_of("default", ip_address("10.0.0.1"))
    yield "asked for a holder"
    await catalogue.save_boot(THERE, Boot("other", 1))
    yield "saved a boot"
    await catalogue.announce({Announced("default", AnnouncedKind.POOLS)})
    yield "announced"
    await catalogue.renew_epochs()
    yield "renewed epochs"
    await catalogue.log([change_of("pods", NOW + 1), change_of("third", NOW + 1)])
    yield "logged"
    await catalogue.save_request(replace(ASKED, id=2))
    yield "saved a request"
    await catalogue.request(2)
    yield "read a request"


UNIT_STEPS: Final = 21
CHANGE_STEPS: Final = 28
"""How many steps the two have; a test holds that these are all."""


async def take_steps(steps: Steps, until: int, then: Callable[[], object]) -> int:
    """Go through steps, do something at one of them (counted from 0); how many there were."""
    count = 0
    async with aclosing(steps):
        async for _ in steps:
            if count == until:
                then()
            count += 1
    return count
