"""Waiters: what each of them takes and lacks, who stands before whom, and whose replica is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipamd.engine.allocation.line import before, blocked, lacks, may_try, narrowed, takes
from ipamd.engine.allocation.pulse import DEAD_AFTER, Pulse
from ipamd.engine.catalogue import Catalogue
from ipamd.models.catalogue import Snapshot
from ipamd.models.errors import (
    AddressTaken,
    AddressUnavailable,
    DomainError,
    NothingFree,
    PoolUnknown,
    QuotaExceeded,
    Unavailable,
)
from ipamd.models.hold import Hold, HoldState
from ipamd.models.quota import Quota, Tally
from ipamd.models.request import AllocationRequest, LeftToOthers, PrefixRequest
from ipamd.models.waiter import Waiter
from tests.rules.values import NOW, catalogue, owner, pool, request, reserved, table

PODS, SPARE = pool("pods"), pool("spare", "10.0.1.0/24")
TEAM = Quota(name="team", limit=1, namespaces=("a", "b"), counting=False)
ALL = replace(TEAM, name="all", namespaces=("*",), shared=True)


def known(*quotas: Quota) -> Catalogue:
    snapshot = catalogue(PODS, SPARE, reserved("10.0.0.9", owner="db")).snapshot
    return Catalogue(
        Snapshot(
            revision=1,
            pools=snapshot.pools,
            reservations=snapshot.reservations,
            quotas={each.name: each for each in quotas},
        )
    )


CREW = Hold(
    name="crew",
    size=2,
    pool="pods",
    namespaces=("d",),
    since=NOW,
    seconds=60,
    state=HoldState.STANDING,
)


def holding(*quotas: Quota) -> Catalogue:
    pools = {each.name: each for each in (PODS, SPARE)}
    stated = {each.name: each for each in quotas}
    return Catalogue(Snapshot(revision=1, pools=pools, holds={"crew": CREW}, quotas=stated))


def waiter(number: int, *lacked: str, replica: str = "r", beat: int = 0) -> Waiter:
    return Waiter(
        number=number,
        replica=replica,
        owner="vm",
        pools=(),
        lacks=lacked,
        since=NOW,
        until=NOW,
        beat=beat,
    )


@table(
    "who, wants, namespace, taken",
    {
        "whoever wants any address takes of the pool": ("vm", None, None, ["pool pods"]),
        "who wants a certain address takes it, and of the pool": (
            *("vm", "10.0.0.7", None),
            ["address 10.0.0.7 of default", "pool pods"],
        ),
        "who has a reservation takes that and nothing of others": (
            *("db", None, None),
            ["address 10.0.0.9 of default"],
        ),
        "who asks for what is reserved for it does too": (
            *("db", "10.0.0.9", None),
            ["address 10.0.0.9 of default"],
        ),
        "a namespace takes of its own limit and of one that all share": (
            *("vm", None, "a"),
            ["pool pods", "quota all IPv4 of the namespaces that share it", "quota team IPv4 of namespace a"],
        ),
        "a namespace without a limit of its own takes of the shared one": (
            *("vm", None, "c"),
            ["pool pods", "quota all IPv4 of the namespaces that share it"],
        ),
    },
)
def test_what_a_request_takes_of(
    who: str, wants: str | None, namespace: str | None, taken: Sequence[str]
) -> None:
    asked = request(
        "pods",
        holder=owner(who),
        wants=[wants] if wants else [],
        workload=f"{namespace}/x" if namespace else None,
    )

    assert sorted(takes(asked, known(TEAM, ALL)).names) == taken


def test_who_may_be_served_by_one_of_several_pools_takes_of_all_of_them() -> None:
    taken = takes(request(("pods", "spare"), holder=owner("vm")), known()).names

    assert taken == ("pool pods", "pool spare")


def test_who_wants_a_prefix_takes_of_the_pool_and_waits_for_the_prefix_alone() -> None:
    asked = AllocationRequest(holder=owner("vm"), prefix=PrefixRequest(28, ("pods",), None, alone=True))
    taking = takes(asked, known())

    assert taking.names == ("prefix /28 of pods", "pool pods")
    assert lacks(NothingFree(("pods",), prefix_length=28), taking.names) == ("prefix /28 of pods",)
    assert not may_try(taking, ["pool pods"])
    assert not may_try(taking, ["prefix /28 of pods"])
    assert before([waiter(1, "prefix /28 of pods")], ["pool pods"]) == 0


def test_who_wants_a_certain_prefix_waits_for_that_one() -> None:
    first = ip_address("10.0.0.16")
    asked = AllocationRequest(holder=owner("vm"), prefix=PrefixRequest(28, ("pods",), first, alone=True))
    taking = takes(asked, known())
    taken = taking.names

    assert taken == ("address 10.0.0.16/28 of default", "pool pods")
    assert lacks(AddressTaken("default", first), taken) == taken[:1]
    assert lacks(NothingFree(("pods",), prefix_length=28), taken) == taken[1:]
    assert not may_try(taking, ["pool pods"])


def test_who_waits_for_a_prefix_of_one_pool_keeps_nobody_from_one_of_another() -> None:
    prefix = PrefixRequest(28, ("pods", "spare"), None, alone=True)
    asked = AllocationRequest(holder=owner("vm"), prefix=prefix)
    taking = takes(asked, known())

    assert may_try(taking, ["prefix /28 of pods"])
    assert narrowed(asked, taking, ["prefix /28 of pods"]).left == LeftToOthers(("pods",), ())
    assert not may_try(taking, ["prefix /28 of pods", "pool spare"])


HELD = "hold crew of pool pods"


def test_who_matches_a_hold_takes_of_it_too() -> None:
    asked = request(("pods", "spare"), holder=owner("vm"), workload="d/x")
    taken = takes(asked, holding()).names

    assert taken == ("pool pods", "pool spare", HELD)
    assert lacks(NothingFree(("pods", "spare")), taken) == taken
    assert lacks(NothingFree(("spare",)), taken) == ("pool spare",)


def test_who_wants_a_certain_address_does_not_wait_for_all_of_its_hold() -> None:
    asked = request("pods", holder=owner("vm"), wants=["10.0.0.7"], workload="d/x")
    taking = takes(asked, holding())
    taken = taking.names

    assert taken == ("address 10.0.0.7 of default", "pool pods", HELD)
    assert lacks(NothingFree(("pods",)), taken) == ("pool pods",)
    assert may_try(taking, ["pool pods"])
    assert not may_try(taking, ["pool pods", HELD])


def test_a_request_that_no_pool_can_serve_takes_of_nothing() -> None:
    with pytest.raises(PoolUnknown):
        takes(request("other", holder=owner("vm")), known())


TAKEN = (
    "address 10.0.0.7 of default",
    "pool pods",
    "pool spare",
    "quota team IPv4 of namespace a",
    "quota all IPv4 of the namespaces that share it",
)
OF_A, OF_ALL = Tally("team", 4, "", "a"), Tally("all", 4, "", "")


@table(
    "error, lacked",
    {
        "full pools are waited for": (NothingFree(("spare", "pods")), ["pool pods", "pool spare"]),
        "a pool that is not the request's is not": (NothingFree(("pods", "x")), ["pool pods"]),
        "if no pool may serve, waiting does not help": (NothingFree(()), []),
        "a limit that is used up": (QuotaExceeded(OF_A, 1, 1), ["quota team IPv4 of namespace a"]),
        "all limits that are used up, not the strictest alone": (
            QuotaExceeded(OF_A, 1, 1, used_up=(OF_A, OF_ALL)),
            list(TAKEN[-2:]),
        ),
        "not the limit of the other family": (QuotaExceeded(OF_A._replace(family=6), 1, 1), []),
        "full pools, and a limit that closes the others": (
            NothingFree(("spare",), closed_by=QuotaExceeded(OF_A, 1, 1)),
            ["pool spare", "quota team IPv4 of namespace a"],
        ),
        "an address that somebody has": (
            AddressTaken("default", ip_address("10.0.0.7")),
            ["address 10.0.0.7 of default"],
        ),
        "an address that a sticky pool keeps": (
            AddressUnavailable(ip_address("10.0.0.7"), "it cools down", NOW),
            ["address 10.0.0.7 of default"],
        ),
        "an address that nobody may have is not waited for": (
            AddressUnavailable(ip_address("10.0.0.7"), "it is excluded"),
            [],
        ),
        "what cannot be had now, for whatever reason": (Unavailable("no answer"), list(TAKEN)),
    },
)
def test_what_a_refused_request_lacks(error: DomainError, lacked: Sequence[str]) -> None:
    assert list(lacks(error, TAKEN)) == lacked


LINE = [
    waiter(1, "pool pods"),
    waiter(2, "pool spare"),
    waiter(5, "pool pods", "quota q IPv4 of namespace a"),
]


@table(
    "taken, number, ahead",
    {
        "the first has nobody before it": (["pool pods"], 1, 0),
        "who takes of another pool has nobody either": (["pool spare"], 2, 0),
        "who takes of the same pool has all earlier ones that lack it": (["pool pods"], 7, 2),
        "later ones do not count": (["pool pods"], 5, 1),
        "a newcomer has all before it": (["pool pods", "pool spare"], None, 3),
        "of one waiter that lacks several things one is enough": (["quota q IPv4 of namespace a"], 9, 1),
        "who takes of what nobody lacks passes": (["quota q IPv4 of namespace b", "pool x"], None, 0),
    },
)
def test_how_many_stand_before(taken: Sequence[str], number: int | None, ahead: int) -> None:
    assert before(LINE, taken, number) == ahead
    assert bool(blocked(LINE, taken, number)) == bool(ahead)


EITHER = "either pool"
OF_POOL = "quota team IPv4 of namespace a"
"""A quota of the pool `pods` alone."""

TAKINGS = {
    EITHER: takes(
        request(("pods", "spare"), holder=owner("vm"), workload="a/x"), known(replace(TEAM, pool="pods"), ALL)
    ),
    "a pool and its hold": takes(request("pods", holder=owner("vm"), workload="d/x"), holding()),
    "a pool and its hold, within a quota": takes(
        request(("pods", "spare"), holder=owner("vm"), workload="d/x"),
        holding(replace(TEAM, pool="pods", namespaces=("d",))),
    ),
    "one address": takes(request("pods", holder=owner("vm"), wants=["10.0.0.7"]), known()),
}


@table(
    "wants, lacked, may",
    {
        "if nobody before lacks anything": (EITHER, [], True),
        "if another pool is left": (EITHER, ["pool pods"], True),
        "not if no pool is": (EITHER, ["pool pods", "pool spare"], False),
        "if they lack a limit of one pool": (EITHER, [OF_POOL], True),
        "not if that closes the last one": (EITHER, [OF_POOL, "pool spare"], False),
        "not if they lack a limit of all pools": (EITHER, [TAKEN[-1]], False),
        "if there is a hold": ("a pool and its hold", ["pool pods"], True),
        "not if they lack that too": ("a pool and its hold", ["pool pods", HELD], False),
        "a limit of a pool closes its holds": (
            "a pool and its hold, within a quota",
            ["pool spare", "quota team IPv4 of namespace d"],
            False,
        ),
        "not for one certain address": ("one address", ["pool pods"], False),
    },
)
def test_who_may_try_though_others_are_before(wants: str, lacked: Sequence[str], may: bool) -> None:
    assert may_try(TAKINGS[wants], lacked) == may


@table(
    "tally, name",
    {
        "of a namespace in no cluster": (("team", 4, "", "a"), "quota team IPv4 of namespace a"),
        "of a namespace of a cluster": (("team", 6, "c", "a"), "quota team IPv6 of namespace a of cluster c"),
        "of all that share it": (("team", 4, "", ""), "quota team IPv4 of the namespaces that share it"),
    },
)
def test_a_limit_has_the_name_under_which_waiters_are_stored(
    tally: tuple[str, int, str, str], name: str
) -> None:
    """Replicas of several versions compare it: another name here would let some pass others."""
    assert lacks(QuotaExceeded(Tally(*tally), 1, 1), [name]) == (name,)


def test_who_passes_others_leaves_to_them_what_they_lack() -> None:
    asked = request(("pods", "spare"), holder=owner("vm"))

    held = TAKINGS["a pool and its hold, within a quota"]

    assert narrowed(asked, held, []) == asked
    assert narrowed(asked, held, ["pool pods"]).left == LeftToOthers(("pods",), ())
    assert narrowed(asked, held, ["pool pods", HELD]).left == LeftToOthers(("pods",), ("crew",))
    assert narrowed(asked, held, ["quota team IPv4 of namespace d"]).left == LeftToOthers(
        ("pods",), ("crew",)
    )


@settings(deadline=None)
@given(st.lists(st.sets(st.sampled_from("abcd"), min_size=1), min_size=1, max_size=12))
def test_somebody_is_always_first_and_nobody_passes_who_lacks_the_same(lacked: list[set[str]]) -> None:
    line = [waiter(number, *sorted(names)) for number, names in enumerate(lacked, 1)]
    first = [each for each in line if not before(line, each.lacks, each.number)]

    assert line[0] in first
    assert all(
        set(one.lacks).isdisjoint(other.lacks) for one in first for other in line if other.number < one.number
    )


@table(
    "looks, gone",
    {
        "a beat that moves is of one that lives": ([(0, 0), (2, 1), (8, 2), (16, 3)], False),
        "one that stands still for long is not": ([(second, 0) for second in range(10)], True),
        "one that stood still and moved on is": ([(s, 0) for s in range(8)] + [(8, 1), (15, 1)], False),
        "who did not look has seen nothing stand still": ([(0, 0), (60, 0), (61, 0)], False),
        "but sees it if it looks on": ([(0, 0), (60, 0)] + [(60 + s, 0) for s in range(7)], True),
    },
)
def test_whose_replica_is_gone(looks: Sequence[tuple[float, int]], gone: bool) -> None:
    pulse = Pulse()
    found = [pulse.dead([waiter(1, beat=beat)], at) for at, beat in looks]

    assert bool(found[-1]) == gone, found


def test_nobody_is_gone_at_the_first_look() -> None:
    assert Pulse().dead([waiter(number) for number in range(3)], 10 * DEAD_AFTER) == []
