"""Owners in a history, whom workloads name."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from msgspec import structs

from ipamd.engine.allocation.owners import OwnerKey
from ipamd.models.allocation import Workload
from ipamd.models.request import AllocationRequest
from tests.properties.history.asking import (
    CONTAINERS,
    LATE,
    OWNED_SLOTS,
    OWNERS,
    ask,
    explained_then_asked,
    owner_named,
)
from tests.properties.history.machine import Machine
from tests.properties.history.values import node_of


class OwnerRules(Machine):
    """Owners come, go away, and are released."""

    @rule(container=CONTAINERS, owner=OWNERS, pool_names=OWNED_SLOTS, late=LATE)
    def add_for_an_owner(self, container: int, owner: int, pool_names: list[list[str]], late: int) -> None:
        issued = self.issued(node_of(container), late)
        moment = self.model.moment(node_of(container), issued)
        request = structs.replace(ask(container, pool_names, issued), for_owner=owner_named(owner))
        answer = self.every(lambda engine: explained_then_asked(engine, request))
        owned = self.model.owned_by(owner, pool_names)
        missing = [slot for slot, address in zip(pool_names, owned, strict=True) if address is None]
        full = [address for address in owned if address and len(self.model.owned[address].holders) == 2]
        if self.model.overtaken(container, moment):
            assert answer == ("refused", "overtaken")
        elif container in self.model.holdings:
            held = [address for _, address in self.model.holdings[container].addresses]
            assert answer == ("granted", held, True)
            self.model.repeated(container, moment)
        elif full or not self.model.serves(container, missing):
            codes = {"owner-full"} if full else set()
            if missing and not self.model.serves(container, missing):
                codes |= {"nothing-free", "address-taken", "address-unavailable"}
                codes |= {"quota-exceeded"} if self.model.limits else set()
            assert answer[0] == "refused"
            assert answer[1] in codes
        else:
            kind, addresses, repeated = answer
            assert (kind, repeated) == ("granted", False)
            given = list(zip(addresses, owned, strict=True))
            assert all(address == known for address, known in given if known is not None)
            new = [address for address, known in given if known is None]
            assert self.model.fits(container, missing, new)
            self.model.given_to_owner(container, owner, [(self.pool_of(a), a) for a in addresses], moment)

    @rule(owner=OWNERS, name=st.sampled_from(["plain", "six"]))
    def make_in_advance(self, owner: int, name: str) -> None:
        holder = owner_named(owner)
        request = AllocationRequest(
            holder=holder, for_owner=holder, pool_names=((name,),), workload=Workload("default")
        )
        answer = self.every(lambda engine: explained_then_asked(engine, request))
        [known] = self.model.owned_by(owner, [[name]])
        if known is not None:
            assert answer == ("granted", [known], True)
            self.model.given_to_owner(None, owner, [(name, known)], (0, 0))
        elif not self.model.open([name]):
            assert answer == ("refused", "quota-exceeded")
        elif not (first := self.model.out_of_a_hold(None, [name], 0)) and not self.model.ready(
            self.model.pools[name]
        ):
            assert answer == ("refused", "nothing-free")
        else:
            assert answer[0] == "granted"
            assert answer[1][0] in (first or self.model.ready(self.model.pools[name]))
            self.model.given_to_owner(None, owner, [(name, answer[1][0])], (0, 0))

    @rule()
    def release_owners_who_were_away_for_long(self) -> None:
        answer = self.every(lambda engine: engine.owners.release_away())
        assert answer == ("value", self.model.release_those_away())

    @precondition(lambda self: self.model.owned)
    @rule(data=st.data(), with_holders=st.booleans())
    def release_an_owner(self, data: st.DataObject, with_holders: bool) -> None:
        owner = data.draw(st.sampled_from(sorted({owned.owner for owned in self.model.owned.values()})))
        key = OwnerKey("default", "default", f"vm{owner}")
        answer = self.every(
            lambda engine: engine.owners.release(key, with_holders=with_holders, by=None, reason=None)
        )
        mine = {address: each for address, each in self.model.owned.items() if each.owner == owner}
        holders = {container for each in mine.values() for container in each.holders}
        if holders and not with_holders:
            assert answer == ("refused", "owner-held")
            return
        assert answer == ("addresses", set(mine))
        for container in holders:
            self.model.end(container)
        for address in mine:
            self.model.end_owner(address)
