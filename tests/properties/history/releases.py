"""DEL, undo and GC in a history, in order and out of it."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ipamd.engine.allocation.collection import Collection
from ipamd.models.address import IPAddress
from ipamd.models.issued import Issued
from tests.properties.history.asking import CONTAINERS, LATE, ask, release
from tests.properties.history.machine import Machine
from tests.properties.history.values import node_of


class ReleaseRules(Machine):
    """Containers end."""

    @rule(container=CONTAINERS, late=LATE)
    def delete(self, container: int, late: int) -> None:
        issued = self.issued(node_of(container), late)
        moment = self.model.moment(node_of(container), issued)
        answer = self.every(lambda engine: engine.submit(release(container, issued)))
        assert answer == ("released", self.model.release(container, moment))

    @rule(container=CONTAINERS, late=LATE)
    def undo(self, container: int, late: int) -> None:
        issued = self.issued(node_of(container), late)
        moment = self.model.moment(node_of(container), issued)
        answer = self.every(lambda engine: engine.submit(release(container, issued, undo=True)))
        assert answer == ("released", self.model.release(container, moment, undo=True))

    @rule(container=CONTAINERS)
    def undo_what_was_just_taken(self, container: int) -> None:
        """An ADD whose answer is lost, undone by its plugin, and then arriving once more."""
        if container in self.model.holdings or not self.model.serves(container, [["plain"]]):
            return
        issued = self.issued(node_of(container), 0)
        moment = self.model.moment(node_of(container), issued)
        answer = self.every(lambda engine: engine.submit(ask(container, [["plain"]], issued)))
        if answer[0] != "granted":
            assert self.model.overtaken(container, moment)
            return
        self.model.granted(container, [("plain", each) for each in answer[1]], moment)
        answer = self.every(lambda engine: engine.submit(release(container, issued, undo=True)))
        freed = self.model.release(container, moment, undo=True)
        assert answer == ("released", freed)
        assert freed
        answer = self.every(lambda engine: engine.submit(ask(container, [["plain"]], issued)))
        assert answer == ("refused", "overtaken")

    @rule(container=CONTAINERS)
    def undo_the_add_that_took(self, container: int) -> None:
        """By then another ADD may have been told of the address."""
        holding = self.model.holdings.get(container)
        if holding is not None:
            boot, uptime_ns = holding.taken
            issued = Issued(self.model.boots[node_of(container)][boot], uptime_ns)
            answer = self.every(lambda engine: engine.submit(release(container, issued, undo=True)))
            assert answer == ("released", self.model.release(container, holding.taken, undo=True))

    @rule(container=CONTAINERS, age=st.integers(1, 3))
    def delete_out_of_a_spool(self, container: int, age: int) -> None:
        """A release of an earlier boot, maybe one that nobody heard of, delivered in this one."""
        node = node_of(container)
        issued = self.issued(node, 0)
        old = Issued(f"boot-{node}-{self.boot[node] - age}", issued.uptime_ns)
        moment = self.model.moment(node, old, issued)
        answer = self.every(lambda engine: engine.submit(release(container, old, delivered=issued)))
        assert answer == ("released", self.model.release(container, moment))

    @rule(node=st.sampled_from(["n0", "n1"]))
    def reboot(self, node: str) -> None:
        self.boot[node] += 1

    @rule(node=st.sampled_from(["n0", "n1"]), keep=st.sets(CONTAINERS), late=LATE)
    def collect(self, node: str, keep: set[int], late: int) -> None:
        issued = self.issued(node, late)
        moment = self.model.moment(node, issued)
        sweep = Collection(
            cluster="default",
            node=node,
            network="pods",
            keep=frozenset((f"c{container}", "eth0") for container in keep),
            issued=issued,
        )
        answer = self.every(lambda engine: engine.collector.collect(sweep))
        freed: set[IPAddress] = set()
        for container in list(self.model.holdings):
            if node_of(container) == node and container not in keep:
                freed |= self.model.release(container, moment)
        assert answer == ("released", freed)
