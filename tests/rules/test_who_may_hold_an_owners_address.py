"""Owners whom workloads name: who may hold their addresses, and what becomes of these."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import pytest

from ipamd.backends.conformance.examples import save
from ipamd.backends.memory.backend import MemoryBackend
from ipamd.engine.allocation.owners import OwnerKey
from ipamd.engine.clock import Clock
from ipamd.engine.engine import Engine
from ipamd.models.allocation import Allocation, Workload
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import DomainError
from ipamd.models.identity import Identity, owner_in
from ipamd.models.instant import SECOND
from ipamd.models.issued import Issued
from ipamd.models.outcome import Granted, Outcome, Refused, Released
from ipamd.models.pod_network import PodNetwork
from ipamd.models.pool import Affinity, Pool, PoolState
from ipamd.models.query import AllocationQuery, HistoryQuery
from ipamd.models.request import AllocationRequest, Release
from ipamd.models.reservation import Reservation
from tests.rules.values import pool, reserved

KEEP = 100
PODS = pool("pods", "10.0.0.0/24", cooldown=5, owner_keep=KEEP)
SIX = pool("six", "fd00::/120", cooldown=5, owner_keep=KEEP)
OTHER = pool("other", "10.0.1.0/24", cooldown=5, owner_keep=KEEP)


@dataclass
class Story:
    """Calls one after another, in words: what each of them says, or what it comes to."""

    now: int = 1_000 * SECOND
    calls: int = 0
    seen: int | None = None
    backend: MemoryBackend = field(default_factory=MemoryBackend)
    taken: dict[str, Issued] = field(default_factory=dict)

    async def told(
        self, entries: Sequence[Pool | Reservation | PodNetwork], steps: Sequence[str]
    ) -> list[str]:
        engine = await Engine.open(self.backend, clock=Clock(lambda: self.now, lambda: self.now))
        try:
            for entry in entries:
                if isinstance(entry, PodNetwork):
                    await save(self.backend, entry)
                elif isinstance(entry, Pool):
                    await engine.administration.create_pool(entry)
                else:
                    await engine.administration.create_reservation(entry)
            return [await self.step(engine, step) for step in steps]
        finally:
            await engine.close()

    async def step(self, engine: Engine, said: str) -> str:
        verb, *words = said.split()
        match verb:
            case "wait":
                self.now += int(words[0]) * SECOND
                return f"freed {await engine.owners.release_away()}"
            case "drain":
                await engine.administration.edit_pool(words[0], draining, None)
                return "drained"
            case "make":
                return shown(await engine.submit(self.made(*words)))
            case "add":
                return shown(await engine.submit(self.add(*words)))
            case "del" | "undo":
                return shown(await engine.submit(self.release(verb, *words)))
            case "who":
                rows = await engine.queries.allocations(AllocationQuery(), None, 99)
                return ", ".join(map(short, rows)) or "nobody"
            case "free":
                key = OwnerKey("default", "team", words[0])
                try:
                    freed = await engine.owners.release(
                        key, with_holders="holders" in words, by=None, reason=None
                    )
                except DomainError as error:
                    return error.code
                return f"released {' '.join(map(str, freed))}"
            case "announced":
                return await self.announced(engine)
            case "had":
                rows = (await engine.queries.history(HistoryQuery(owner=words[0]), None, 99)).rows
                return ", ".join(map(short, rows))
        raise ValueError(said)

    async def announced(self, engine: Engine) -> str:
        """Which addresses are announced singly, and which nodes have changed since the last look."""
        view = await engine.network_queries.whole("default")
        reading = await self.backend.ledger.pod_network("default", Snapshot(), self.seen)
        self.seen = view.position.number
        singles = " ".join(f"{each.address} on {each.node}" for each in reading.singles) or "nothing"
        changed = " ".join(sorted(each.name for each in reading.changed if each.name)) or "nobody"
        return f"{singles}; changed: {changed}"

    def issued(self) -> Issued:
        self.calls += 1
        return Issued("boot", self.calls)

    def identity(self, who: str) -> Identity:
        """`c1@n1` or `c1@n1/net1`."""
        name, _, where = who.partition("@")
        node, _, interface = where.partition("/")
        return Identity("default", "net", node or "n1", name, interface or "eth0")

    def add(self, who: str, *words: str) -> AllocationRequest:
        """`add c1@n1 for vm in team from pods six at 10.0.0.9`."""
        given = said_with(words)
        identity = self.identity(who)
        self.taken[who] = self.issued()
        namespace = given.get("in", ["team"])[0]
        name = given.get("for", [""])[0]
        return AllocationRequest(
            holder=identity,
            pool_names=tuple((each,) for each in given.get("from", ["pods"])),
            requested=tuple(map(ip_address, given.get("at", []))),
            workload=Workload(namespace, given.get("as", ["pod"])[0]),
            issued=self.taken[who],
            for_owner=owner_in("default", namespace, name) if name else None,
        )

    def made(self, name: str, *words: str) -> AllocationRequest:
        given = said_with(words)
        owner = owner_in("default", given.get("in", ["team"])[0], name)
        return AllocationRequest(
            holder=owner,
            for_owner=owner,
            pool_names=tuple((each,) for each in given.get("from", ["pods"])),
            requested=tuple(map(ip_address, given.get("at", []))),
            workload=Workload("team"),
        )

    def release(self, verb: str, who: str) -> Release:
        identity = self.identity(who)
        issued = self.taken[who] if verb == "undo" else self.issued()
        return Release(digest=identity.digest, node=identity.node_key, issued=issued, undo=verb == "undo")


def short(row: Allocation) -> str:
    """A container by its ID, an owner by its name."""
    return row.holder.container_id if isinstance(row.holder, Identity) else row.holder.name


def draining(known: Pool) -> Pool:
    return replace(known, state=PoolState.DRAINING)


def said_with(words: Sequence[str]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for word in words:
        if word in ("for", "in", "from", "at", "as"):
            given[word] = []
        else:
            given[list(given)[-1]].append(word)
    return given


def shown(outcome: Outcome) -> str:
    match outcome:
        case Granted(grants):
            return " ".join(str(grant.address) for grant in grants)
        case Released(freed):
            return f"released {' '.join(map(str, freed))}".strip()
        case Refused(error):
            return error.code
    raise ValueError(outcome)


def told(
    *steps: tuple[str, str], entries: Sequence[Pool | Reservation | PodNetwork] = (PODS, SIX, OTHER)
) -> None:
    """Go through the steps; each comes to what stands beside it."""
    answers = asyncio.run(Story().told(entries, [said for said, _ in steps]))
    assert list(zip((said for said, _ in steps), answers, strict=True)) == list(steps)


def test_the_address_is_the_owners_and_goes_with_it() -> None:
    told(
        ("add c1@n1 for vm", "10.0.0.2"),
        ("add c2@n2 for vm", "10.0.0.2"),
        ("del c1@n1", "released 10.0.0.2"),
        ("add c3@n3 for vm", "10.0.0.2"),
        ("del c2@n2", "released 10.0.0.2"),
        ("del c3@n3", "released 10.0.0.2"),
        ("add c9@n1", "10.0.0.3"),
        ("add c4@n1 for vm", "10.0.0.2"),
        ("who", "vm, c4, c9"),
    )


def test_a_third_holder_is_refused_until_one_of_the_two_has_ended() -> None:
    told(
        ("add c1@n1 for vm", "10.0.0.2"),
        ("add c2@n2 for vm", "10.0.0.2"),
        ("add c3@n3 for vm", "owner-full"),
        ("add c1@n1 for vm", "10.0.0.2"),
        ("del c1@n1", "released 10.0.0.2"),
        ("add c3@n3 for vm", "10.0.0.2"),
        ("who", "vm, c3, c2"),
    )


def test_while_it_is_away_nobody_else_has_it_and_then_it_is_free() -> None:
    told(
        ("add c1@n1 for vm", "10.0.0.2"),
        ("del c1@n1", "released 10.0.0.2"),
        (f"wait {KEEP - 1}", "freed 0"),
        ("add c9@n1 at 10.0.0.2", "address-taken"),
        ("add c2@n2 for vm", "10.0.0.2"),
        (f"wait {KEEP + 1}", "freed 0"),
        ("del c2@n2", "released 10.0.0.2"),
        (f"wait {KEEP + 1}", "freed 1"),
        ("who", "nobody"),
        ("add c9@n1 at 10.0.0.2", "10.0.0.2"),
        ("add c3@n3 for vm", "10.0.0.3"),
        ("had vm", "c3, vm, c2, c1, vm"),
    )


def test_a_pool_that_keeps_nothing_frees_it_with_the_last_holder() -> None:
    told(
        ("add c1@n1 for vm", "10.0.0.2"),
        ("add c2@n1 for vm", "10.0.0.2"),
        ("del c1@n1", "released 10.0.0.2"),
        ("who", "vm, c2"),
        ("del c2@n1", "released 10.0.0.2"),
        ("who", "nobody"),
        entries=[replace(PODS, owner_keep=0)],
    )


def test_an_owner_stays_if_its_pool_keeps_it_longer_though_one_replica_has_not_heard_yet() -> None:
    async def freed() -> int:
        story = Story()
        clock = Clock(lambda: story.now, lambda: story.now)
        here, there = [await Engine.open(story.backend, clock=clock) for _ in range(2)]
        await here.administration.create_pool(PODS)
        for step in ("add c1@n1 for vm", "del c1@n1"):
            await story.step(here, step)
        story.now += (KEEP + 1) * SECOND
        await there.administration.edit_pool("pods", lambda known: replace(known, owner_keep=2 * KEEP), None)
        count = await here.owners.release_away()
        for engine in (here, there):
            await engine.close()
        return count

    assert asyncio.run(freed()) == 0


def test_each_namespace_has_its_own_owners() -> None:
    told(
        ("add c1@n1 for vm in team", "10.0.0.2"),
        ("add c2@n1 for vm in other", "10.0.0.3"),
        ("add c3@n2 for vm in team", "10.0.0.2"),
    )


def test_an_owner_has_an_address_of_each_family_that_was_asked_for() -> None:
    told(
        ("add c1@n1 for vm from pods", "10.0.0.2"),
        ("add c2@n2 for vm from pods six", "10.0.0.2 fd00::2"),
        ("add c3@n3 for vm from six", "fd00::2"),
        ("add c4@n3 for vm from six pods", "owner-full"),
        ("del c2@n2", "released 10.0.0.2 fd00::2"),
        ("add c4@n3 for vm from six pods", "fd00::2 10.0.0.2"),
        ("add c5@n3 for vm from other", "10.0.1.2"),
        ("add c6@n3 for vm from pods pods", "owner-full"),
        ("del c1@n1", "released 10.0.0.2"),
        ("add c6@n3 for vm from pods pods", "10.0.0.2 10.0.0.3"),
    )


def test_what_is_requested_is_what_the_owner_has_or_is_refused() -> None:
    told(
        ("add c1@n1 for vm at 10.0.0.9", "10.0.0.9"),
        ("add c2@n2 for vm at 10.0.0.9", "10.0.0.9"),
        ("add c3@n2 for vm at 10.0.0.8", "address-unavailable"),
        ("add c4@n2 for other at 10.0.0.9", "address-taken"),
        ("add c5@n2 at 10.0.0.9", "address-taken"),
    )


def test_a_reservation_says_where_an_owner_begins_and_not_where_it_goes_on() -> None:
    told(
        ("add c1@n1 for vm as db", "10.0.0.7"),
        ("add c2@n2 for vm as elsewhere", "10.0.0.7"),
        ("add c3@n1 for second as db", "address-taken"),
        ("add c4@n1 for router", "10.0.0.2"),
        entries=[PODS, reserved("10.0.0.7", "team/db"), reserved("10.0.0.5", owner="router")],
    )


def test_a_draining_pool_moves_what_it_has_and_gives_nothing_new() -> None:
    told(
        ("add c1@n1 for vm", "10.0.0.2"),
        ("drain pods", "drained"),
        ("add c2@n2 for vm", "10.0.0.2"),
        ("add c3@n2 for other", "nothing-free"),
    )


def test_two_interfaces_of_a_container_need_two_owners() -> None:
    told(
        ("add c1@n1/eth0 for vm", "10.0.0.2"),
        ("add c1@n1/net1 for vm", "address-unavailable"),
        ("add c1@n1/net1 for vm-net1", "10.0.0.3"),
    )


def test_an_undo_frees_what_its_add_took_and_nothing_that_another_was_told_of() -> None:
    told(
        ("add c1@n1 for vm", "10.0.0.2"),
        ("undo c1@n1", "released 10.0.0.2"),
        ("who", "nobody"),
        ("add c2@n1 for vm", "10.0.0.3"),
        ("add c3@n2 for vm", "10.0.0.3"),
        ("undo c3@n2", "released 10.0.0.3"),
        ("who", "vm, c2"),
        ("add c4@n2 for vm", "10.0.0.3"),
        ("undo c2@n1", "released 10.0.0.3"),
        ("del c4@n2", "released 10.0.0.3"),
        ("who", "vm"),
    )


def test_an_undo_frees_nothing_that_an_admin_was_told_of() -> None:
    told(
        ("add c1@n1 for vm", "10.0.0.2"),
        ("make vm", "10.0.0.2"),
        ("undo c1@n1", "released 10.0.0.2"),
        ("who", "vm"),
        (f"wait {KEEP + 1}", "freed 1"),
    )


@pytest.mark.parametrize("keep", [0, KEEP])
def test_a_first_add_that_is_undone_leaves_what_an_admin_made_in_advance(keep: int) -> None:
    """Nobody has come: the next ADD is to get the same address, however late it comes."""
    told(
        ("make vm", "10.0.0.2"),
        ("add c1@n1 for vm", "10.0.0.2"),
        ("undo c1@n1", "released 10.0.0.2"),
        (f"wait {10 * KEEP}", "freed 0"),
        ("add c2@n1 for vm", "10.0.0.2"),
        ("add c3@n1 for vm", "10.0.0.2"),
        ("undo c3@n1", "released 10.0.0.2"),
        ("del c2@n1", "released 10.0.0.2"),
        (f"wait {KEEP + 1}", f"freed {1 if keep else 0}"),
        ("who", "nobody"),
        entries=[replace(PODS, owner_keep=keep)],
    )


def test_an_admin_makes_it_in_advance_and_it_stays_until_somebody_had_it() -> None:
    told(
        ("make vm", "10.0.0.2"),
        ("make vm", "10.0.0.2"),
        ("make vm from six", "fd00::2"),
        (f"wait {10 * KEEP}", "freed 0"),
        ("add c1@n1 for vm from pods", "10.0.0.2"),
        ("del c1@n1", "released 10.0.0.2"),
        (f"wait {KEEP + 1}", "freed 1"),
        ("who", "vm"),
    )


def test_an_admin_releases_an_owner_whom_nobody_holds_or_says_that_its_holders_end_too() -> None:
    told(
        ("add c1@n1 for vm from pods six", "10.0.0.2 fd00::2"),
        ("add c2@n2 for vm", "10.0.0.2"),
        ("free vm", "owner-held"),
        ("who", "vm, c1, c2, vm, c1"),
        ("free vm holders", "released 10.0.0.2 fd00::2"),
        ("who", "nobody"),
        ("free vm", "not-found"),
        ("make vm", "10.0.0.3"),
        ("free vm", "released 10.0.0.3"),
    )


AFFINE = replace(PODS, affinity=Affinity.NODE)
FULL = pool("full", "fd00::/126", state=PoolState.DRAINING)


def test_it_moves_out_of_a_nodes_block_if_the_pool_lends_single_addresses() -> None:
    told(
        ("add c1@n1 for vm", "10.0.0.2"),
        ("add c2@n2 for vm", "10.0.0.2"),
        ("add c3@n2", "10.0.0.64"),
        entries=[AFFINE],
    )
    told(
        ("add c1@n1 for vm", "10.0.0.2"),
        ("add c2@n2 for vm", "address-unavailable"),
        ("add c2@n1 for vm", "10.0.0.2"),
        entries=[replace(AFFINE, borrow=False)],
    )


def test_a_block_without_a_node_goes_to_the_first_holders() -> None:
    told(
        ("make vm", "10.0.0.2"),
        ("add c1@n1 for vm", "10.0.0.2"),
        ("add c2@n1", "10.0.0.3"),
        entries=[replace(AFFINE, borrow=False)],
    )
    told(
        ("make vm", "10.0.0.2"),
        ("add c1@n1 for vm", "10.0.0.2"),
        ("add c2@n2", "10.0.0.64"),
        entries=[AFFINE],
    )


def test_it_stays_without_a_node_if_the_add_is_refused() -> None:
    told(
        ("make vm", "10.0.0.2"),
        ("add c1@n1 for vm from pods full", "nothing-free"),
        ("add c2@n2", "10.0.0.3"),
        entries=[AFFINE, FULL],
    )


def test_the_younger_of_two_holders_is_announced_and_the_older_again_if_the_move_is_cancelled() -> None:
    told(
        ("add c1@n1 for vm", "10.0.0.2"),
        ("announced", "nothing; changed: n1"),
        ("add c2@n2 for vm", "10.0.0.2"),
        ("announced", "10.0.0.2 on n2; changed: n2"),
        ("del c1@n1", "released 10.0.0.2"),
        ("announced", "10.0.0.2 on n2; changed: n2"),
        ("add c3@n3 for vm", "10.0.0.2"),
        ("announced", "10.0.0.2 on n3; changed: n2 n3"),
        ("del c3@n3", "released 10.0.0.2"),
        ("announced", "10.0.0.2 on n2; changed: n2 n3"),
        ("add c4@n1 for vm", "10.0.0.2"),
        ("announced", "nothing; changed: n2"),
        ("del c2@n2", "released 10.0.0.2"),
        ("announced", "nothing; changed: n2"),
        entries=[PodNetwork(cluster="default"), AFFINE],
    )
