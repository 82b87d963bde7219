"""Reservations in a history."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ipamd.models.address import AddressRange
from ipamd.models.reservation import Reservation
from tests.properties.history.asking import CONTAINERS
from tests.properties.history.machine import Machine
from tests.properties.history.values import Kept, each_of, workload_of


class ReservationRules(Machine):
    """Addresses are reserved for workloads, or for nobody."""

    @rule(
        offset=st.integers(0, 14),
        size=st.sampled_from([1, 1, 2, 4]),
        container=st.one_of(st.none(), CONTAINERS),
    )
    def reserve(self, offset: int, size: int, container: int | None) -> None:
        first = self.model.pools["plain"].subnet[0] + offset
        addresses = AddressRange(first, first + size - 1)
        workload = workload_of(container) if container is not None else None
        asked = Reservation(
            id=0, addresses=addresses, namespace="default" if workload else None, name=workload
        )
        answer = self.every(lambda engine: engine.administration.create_reservation(asked))
        taken = any(kept.addresses.overlaps(addresses) for kept in self.model.kept.values())
        foreign = any(
            addresses.contains(address) and workload != workload_of(holder)
            for holder, holding in self.model.holdings.items()
            for _, had in holding.addresses
            for address in each_of(had)
        )
        left = [address for hold in self.model.holds.values() for address in (*hold.left, *hold.taken)]
        foreign = foreign or any(map(addresses.contains, [*self.model.owned, *left]))
        if taken or foreign or self.model.in_vain(addresses, self.model.pools["plain"]):
            assert answer == ("refused", "reservation-conflicts")
        else:
            self.model.kept[answer[1]] = Kept(addresses, workload)

    @precondition(lambda self: self.model.kept)
    @rule(data=st.data())
    def give_a_reservation_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.model.kept)))
        self.every(lambda engine: engine.administration.delete_reservation(number))
        del self.model.kept[number]
