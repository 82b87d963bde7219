"""Random histories of nodes with leases: no address has two living holders, and no seat is lost for good.

Each node is as plain as it can be: what it was told, what its containers have, and what it has not reported.
Answers are lost, reports come twice, nodes reboot, admins meddle. Every backend is asked the same.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ipamd.backends.registry import open_backend
from ipamd.engine.allocation.collection import Eviction
from ipamd.engine.clock import Clock
from ipamd.engine.engine import Engine
from ipamd.engine.leasing.conversation import Asking, SeatState, Told, WantedSeats
from ipamd.engine.leasing.reporting import Report
from ipamd.models.address import AddressRange, IPAddress
from ipamd.models.allocation import Ending
from ipamd.models.errors import DomainError
from ipamd.models.identity import Identity
from ipamd.models.instant import SECOND
from ipamd.models.issued import Issued
from ipamd.models.lease import SeatEvent, SeatEventKind
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Granted, Refused, Released, Reported
from ipamd.models.pool import Pool, PoolState
from ipamd.models.query import AllocationQuery
from ipamd.models.request import AllocationRequest, Release
from tests.postgres import shared_postgres
from tests.properties.contradictions import contradictions

T = TypeVar("T")

NODES: Final = ("n0", "n1")
CONFIG: Final = b'{"cniVersion":"1.1.0","name":"pods","ipam":{"type":"ipamd-ipam"}}'
POOLS: Final = (
    Pool(name="four", subnet=ip_network("10.0.0.0/29"), block_length=30, cooldown=0),
    Pool(name="six", subnet=ip_network("fd00::/123"), block_length=126, cooldown=2),
)


@dataclass
class Container:
    """A container that lives, and what it uses."""

    identity: Identity
    addresses: tuple[IPAddress, ...]
    issued: Issued
    seat: int | None


@dataclass
class NodeSide:
    """A node with its store."""

    key: NodeKey
    boot: int = 0
    store: int = 0
    epoch: int | None = None
    grant: int = 0
    revision: int = 0
    reported: int = 0
    states: dict[int, SeatState] = field(default_factory=dict)
    addresses: dict[int, tuple[IPAddress, ...]] = field(default_factory=dict)
    void: set[int] = field(default_factory=set)
    events: list[tuple[SeatEventKind, int, Identity, Issued, Ending, int]] = field(default_factory=list)
    ended: dict[Identity, Issued] = field(default_factory=dict)
    living: dict[str, Container] = field(default_factory=dict)
    is_open: bool = False

    @property
    def boot_name(self) -> str:
        return f"boot-{self.key.name}-{self.boot}"

    def lose_store(self) -> None:
        """All that its memory held is gone."""
        self.store += 1
        self.epoch, self.grant, self.revision, self.reported, self.is_open = None, 0, 0, 0, False
        self.states, self.addresses, self.void = {}, {}, set()
        self.events, self.ended = [], {}


class LeaseHistory(RuleBasedStateMachine):
    """Drives every backend's engine with the same nodes, at the same instants."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.databases = ExitStack()
        self.now = 1_000_000 * SECOND
        self.calls = 100
        self.nodes = {name: NodeSide(NodeKey("default", name)) for name in NODES}
        self.old_reports: list[tuple[str, Report, list[tuple[Any, ...]]]] = []

    @initialize()
    def open(self) -> None:
        folder = Path(self.folder.name)
        database = self.databases.enter_context(shared_postgres().migrated())
        urls = ["memory://", f"sqlite:///{folder / 'ipamd.sqlite'}", shared_postgres().url(database)]
        self.engines = [self.run(self.opened(url)) for url in urls]
        for pool in POOLS:
            self.every(lambda engine, pool=pool: engine.administration.create_pool(pool))

    async def opened(self, url: str) -> Engine:
        return await Engine.open(await open_backend(url), clock=Clock(lambda: self.now, lambda: self.now))

    def teardown(self) -> None:
        try:
            self.give_all_back()
            found = [self.run(contradictions(engine)) for engine in self.engines]
            assert not any(found), found
        finally:
            for engine in self.engines:
                self.run(engine.close())
            self.loop.close()
            self.databases.close()
            self.folder.cleanup()

    def give_all_back(self) -> None:
        """Every node ends its containers, reports, and returns what it has: nothing is held then."""
        for node in self.nodes.values():
            for name in list(node.living):
                self.delete(node.key.name, name, wait=False)
            for _ in range(2):
                self.now += 11 * SECOND
                self.converse(node, free=0)
            self.send(node)
            for _ in range(3):
                for number, state in node.states.items():
                    if state is SeatState.FREE:
                        node.states[number] = SeatState.RETURNING
                self.converse(node, free=0)
            eviction = Eviction(node=node.key, reason="the end", by=None)
            self.every(lambda engine, e=eviction: engine.removal.release(e, even_if_alive=True))
        for pool in POOLS:
            usage = self.every(lambda engine, pool=pool: engine.queries.usage(pool.name))[1]
            assert (usage.leased, usage.allocated) == (0, 0), (pool.name, usage)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def every(self, ask: Any) -> Any:
        """Ask each engine the same; they must answer the same."""
        answers = [self.run(told(ask(engine))) for engine in self.engines]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def issued(self, node: NodeSide) -> Issued:
        self.calls += 1
        return Issued(node.boot_name, self.calls)

    # The agent.

    def asking(self, node: NodeSide, free: int) -> Asking:
        return Asking(
            node=node.key,
            machine=f"machine-{node.key.name}",
            boot=node.boot_name,
            store=f"store-{node.store}",
            epoch=node.epoch,
            granted=node.grant,
            seats=dict(node.states),
            wanted=[WantedSeats("0a", CONFIG, "pods", (), free)],
            revision=node.revision,
        )

    def converse(self, node: NodeSide, free: int, *, lost: bool = False) -> None:
        """Ask, and do what is told, unless the answer is lost."""
        self.send(node)
        answer = self.every(lambda engine: engine.leases.ask(self.asking(node, free)))
        if answer[0] == "refused":
            if answer[1] == "lease-over":
                survivors = {c.identity for c in node.living.values() if c.seat is not None}
                assert not survivors, "a lease is fenced only if its node is off"
                node.lose_store()
            return
        if lost:
            return
        news: Told = answer[1]
        node.epoch, node.revision, node.is_open = news.epoch, news.revision, True
        if news.seats:
            assert news.granted == node.grant + 1
            node.grant = news.granted
        for seat in news.seats:
            node.states.setdefault(seat.number, SeatState.FREE)
            node.addresses[seat.number] = tuple(grant.address for grant in seat.grants)
        for number in news.returned:
            del node.states[number], node.addresses[number]
        node.void |= set(news.void)
        for number in news.recalled:
            if node.states[number] is SeatState.FREE:
                node.states[number] = SeatState.RETURNING
        for ended in news.ended:
            for name, container in list(node.living.items()):
                same = (container.seat, container.identity) == (ended.seat, ended.identity)
                if same and container.issued.uptime_ns <= ended.uptime_ns:
                    del node.living[name]
                    self.free(node, ended.seat, container.identity, self.issued(node), Ending.RELEASED)

    def free(self, node: NodeSide, seat: int, identity: Identity, issued: Issued, ending: Ending) -> None:
        node.states[seat] = SeatState.FREE
        node.ended[identity] = issued
        node.events.append((SeatEventKind.END, seat, identity, issued, ending, self.now))

    def send(self, node: NodeSide, *, lost: bool = False) -> None:
        """Report everything, as an agent does before it asks."""
        if not node.events or node.epoch is None:
            return
        report = Report(
            node=node.key,
            epoch=node.epoch,
            store=f"store-{node.store}",
            first=node.reported + 1,
            events=(),
        )
        events = list(node.events)
        answer = self.report(report, events)
        self.old_reports.append((node.key.name, report, events))
        if not lost:
            assert answer[:2] == ("reported", node.reported + len(events))
            node.reported += len(events)
            node.events, node.ended = [], {}

    def report(self, report: Report, events: list[tuple[Any, ...]]) -> Any:
        async def tell(engine: Engine) -> Reported:
            told = [
                SeatEvent(
                    kind=kind,
                    seat=seat,
                    holder=identity,
                    digest=identity.digest,
                    order=await engine.allocator.order_of(report.node, issued),
                    age=self.now - at,
                    ending=ending,
                    boot=issued.boot,
                )
                for kind, seat, identity, issued, ending, at in events
            ]
            return await engine.reporting.report(replace(report, events=told))

        return self.every(tell)

    @rule(name=st.sampled_from(NODES), free=st.integers(0, 4), lost=st.booleans())
    def ask(self, name: str, free: int, lost: bool) -> None:
        self.converse(self.nodes[name], free, lost=lost)

    @rule(name=st.sampled_from(NODES), lost=st.booleans())
    def report_now(self, name: str, lost: bool) -> None:
        self.send(self.nodes[name], lost=lost)

    @rule(data=st.data())
    def an_old_report_comes_again(self, data: st.DataObject) -> None:
        if self.old_reports:
            _, report, events = data.draw(st.sampled_from(self.old_reports))
            self.report(report, events)

    @rule(name=st.sampled_from(NODES), data=st.data())
    def give_back(self, name: str, data: st.DataObject) -> None:
        node = self.nodes[name]
        free = [number for number, state in node.states.items() if state is SeatState.FREE]
        if free:
            node.states[data.draw(st.sampled_from(free))] = SeatState.RETURNING

    # The plugin.

    @rule(name=st.sampled_from(NODES), container=st.integers(0, 4))
    def add(self, name: str, container: int) -> None:
        """An ADD: out of the store if it can be, else ipamd's."""
        node, who = self.nodes[name], f"c{container}"
        if who in node.living:
            return
        identity = Identity("default", "pods", name, who, "eth0")
        issued = self.issued(node)
        if identity not in node.ended and node.is_open:
            for number, state in node.states.items():
                if state is SeatState.FREE and number not in node.void:
                    node.states[number] = SeatState.TAKEN
                    event = (SeatEventKind.BEGIN, number, identity, issued, Ending.RELEASED, self.now)
                    node.events.append(event)
                    node.living[who] = Container(identity, node.addresses[number], issued, number)
                    return
        if identity in node.ended:
            early = Release(digest=identity.digest, node=node.key, issued=node.ended[identity])
            self.every(lambda engine: engine.submit(early))
        request = AllocationRequest(holder=identity, issued=issued)
        answer = self.every(lambda engine: engine.submit(request))
        if answer[0] == "granted":
            node.living[who] = Container(identity, answer[1], issued, None)

    @rule(name=st.sampled_from(NODES), container=st.integers(0, 4), undo=st.booleans())
    def delete(self, name: str, container: int | str, undo: bool = False, wait: bool = True) -> None:
        """A DEL, or an undo, of what lives."""
        node = self.nodes[name]
        gone = node.living.pop(f"c{container}" if isinstance(container, int) else container, None)
        if gone is None:
            return
        issued = gone.issued if undo else self.issued(node)
        if gone.seat is not None:
            self.free(node, gone.seat, gone.identity, issued, Ending.UNDONE if undo else Ending.RELEASED)
            return
        release = Release(digest=gone.identity.digest, node=node.key, issued=issued, undo=undo)
        self.every(lambda engine: engine.submit(release))

    @rule(name=st.sampled_from(NODES), container=st.integers(0, 4))
    def a_del_of_a_plugin_that_knows_no_store(self, name: str, container: int) -> None:
        """It reaches ipamd. The container is gone; its seat is free when the node has heard of it."""
        node = self.nodes[name]
        gone = node.living.get(f"c{container}")
        if gone is None:
            return
        release = Release(digest=gone.identity.digest, node=node.key, issued=self.issued(node))
        self.every(lambda engine: engine.submit(release))
        if gone.seat is None:
            del node.living[f"c{container}"]

    @rule(name=st.sampled_from(NODES), containers=st.lists(st.integers(0, 4), max_size=3))
    def pods_begin_and_are_reported(self, name: str, containers: list[int]) -> None:
        """What happens most, so that the rest meets it often."""
        node = self.nodes[name]
        self.converse(node, free=len(containers))
        for container in containers:
            self.add(name, container)
        self.send(node)

    # Admins, and what machines do.

    @rule(name=st.sampled_from(NODES))
    def an_admin_releases_what_a_container_has_twice(self, name: str) -> None:
        """By its row: who lives on has no right to it any more, but its seat is never another's."""
        node = self.nodes[name]
        for who, container in list(node.living.items()):
            if container.seat is None:
                self.every(lambda engine, c=container: engine.submit(Release(digest=c.identity.digest)))
                del node.living[who]

    @rule(name=st.sampled_from(NODES), reported=st.booleans())
    def reboot(self, name: str, reported: bool) -> None:
        """All containers end, and the store is gone, with what was not reported."""
        node = self.nodes[name]
        if reported:
            self.send(node)
        gone = list(node.living.values())
        node.living.clear()
        node.lose_store()
        node.boot += 1
        for container in gone:
            release = Release(digest=container.identity.digest, node=node.key, issued=self.issued(node))
            self.every(lambda engine, release=release: engine.submit(release))
        self.have_a_lease_again(node)

    @rule(name=st.sampled_from(NODES), is_waited_for=st.booleans())
    def a_store_is_lost(self, name: str, is_waited_for: bool) -> None:
        """Its containers live on, and some of them nobody was told of."""
        node = self.nodes[name]
        node.lose_store()
        for container in node.living.values():
            container.seat = None
        if is_waited_for:
            self.have_a_lease_again(node)

    def have_a_lease_again(self, node: NodeSide) -> None:
        """A new boot or store waits until nobody else has called."""
        for _ in range(2):
            self.converse(node, free=2)
            self.now += 10 * SECOND

    @rule(name=st.sampled_from(NODES), for_good=st.booleans())
    def the_node_is_off_and_released(self, name: str, for_good: bool) -> None:
        node = self.nodes[name]
        node.living.clear()
        node.lose_store()
        node.boot += 1
        eviction = Eviction(node=node.key, reason="off", by="ann")
        if for_good:
            self.every(lambda engine: engine.removal.remove(eviction, even_if_alive=True))
        else:
            self.every(lambda engine: engine.removal.release(eviction, even_if_alive=True))

    @rule(seconds=st.sampled_from([1, 3, 11, 3600]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(
        name=st.sampled_from(["four", "six"]),
        state=st.sampled_from([PoolState.ACTIVE] * 4 + [PoolState.DRAINING]),
    )
    def drain_or_open(self, name: str, state: PoolState) -> None:
        self.edit(name, state=state)

    @rule(offset=st.integers(2, 6), excluded=st.booleans())
    def exclude(self, offset: int, excluded: bool) -> None:
        address = POOLS[0].subnet[0] + offset
        self.edit("four", exclusions=(AddressRange(address, address),) if excluded else ())

    @rule(name=st.sampled_from(NODES))
    def recall(self, name: str) -> None:
        self.every(lambda engine: engine.leases.recall(self.nodes[name].key))

    def edit(self, name: str, **fields: Any) -> None:
        self.every(
            lambda engine: engine.administration.edit_pool(name, lambda old: replace(old, **fields), None)
        )

    @invariant()
    def no_address_has_two_living_holders(self) -> None:
        used = [
            address
            for node in self.nodes.values()
            for container in node.living.values()
            for address in container.addresses
        ]
        assert len(used) == len(set(used)), str(self.nodes)

    @invariant()
    def what_was_reported_is_in_the_tables(self) -> None:
        listed = self.every(lambda engine: engine.queries.allocations(AllocationQuery(), None, 1000))[1]
        for node in self.nodes.values():
            for container in node.living.values():
                if container.seat is None or any(e[2] == container.identity for e in node.events):
                    continue
                for address in container.addresses:
                    holder = listed[address]
                    assert holder in (container.identity, f"lease:default/{node.key.name}/{container.seat}")


async def told(work: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """What an engine answered, as a value that two engines can be compared by."""
    try:
        answer = await work
    except DomainError as refusal:
        return "refused", refusal.code
    match answer:
        case Granted(grants):
            return "granted", tuple(grant.address for grant in grants)
        case Released(addresses):
            return "released", set(addresses)
        case Reported(acknowledged, obeyed):
            return "reported", acknowledged, obeyed
        case Refused(error):
            return "refused", error.code
        case Told():
            return "told", answer
        case list() | tuple():
            rows = {row.address: row.holder for row in answer}
            return "rows", {
                address: holder if isinstance(holder, Identity) else holder.name
                for address, holder in rows.items()
            }
        case _:
            return "value", answer


# Three databases do all of it, one with a disk behind each commit: on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(300)

TestLeaseHistory = LeaseHistory.TestCase
TestLeaseHistory.settings = settings(
    max_examples=8 * int(os.environ.get("CAMPAIGN", "1")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


Steps = Sequence[tuple[str, Mapping[str, Any]]]

ADD_TWO: Steps = [("add", {"name": "n0", "container": 0}), ("add", {"name": "n0", "container": 1})]
ADD_TWO_MORE: Steps = [("add", {"name": "n0", "container": 2}), ("add", {"name": "n0", "container": 3})]
ASK: Steps = [("ask", {"name": "n0", "free": 2, "lost": False})]
ASK_IN_VAIN: Steps = [("ask", {"name": "n0", "free": 2, "lost": True})]
LOSE: Steps = [("a_store_is_lost", {"name": "n0", "is_waited_for": True})]
REBOOT: Steps = [("reboot", {"name": "n0", "reported": False})]
REPORT_IN_VAIN: Steps = [("report_now", {"name": "n0", "lost": True})]
RECALL: Steps = [("recall", {"name": "n0"})]
DRAIN: Steps = [("drain_or_open", {"name": "four", "state": PoolState.DRAINING})]
OLD_DELS: Steps = [
    ("a_del_of_a_plugin_that_knows_no_store", {"name": "n0", "container": container}) for container in (0, 1)
]


@pytest.mark.parametrize(
    "steps",
    [
        [*ASK, *ADD_TWO, *LOSE, *ADD_TWO_MORE],
        [*ASK, *ADD_TWO, *REPORT_IN_VAIN, *LOSE, *ADD_TWO_MORE, *REBOOT, *ADD_TWO],
        [*ASK, *ADD_TWO, *REBOOT, *ADD_TWO_MORE, *ADD_TWO],
        [*ASK_IN_VAIN, *RECALL, *ASK, *DRAIN, *ASK_IN_VAIN],
        [*ASK, *ADD_TWO, *REPORT_IN_VAIN, *OLD_DELS, *ASK, *ADD_TWO, *ASK],
    ],
    ids=["a lost store", "and a reboot", "a reboot", "lost answers and recalls", "an old plugin"],
)
def test_an_order_of_events_that_is_seldom(steps: Steps) -> None:
    history = LeaseHistory()
    history.open()
    try:
        for step, arguments in steps:
            getattr(history, step)(**arguments)
            history.no_address_has_two_living_holders()
            history.what_was_reported_is_in_the_tables()
    finally:
        history.teardown()
