"""Quotas in a history."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from ipamd.engine.engine import Engine
from ipamd.models.quota import Quota
from tests.properties.history.machine import Machine
from tests.properties.history.values import Limit


class QuotaRules(Machine):
    """Namespaces may have so many addresses."""

    @rule(
        name=st.sampled_from(["q", "r"]),
        limit=st.integers(0, 4),
        pool=st.sampled_from([None, None, "plain", "tiny"]),
        family=st.sampled_from([None, None, 4]),
        pattern=st.sampled_from(["default", "def*", "*"]),
        shared=st.booleans(),
    )
    def limit(
        self, name: str, limit: int, pool: str | None, family: int | None, pattern: str, shared: bool
    ) -> None:
        """State a quota, or change it: it counts what is held by then."""
        stated = Quota(name=name, limit=limit, namespaces=(pattern,), pool=pool, family=family, shared=shared)
        if name in self.model.limits:
            answer = self.every(lambda engine: engine.quotas.edit(name, lambda _: stated, None))
        else:
            answer = self.every(lambda engine: engine.quotas.create(stated))
        assert answer == ("quota", name, limit, False)
        self.model.limits[name] = Limit(limit, pool, family, shared)

    @precondition(lambda self: self.model.limits)
    @rule(data=st.data())
    def limit_no_longer(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.limits)))
        self.every(lambda engine: engine.quotas.delete(name, None))
        del self.model.limits[name]

    @invariant()
    def quotas_count_what_is_held(self) -> None:
        for name, limit in self.model.limits.items():
            _, uses = self.every(lambda engine, name=name: uses_of(engine, name))
            expected = {
                (family, "" if limit.shared or of_machines else "default"): self.model.used(
                    limit, family, of_machines
                )
                for family in (4, 6)
                for of_machines in (False, True)
            }
            assert uses == {whose: used for whose, used in expected.items() if used}


async def uses_of(engine: Engine, quota: str) -> dict[tuple[int, str], int]:
    """How many addresses of each family a quota counts, by cluster."""
    return {(tally.family, tally.cluster): used for tally, used in await engine.queries.uses_of(quota, 9)}
