"""Whatever happens in the store of leases, in whatever order, and wherever a process is killed in between."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cni_plugin import configuration, platform
from cni_plugin.clock import Moment
from cni_plugin.environment import Invocation
from cni_plugin.failure import Failure
from cni_plugin.reply import Reply
from ipam_plugin import leases
from ipam_plugin.execution import Execution
from ipam_plugin.leases import identities, layout, serving
from node_agent.leasing import seating
from tests.lease_store import BOOT, CLUSTER, NODE, LeaseStore, answer, key_of

CONFIG: Final = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "ipam": {"type": "ipamd-ipam", "node": NODE, "timeout": 600},
}
CONTAINERS: Final = [f"c{number}" for number in range(4)]
KINDS: Final = ["add", "add", "add", "del", "del", "undo", "grant", "report", "recall", "forget"]
MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None
MOST_WRITES: Final = 8

Step = tuple[str, int, int, int | None]
"""What happens, to which container, how late, and at which write the process is killed."""

STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, len(CONTAINERS) - 1),
        st.integers(0, 4),
        st.one_of(st.none(), st.integers(0, MOST_WRITES)),
    ),
    max_size=30,
)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Model:
    """What a node with leases is, without a file."""

    free: set[int] = field(default_factory=set)
    returning: set[int] = field(default_factory=set)
    recalled: set[int] = field(default_factory=set)
    held: dict[str, tuple[int, int]] = field(default_factory=dict)
    central: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    events: list[tuple[str, int]] = field(default_factory=list)
    reported: int = 0

    def add(self, who: str, issued: int, outcome: object) -> None:
        if who in self.held:
            seat, last = self.held[who]
            assert outcome == answer(seat)
            if issued > last:
                self.held[who] = seat, issued
                self.events.append(("repeat", seat))
        elif who in self.central:
            assert outcome is None
            self.central[who] = max(issued, self.central[who])
        elif issued < self.ended.get(who, -1):
            assert outcome == 104
        elif self.free:
            [seat] = [seat for seat in self.free if answer(seat) == outcome]
            self.free.remove(seat)
            self.held[who] = seat, issued
            self.ended.pop(who, None)
            self.events.append(("begin", seat))
        else:
            assert outcome is None
            self.ended.pop(who, None)
            self.central[who] = issued

    def release(self, who: str, issued: int, outcome: object, *, undo: bool) -> None:
        if who not in self.held:
            assert outcome is False
            if not undo and issued >= self.central.get(who, 0):
                self.ended[who] = max(issued, self.ended.get(who, -1))
                self.central.pop(who, None)
            return
        seat, last = self.held[who]
        ends = issued == last if undo else issued >= last
        assert outcome is ends
        if ends:
            del self.held[who]
            self.events.append(("end", seat))
            self.ended[who] = issued
            (self.returning if seat in self.recalled else self.free).add(seat)


class Played:
    """A store and its model, to which the same happens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "store"
        LeaseStore(self._path)
        self.model = Model()
        self._granted = 0
        self._now = platform.uptime_ns()

    def play(self, step: Step) -> None:
        kind, container, late, kill = step
        who = CONTAINERS[container]
        self._now += 10
        issued = self._now - 4 * late
        if kind == "undo" and who in self.model.held and late % 2:
            issued = self.model.held[who][1]
        if kill is None:
            self._learn(kind, who, issued, self._act(self._path, kind, who, issued))
            return
        before = self._seen(self._path)
        whole = self._folder / "whole"
        shutil.copyfile(self._path, whole)
        outcome = self._act(whole, kind, who, issued)
        after = self._seen(whole)
        self._act_until_killed(kind, who, issued, kill)
        seen = self._seen(self._path)
        assert seen in (before, after)
        if seen == after:
            self._learn(kind, who, issued, outcome)

    def compare(self) -> None:
        """Compare the whole store with the model."""
        model = self.model
        states = dict.fromkeys(model.free, layout.FREE) | dict.fromkeys(model.returning, layout.RETURNING)
        states |= {seat: layout.HELD for seat, _ in model.held.values()}
        seen_states, seen_identities, taken, seen_events, reported = self._seen(self._path)
        assert seen_states == states
        assert taken == len(model.held)
        assert (seen_events, reported) == (model.events[model.reported :], model.reported)
        for who, seen in seen_identities.items():
            if who in model.held:
                assert seen == (identities.SEATED, model.held[who][1])
            elif who in model.central:
                assert seen[0] == identities.CENTRAL
            elif who in model.ended:
                assert seen == (identities.ENDED, model.ended[who])
            else:
                assert seen[0] == identities.UNKNOWN

    def _act(self, path: Path, kind: str, who: str, issued: int) -> object:
        leases.PATH = str(path)
        if kind == "add":
            try:
                return serving.add(execution_of(who, issued))
            except Failure as failure:
                return failure.code
        if kind in ("del", "undo"):
            holder = serving.Holder(CLUSTER, NODE, "pods", who, "eth0")
            return serving.release(holder, BOOT, issued, json.dumps({"uptime_ns": issued}), kind == "undo")
        return self._keep(path, kind, issued)

    def _keep(self, path: Path, kind: str, issued: int) -> object:
        """What an agent does. Each changes one seat at most, so that each is one change."""
        if kind == "grant":
            LeaseStore.at(path).fill(key_of(CONFIG), [self._granted + 1])
            return None
        with LeaseStore.at(path).locked() as store:
            if kind == "report":
                seating.acknowledge(store, len(self.model.events))
                return None
            wanted = (layout.FREE, layout.HELD) if kind == "recall" else (layout.RETURNING,)
            seats = [
                seat for seat in seating.overview(store) if seat.state in wanted and not seat.is_recalled
            ]
            if not seats:
                return None
            seat = seats[issued % len(seats)]
            (seating.take_back if kind == "recall" else seating.forget)(store, seat.place)
            return seat.number

    def _act_until_killed(self, kind: str, who: str, issued: int, writes: int) -> None:
        left = iter(range(writes))
        real = platform.write_at

        def write_at(file: int, data: bytes, offset: int) -> int:
            if next(left, None) is None:
                raise Killed
            return real(file, data, offset)

        platform.write_at = write_at
        try:
            self._act(self._path, kind, who, issued)
        except Killed:
            pass
        finally:
            platform.write_at = real

    def _learn(self, kind: str, who: str, issued: int, outcome: object) -> None:
        model = self.model
        if kind == "add":
            model.add(who, issued, outcome)
        elif kind in ("del", "undo"):
            model.release(who, issued, outcome, undo=kind == "undo")
        elif kind == "grant":
            self._granted += 1
            model.free.add(self._granted)
        elif kind == "report":
            model.reported = len(model.events)
        elif isinstance(outcome, int) and kind == "forget":
            model.returning.remove(outcome)
        elif isinstance(outcome, int) and outcome in model.free:
            model.free.remove(outcome)
            model.returning.add(outcome)
        elif isinstance(outcome, int):
            model.recalled.add(outcome)

    @staticmethod
    def _seen(
        path: Path,
    ) -> tuple[dict[int, int], dict[str, tuple[int, int]], int, list[tuple[str, int]], int]:
        made = LeaseStore.at(path)
        with made.locked() as store:
            known = {}
            for who in CONTAINERS:
                key = serving.Holder(CLUSTER, NODE, "pods", who, "eth0").key()
                found = identities.find(store, key)
                known[who] = found.state, found.issued
            taken, reported = store.number(layout.TAKEN), store.number(layout.REPORTED)
        return dict(made.states()), known, taken, list(made.kinds()), reported


def execution_of(who: str, issued: int) -> Execution:
    """An ADD as the plugin has read it."""
    values = {"CNI_CONTAINERID": who, "CNI_NETNS": "/gone", "CNI_IFNAME": "eth0", "CNI_PATH": "/bin"}
    configured = configuration.decode(json.dumps(CONFIG).encode())
    return Execution(Invocation("ADD", values, False), Moment(BOOT, issued, 0), Reply(), configured)


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "PATH", leases.PATH)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_every_history_is_that_of_the_model_with_each_change_whole_or_absent(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        played = Played(Path(folder))
        for step in steps:
            played.play(step)
        played.compare()
