"""Quotas: who is counted where, and which pool is used up for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipamd.backends.interface import BlockOwner, Found, Tallied, TallyChange
from ipamd.engine.administration.statements import validate_quota
from ipamd.engine.allocation.call import AllocateCall, Call
from ipamd.engine.allocation.plan import Plan
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.clock import Reading
from ipamd.engine.leasing.eligibility import why_not_leased
from ipamd.engine.quotas import QuotaIndex
from ipamd.models.allocation import Workload
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import DomainError
from ipamd.models.outcome import Granted, Refused, Released
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota, Tally, counted, tally_of
from ipamd.models.request import PrefixRequest
from tests.rules.values import (
    HERE,
    NOW,
    BlocksThere,
    block,
    container,
    delete,
    found,
    held,
    moment,
    owner,
    pool,
    request,
    searched,
    table,
)

PODS = pool("pods", "10.0.0.0/24")
MORE = pool("more", "10.0.1.0/24", space="lab")
SIX = pool("six", "fd00::/120")
THERE: BlocksThere = {
    BlockOwner.ANY: [block("10.0.0.0"), block("10.0.1.0", of="more"), block("fd00::", of="six")],
    "10.0.0.0": [block("10.0.0.0", taken=["10.0.0.9"])],
}


def quota(name: str = "q", limit: int = 2, *namespaces: str, **more: Any) -> Quota:
    return Quota(name=name, limit=limit, namespaces=namespaces or ("team-a",), **{"counting": False, **more})


def known(*quotas: Quota, pools: Sequence[Pool] = (PODS, MORE, SIX)) -> Catalogue:
    return Catalogue(
        Snapshot(
            revision=1,
            pools={each.name: each for each in pools},
            quotas={each.name: each for each in quotas},
        )
    )


def add(
    *names: str | Sequence[str], to: str = "team-a", by: str = "new", cluster: str = "default", **more: Any
) -> AllocateCall:
    asked = request(*names, holder=container(by, cluster=cluster), workload=f"{to}/web", **more)
    return AllocateCall(asked, moment(10), asked.digest, asked.node_key)


def planned(
    calls: Sequence[Call],
    of: Catalogue,
    used: Mapping[Tally, int],
    has: Found | None = None,
    busy: frozenset[str] = frozenset(),
) -> Plan:
    plan = Plan(calls, has or found(), of, set(of.pools), Reading(NOW))
    if plan.tallies.are_needed:
        plan.count(Tallied({tally: used.get(tally, 0) for tally in plan.tallies.wanted}, busy))
    return searched(plan, THERE)


def said(plan: Plan) -> list[str]:
    words: list[str] = []
    for verdict in plan.verdicts():
        match verdict:
            case Granted(grants):
                words.append(" ".join(str(grant.address) for grant in grants))
            case Released(freed):
                words.append("freed " + " ".join(map(str, freed)))
            case Refused(error):
                words.append(error.code)
            case _:
                words.append(type(verdict).__name__)
    return words


A4 = Tally("q", 4, "default", "team-a")
A6 = Tally("q", 6, "default", "team-a")
ALL4 = Tally("q", 4, "", "")


@table(
    "call, quotas, used, answer, tallies",
    {
        "below the limit an address is given and counted": (
            add("pods"),
            [quota()],
            {A4: 1},
            "10.0.0.2",
            {A4: TallyChange(1, 1)},
        ),
        "at the limit it is refused": (add("pods"), [quota()], {A4: 2}, "quota-exceeded", {}),
        "above a limit that was lowered too": (add("pods"), [quota(limit=0)], {A4: 9}, "quota-exceeded", {}),
        "IPv6 is counted apart": (add("six"), [quota()], {A4: 2}, "fd00::2", {A6: TallyChange(1, 1)}),
        "all of an answer or none of it": (
            add("six", "pods"),
            [quota()],
            {A4: 2},
            "quota-exceeded",
            {},
        ),
        "two addresses of one answer count twice": (
            add("pods", "pods"),
            [quota()],
            {A4: 1},
            "quota-exceeded",
            {},
        ),
        "a family that is not meant is not counted": (
            add("six"),
            [quota(family=4, limit=0)],
            {},
            "fd00::2",
            {},
        ),
        "a pool that is used up is passed by": (
            add(["pods", "more"]),
            [quota(pool="pods")],
            {A4: 2},
            "10.0.1.2",
            {},
        ),
        "a space that is used up too": (add(["more", "pods"]), [quota(space="lab")], {A4: 2}, "10.0.0.2", {}),
        "and no other pool is left": (add("pods"), [quota(pool="pods")], {A4: 2}, "quota-exceeded", {}),
        "another namespace is not counted": (add("pods", to="team-b"), [quota(limit=0)], {}, "10.0.0.2", {}),
        "a beginning matches": (add("pods"), [quota("q", 2, "team-*")], {A4: 2}, "quota-exceeded", {}),
        "of each namespace by itself": (
            add("pods", to="team-b"),
            [quota("q", 2, "team-*")],
            {A4: 2},
            "10.0.0.2",
            {Tally("q", 4, "default", "team-b"): TallyChange(1, 1)},
        ),
        "or of all that share it": (
            add("pods", to="team-b"),
            [quota("q", 2, "team-*", shared=True)],
            {ALL4: 2},
            "quota-exceeded",
            {},
        ),
        "a star is every namespace": (add("pods"), [quota("q", 0, "*")], {}, "quota-exceeded", {}),
        "another cluster is not counted": (
            add("pods", cluster="west"),
            [quota(clusters=("default",), limit=0)],
            {},
            "10.0.0.2",
            {},
        ),
        "a request that names an address is counted": (
            add("pods", wants=["10.0.0.8"]),
            [quota()],
            {A4: 2},
            "quota-exceeded",
            {},
        ),
        "what is adopted is counted and not refused": (
            add(wants=["10.0.0.8"], adopted_in="default"),
            [quota()],
            {A4: 2},
            "10.0.0.8",
            {A4: TallyChange(1)},
        ),
        "while a quota is counting it refuses nobody": (
            add("pods"),
            [quota(limit=0, counting=True)],
            {},
            "10.0.0.2",
            {},
        ),
        "of two quotas the strictest counts": (
            add("pods"),
            [quota(limit=9), quota("strict", 1, "*")],
            {A4: 1, Tally("strict", 4, "default", "team-a"): 1},
            "quota-exceeded",
            {},
        ),
    },
)
def test_what_a_quota_makes_of_a_request(
    call: AllocateCall, quotas: list[Quota], used: Mapping[Tally, int], answer: str, tallies: object
) -> None:
    plan = planned([call], known(*quotas), used)

    assert said(plan) == [answer]
    assert plan.changes().tallies == tallies


def test_a_refusal_names_the_strictest_quota_and_its_numbers() -> None:
    strict = Tally("strict", 4, "default", "team-a")
    quotas = quota(limit=3), quota("strict", 1, "*")
    plan = planned([add("pods")], known(*quotas), {A4: 3, strict: 5})

    [verdict] = plan.verdicts()
    assert isinstance(verdict, Refused)
    assert str(verdict.error) == (
        "quota strict allows 1 IPv4 address for namespace team-a of cluster default, and 5 are used: release "
        "what is not needed, or raise the limit (`ipamctl quota edit strict --limit NUMBER`)"
    )


def test_calls_of_one_batch_count_one_after_another_and_what_is_freed_counts_first() -> None:
    row = held("10.0.0.9", workload=Workload("team-a", "old"))
    calls: list[Call] = [add("pods", by="new1"), delete(), add("pods", by="new2"), add("pods", by="new3")]

    plan = planned(calls, known(quota(limit=3)), {A4: 2}, found(row))

    assert said(plan) == ["10.0.0.2", "freed 10.0.0.9", "10.0.0.3", "quota-exceeded"]
    assert plan.changes().tallies == {A4: TallyChange(1, 2)}


def test_a_repeat_asks_nothing_of_a_quota() -> None:
    row = held("10.0.0.9", "new", workload=Workload("team-a", "web"))
    plan = Plan([add("pods")], found(row), known(quota(limit=0)), set(), Reading(NOW))

    assert not plan.tallies.are_needed
    assert said(plan) == ["10.0.0.9"]


def test_what_others_take_meanwhile_is_left_room_for_as_far_as_the_limit_goes() -> None:
    """Others may have taken two by the time that this is written; a third would be one too many."""
    calls = [add("pods", by="new1"), add("pods", by="new2")]

    plan = planned(calls, known(quota(limit=6)), {A4: 2})

    assert plan.changes().tallies == {A4: TallyChange(2, 4)}


def test_a_call_of_a_quota_that_is_being_counted_waits() -> None:
    calls: list[Call] = [add("pods"), add("pods", to="free", by="other"), delete()]
    row = held("10.0.0.9", workload=Workload("team-a", "old"))

    plan = planned(calls, known(quota(counting=True)), {}, found(row), busy=frozenset({"q"}))

    assert said(plan) == ["Contended", "10.0.0.2", "Contended"]
    assert not plan.changes().tallies


def test_without_a_quota_of_its_own_a_call_needs_nothing_of_others() -> None:
    others = [quota(f"q{number}", 0, f"team-{number}", f"dev-{number}-*") for number in range(50)]
    plan = Plan([add("pods", to="shop")], found(), known(*others), set(), Reading(NOW))

    assert not plan.tallies.are_needed


PATTERN = st.text("ab-", max_size=3).flatmap(lambda text: st.sampled_from([text + "*", text or "a"]))
PATTERNS = st.lists(PATTERN)
NAMES = st.text("ab-", min_size=1, max_size=5)


@given(st.lists(st.tuples(PATTERNS.filter(bool), st.sampled_from([(), ("east",), ("west", "east")]))), NAMES)
def test_the_index_finds_what_each_quota_says_of_itself(
    stated: list[tuple[list[str], tuple[str, ...]]], namespace: str
) -> None:
    quotas = [
        quota(f"q{number:03}", 1, *patterns, clusters=clusters)
        for number, (patterns, clusters) in enumerate(stated)
    ]
    index = QuotaIndex(quotas)

    for cluster in ("east", ""):
        assert list(index.of(cluster, namespace)) == [
            each for each in quotas if each.matches(cluster, namespace)
        ]
        assert index.of(cluster, namespace) == index.of(cluster, namespace)


@given(PATTERNS.filter(bool), NAMES)
def test_of_patterns_that_cover_each_other_one_matches_a_name(patterns: list[str], name: str) -> None:
    stated = quota("q", 1, *patterns)
    matching = [each for each in stated.patterns if quota("q", 1, each).matches("", name)]

    assert len(matching) == stated.matches("", name)


@table(
    "namespace, holder, tally",
    {
        "a container's": ("team-a", container(), A4),
        "an owner's, of no cluster": ("team-a", owner("vm-1"), Tally("q", 4, "", "team-a")),
        "another namespace's": ("team-b", container(), None),
        "without a namespace": (None, container(), None),
        "with an empty one": ("", container(), None),
    },
)
def test_where_an_allocation_is_counted(namespace: str | None, holder: Any, tally: Tally | None) -> None:
    row = held("10.0.0.9", workload=Workload(namespace, "web"), holder=holder)

    assert tally_of(quota(), row) == tally
    assert counted(quota(), [row, row]) == ({tally: 2} if tally else {})


def test_a_prefix_that_no_room_is_left_for_is_told_as_how_much_it_counts() -> None:
    wanted = PrefixRequest(28, ("pods",), alone=True)
    plan = planned([add("pods", prefix=wanted)], known(quota(limit=10)), {A4: 3})

    [refused] = plan.verdicts()
    assert isinstance(refused, Refused)
    assert "and 3 are used, and the prefix counts as 16: release" in str(refused.error)


@table(
    "stated, field",
    {
        "a star in the middle": (quota("q", 1, "team-*-dev"), "namespaces"),
        "two stars": (quota("q", 1, "**"), "namespaces"),
        "a pool and a space": (quota(pool="pods", space="default"), "space"),
        "a pool of the other family": (quota(pool="pods", family=6), "family"),
        "a pool that is not there": (quota(pool="typo"), "pool-unknown"),
        "a negative limit": (quota(limit=-1), "limit"),
        "no namespace": (Quota(name="q", limit=1, namespaces=()), "namespaces"),
        "a pattern for clusters": (quota(clusters=("*",)), "clusters"),
    },
)
def test_a_quota_that_can_mean_nothing_is_refused(stated: Quota, field: str) -> None:
    with pytest.raises(DomainError) as refused:
        validate_quota(stated, {"pods": PODS})

    assert field in (getattr(refused.value, "field", None), refused.value.code)


@table(
    "stated, pools, why",
    {
        "a pool that it counts": (quota("q", 1, "*"), (("pods",),), True),
        "any of several": (quota("q", 1, "*", pool="more"), (("pods", "more"),), True),
        "not another pool": (quota("q", 1, "*", pool="more"), (("pods",),), False),
        "not another cluster": (quota("q", 1, "*", clusters=("west",)), (("pods",),), False),
    },
)
def test_a_pool_that_a_quota_counts_is_not_leased(
    stated: Quota, pools: tuple[tuple[str, ...], ...], why: bool
) -> None:
    refusal = why_not_leased(pools, "net", HERE, known(stated))

    assert (refusal is not None and "quota q counts" in refusal) is why
