"""Those who wait for room in a history."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from ipamd.engine.engine import Engine
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Workload
from ipamd.models.outcome import Outcome
from ipamd.models.request import AllocationRequest, Release
from tests.properties.history.asking import machine
from tests.properties.history.holds import HoldRules
from tests.properties.history.machine import A_TRY, Asked
from tests.properties.history.owners import OwnerRules
from tests.properties.history.told import told
from tests.properties.history.values import Answer, Waiter, is_machine, workload_of

WAITED_FOR = ["tiny", "tiny", "sticky", "sticky", "six", "affine"]
LONGEST_LINE = 3
WAIT_SECONDS = 600


class WaitingRules(HoldRules, OwnerRules):
    """Machines wait in a line until they have their turn, or give up."""

    @precondition(lambda self: len(self.model.line) < LONGEST_LINE)
    @rule(name=st.sampled_from(WAITED_FOR), offset=st.integers(1, 6), comers=st.integers(1, 8))
    def wait_for_room(self, name: str, offset: int, comers: int) -> None:
        """Machines come until two more wait: in a sticky pool for a certain address, else for any."""
        self.come(name, self.model.pools[name].subnet[0] + offset, comers, len(self.model.line) + 2)

    @precondition(lambda self: not self.model.line and not self.model.holds)
    @rule(name=st.sampled_from(["tiny", "six"]), data=st.data())
    def wait_beside_a_hold(self, name: str, data: st.DataObject) -> None:
        """One machine has what is held, others wait, and one of them for both; then one or two give back."""
        self.hold("g", 1, name, "web-0", "default", 20)
        self.come(name, self.model.pools[name].subnet[0], 8, 5)
        if any(map(is_machine, self.model.holdings)):
            self.release_machines(data)

    def come(self, name: str, address: IPAddress, comers: int, longest: int) -> None:
        """So many machines come, unless so many wait."""
        for _ in range(comers):
            if len(self.model.line) < longest:
                self.begin_to_wait(name, address if name == "sticky" else None)
                self.serve_who_waits()

    def begin_to_wait(self, name: str, address: IPAddress | None) -> None:
        """One more waits."""
        number, self.waiters = self.waiters, self.waiters + 1
        request = AllocationRequest(
            holder=machine(number),
            pool_names=((name,),),
            requested=(address,) if address is not None else (),
            workload=Workload("default", workload_of(number)),
        )
        self.model.line.append(Waiter(number, name, address))
        self.waiting[number] = [self.run(began_to_wait(engine, request)) for engine in self.engines]

    @precondition(lambda self: self.model.line)
    @rule(data=st.data())
    def give_up_waiting(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([each.number for each in self.model.line]))
        for asked in self.waiting[number]:
            asked.gone.set_result(None)
        self.run(asyncio.sleep(A_TRY))
        assert self.answer_of(number) == ("refused", "unavailable")
        self.leave_the_line(number)

    @precondition(lambda self: any(map(is_machine, self.model.holdings)))
    @rule(data=st.data())
    def release_machines(self, data: st.DataObject) -> None:
        machines = sorted(filter(is_machine, self.model.holdings))
        for number in data.draw(st.lists(st.sampled_from(machines), min_size=1, max_size=2, unique=True)):
            answer = self.every(lambda engine, n=number: engine.submit(Release(digest=machine(n).digest)))
            assert answer == ("released", self.model.end(number))

    @invariant()
    def a_line_of_those_without_room(self) -> None:
        """Whoever can be served is served, in turn; the others wait, each in its place."""
        if self.model.line:
            self.serve_who_waits()

    def serve_who_waits(self) -> None:
        self.release_owners_who_were_away_for_long()  # each engine looks for them while time passes here
        goes_on = True
        while goes_on:
            self.run(asyncio.sleep(A_TRY))
            answered = [each for each in self.model.line if self.waiting[each.number][0].task.done()]
            for waiter in answered:
                self.serve(waiter)
            goes_on = bool(answered)
        for waiter in self.model.line:
            assert not self.model.can_be_served(waiter), waiter
        for engine in self.engines:
            line = [each.owner for each in self.run(engine.waiting.read())]
            assert line == [machine(each.number).name for each in self.model.line]

    def serve(self, waiter: Waiter) -> None:
        """What a waiter was told is what it may have, and nobody before it would have had it."""
        model, number = self.model, waiter.number
        answer = self.answer_of(number)
        before = model.line[: model.line.index(waiter)]
        self.leave_the_line(number)
        pool = model.pools[waiter.pool]
        if answer[0] == "refused":
            assert answer == ("refused", "address-unavailable")
            assert waiter.address is not None
            assert waiter.address not in model.usable(pool)
            return
        assert model.can_be_served(waiter), (waiter, answer)
        granted: list[Any] = answer[1]  # type: ignore[assignment]  # as `told` makes it
        [address] = granted
        hold = model.hold_with(number, address)
        assert not any(model.is_passed(other, address, hold) for other in before), (waiter, before)
        assert address == waiter.address or model.fits(number, [[waiter.pool]], [address])
        model.granted(number, [(waiter.pool, address)], (0, 0))

    def answer_of(self, number: int) -> Answer:
        """What each engine has told a waiter: the same."""
        answers = [self.run(told(outcome_of(asked))) for asked in self.waiting[number]]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def leave_the_line(self, number: int) -> None:
        self.model.line = [each for each in self.model.line if each.number != number]
        del self.waiting[number]


async def began_to_wait(engine: Engine, request: AllocationRequest) -> Asked:
    gone = asyncio.get_running_loop().create_future()
    waiting = engine.waiting.allocate(lambda _: request, WAIT_SECONDS, gone)
    return Asked(gone, asyncio.create_task(waiting))


async def outcome_of(asked: Asked) -> Outcome:
    assert asked.task.done()
    return asked.task.result().outcome
