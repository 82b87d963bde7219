"""A VM moves from node to node as KubeVirt moves it, in random orders: it never loses its address.

Each move starts a second pod on another node before the first ends. The pods' calls are bytes as the plugin
sends them; they are late, doubled, repeated and undone, as a network, a spool and a killed plugin have it.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ipamd.backends.registry import open_backend
from ipamd.cni.request import read_add, read_del
from ipamd.engine.allocation.collection import Collection
from ipamd.engine.allocation.owners import OwnerKey
from ipamd.engine.clock import Clock
from ipamd.engine.engine import Engine
from ipamd.models.address import IPAddress
from ipamd.models.instant import SECOND
from ipamd.models.outcome import Granted, Refused
from ipamd.models.pool import Pool
from tests import migrated
from tests.api.plugin_call import call
from tests.backends.suite import IN_MEMORY
from tests.postgres import shared_postgres

T = TypeVar("T")

KEY = OwnerKey("default", "team", "vm")
KEEP = 1_000_000
LONG = 50_000
"""Seconds that pass at once at most: over all of a history less than the owner is kept."""

NODES = ("n0", "n1", "n2")
BOOTS = {node: f"0b7a9d0e-6f4b-4a39-9c3b-00000000000{number}" for number, node in enumerate(NODES)}
ANNOTATION = {"io.kubernetes.cri.pod-annotations": {"ipamd.io/owner": "vm"}}


@dataclass
class Pod:
    """A pod of the VM: it runs once its ADD was answered, until its runtime ends it."""

    name: str
    node: str
    asked: int
    is_told: bool = False
    is_over: bool = False

    @property
    def runs(self) -> bool:
        return self.is_told and not self.is_over


@dataclass(frozen=True)
class Call:
    """A call on its way."""

    verb: str
    pod: Pod
    body: bytes


class Migrations(RuleBasedStateMachine):
    """One VM, its pods, and others who want addresses of the same pool."""

    def __init__(self) -> None:
        super().__init__()
        self.database = ExitStack()
        self.loop = asyncio.new_event_loop()
        self.now = 1_000 * SECOND
        self.clock = 0
        self.pods: list[Pod] = []
        self.under_way: list[Call] = []
        self.address: IPAddress | None = None
        self.others: set[IPAddress] = set()

    @initialize()
    def open(self) -> None:
        async def opened() -> Engine:
            clock = Clock(lambda: self.now, lambda: self.now)
            engine = await Engine.open(await open_backend(self.url()), clock=clock)
            network = ip_network("10.0.0.0/28")
            await engine.administration.create_pool(
                Pool(name="pods", subnet=network, block_length=29, cooldown=5, owner_keep=KEEP)
            )
            return engine

        self.engine = self.run(opened())

    def url(self) -> str:
        """Where the tables are, until the end of a history."""
        return "memory://"

    def teardown(self) -> None:
        """In the end all that is late arrives, and a new pod gets the address of the VM."""
        try:
            for each in [each for each in self.under_way if each.verb != "add"]:
                self.deliver(each)
            if self.address is not None:
                for pod in [pod for pod in self.pods if pod.runs][1:]:
                    self.deliver(self.end_of(pod))
                last = self.new_pod("n0")
                self.deliver(self.add_of(last))
                assert last.is_told
        finally:
            self.run(self.engine.close())
            self.loop.close()
            self.database.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    # The calls of a pod.

    def new_pod(self, node: str) -> Pod:
        pod = Pod(f"virt-launcher-{len(self.pods)}", node, 0)
        self.pods.append(pod)
        return pod

    def body(self, pod: Pod, moment: int, **more: Any) -> bytes:
        args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=team;K8S_POD_NAME={pod.name}"
        issued = {"boot": BOOTS[pod.node], "uptime_ns": moment}
        config = {"capabilities": dict.fromkeys(ANNOTATION, True), "runtimeConfig": ANNOTATION}
        return json.dumps(
            call(pod.name, config=config, args=args, node=pod.node, issued=issued, **more)
        ).encode()

    def moment(self) -> int:
        self.clock += 1
        return self.clock

    def add_of(self, pod: Pod) -> Call:
        pod.asked = self.moment()
        return Call("add", pod, self.body(pod, pod.asked))

    def end_of(self, pod: Pod) -> Call:
        pod.is_over = True
        return Call("del", pod, self.body(pod, self.moment()))

    def deliver(self, each: Call) -> None:
        """What ipamd makes of a call."""
        if each.verb != "add":
            outcome = self.run(self.engine.submit(read_del(each.body).release))
            assert not isinstance(outcome, Refused)
            return
        outcome = self.run(self.engine.submit(read_add(each.body).request))
        match outcome:
            case Granted(grants):
                [address] = [grant.address for grant in grants]
                assert self.address in (None, address)
                if not each.pod.is_over:
                    each.pod.is_told, self.address = True, address
            case Refused(error):
                assert error.code in ("owner-full", "overtaken")
                assert error.code != "owner-full" or len(self.holders()) == 2

    def holders(self) -> list[str]:
        """The pods that hold the address, as ipamd says."""
        owned = self.run(self.engine.owners.addresses(KEY)) if self.address is not None else []
        return [each.workload.name or "" for one in owned for each in one.holders]

    # What happens.

    @precondition(lambda self: sum(pod.runs for pod in self.pods) < 2)
    @rule(node=st.sampled_from(NODES), is_late=st.booleans())
    def a_pod_of_the_vm_starts(self, node: str, is_late: bool) -> None:
        self.send(self.add_of(self.new_pod(node)), is_late)

    @precondition(lambda self: any(pod.runs for pod in self.pods))
    @rule(data=st.data(), is_late=st.booleans())
    def the_source_or_the_cancelled_target_ends(self, data: st.DataObject, is_late: bool) -> None:
        pod = data.draw(st.sampled_from([pod for pod in self.pods if pod.runs]))
        self.send(self.end_of(pod), is_late)

    @precondition(lambda self: any(not pod.is_over for pod in self.pods))
    @rule(data=st.data(), is_late=st.booleans())
    def an_add_comes_again(self, data: st.DataObject, is_late: bool) -> None:
        pod = data.draw(st.sampled_from([pod for pod in self.pods if not pod.is_over]))
        self.send(self.add_of(pod), is_late)

    @precondition(lambda self: any(not pod.is_told and not pod.is_over for pod in self.pods))
    @rule(data=st.data(), is_late=st.booleans())
    def an_add_without_an_answer_is_undone(self, data: st.DataObject, is_late: bool) -> None:
        pod = data.draw(st.sampled_from([pod for pod in self.pods if not pod.is_told and not pod.is_over]))
        pod.is_over = True
        self.send(Call("undo", pod, self.body(pod, pod.asked, undo=True)), is_late)
        self.send(self.end_of(pod), is_late=True)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), comes_again=st.booleans())
    def what_is_late_arrives(self, data: st.DataObject, comes_again: bool) -> None:
        at = data.draw(st.integers(0, len(self.under_way) - 1))
        self.deliver(self.under_way[at] if comes_again else self.under_way.pop(at))

    @rule(node=st.sampled_from(NODES))
    def a_runtime_collects(self, node: str) -> None:
        keep = frozenset((pod.name, "eth0") for pod in self.pods if pod.node == node and not pod.is_over)
        sweep = Collection(cluster="default", node=node, network="pods", keep=keep, issued=None)
        self.run(self.engine.collector.collect(sweep))

    @rule(asks=st.booleans(), node=st.sampled_from(NODES))
    def another_pod_wants_an_address(self, asks: bool, node: str) -> None:
        ips = [str(self.address)] if asks and self.address is not None else []
        body = call(f"other-{self.moment()}", node=node, config={"args": {"cni": {"ips": ips}}})
        outcome = self.run(self.engine.submit(read_add(json.dumps(body).encode()).request))
        if isinstance(outcome, Granted):
            self.others |= {grant.address for grant in outcome.grants}
        else:
            assert isinstance(outcome, Refused)
            assert outcome.error.code == ("address-taken" if ips else "nothing-free")

    @rule(seconds=st.integers(0, LONG))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.run(self.engine.owners.release_away())

    def send(self, each: Call, is_late: bool) -> None:
        if is_late:
            self.under_way.append(each)
        else:
            self.deliver(each)

    @invariant()
    def who_runs_holds_the_address_and_nobody_else_has_it(self) -> None:
        if self.address is None:
            return
        holders = self.holders()
        assert {pod.name for pod in self.pods if pod.runs} <= set(holders)
        assert len(holders) <= 2
        assert self.address not in self.others


class MigrationsOnSqlite(Migrations):
    """The same, with the tables in a file."""

    def url(self) -> str:
        folder = self.database.enter_context(tempfile.TemporaryDirectory(dir=IN_MEMORY))
        path = Path(folder) / "ipamd.sqlite"
        migrated.put(path)
        return f"sqlite:///{path}"


class MigrationsOnPostgres(Migrations):
    """The same, with the tables in PostgreSQL."""

    def url(self) -> str:
        return shared_postgres().url(self.database.enter_context(shared_postgres().migrated()))


# With CAMPAIGN=10 a thousand orders in memory, with CAMPAIGN=200 in each database too.
pytestmark = pytest.mark.faults


def orders(examples: int) -> settings:
    return settings(
        max_examples=examples * int(os.environ.get("CAMPAIGN", "1")),
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )


TestMigrations = Migrations.TestCase
TestMigrations.settings = orders(100)
TestMigrationsOnSqlite = MigrationsOnSqlite.TestCase
TestMigrationsOnSqlite.settings = orders(5)
TestMigrationsOnPostgres = MigrationsOnPostgres.TestCase
TestMigrationsOnPostgres.settings = orders(5)
