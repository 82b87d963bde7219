"""Which pool: those that a request names, or else those whose selectors match it, and why not the others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ipamd.engine.allocation.address_request import AddressRequest
from ipamd.engine.allocation.candidate_pools import candidates_of, count_candidates, why_nothing
from ipamd.engine.allocation.pool_choice import context_of, why_not_selected, why_not_unasked
from ipamd.engine.allocation.selection import select
from ipamd.engine.catalogue import RequestContext
from ipamd.models.errors import (
    AddressUnavailable,
    DomainError,
    Fullness,
    InvalidValue,
    NotAllowed,
    PoolUnknown,
)
from ipamd.models.node import Node, NodeKey
from ipamd.models.pool import Pool, PoolState, Selectors
from ipamd.models.request import AllocationRequest
from ipamd.models.reservation import Reservation
from tests.rules.values import catalogue, container, owner, pool, request, reserved, table

WEB = RequestContext("default", "net", "here", "shop")
"""Who asks in most cases: a workload of namespace shop on node here."""

EXAMPLE = (
    pool("four", "10.0.0.0/24"),
    pool("four-more", "10.0.1.0/24"),
    pool("six", "fd00::/64"),
    pool("by-name", "10.0.2.0/24", auto_assign=False),
    pool("lab", "10.0.3.0/24", selectors=Selectors(namespaces=("lab",))),
    pool("full", "10.0.4.0/29", exclusions=("10.0.4.4",), ranges=("10.0.4.2-10.0.4.5",)),
)
"""Pools that several tables choose from."""


def chosen(wanted: Sequence[AddressRequest]) -> list[str]:
    """Each address of the answer: its pools in turn, and where it must lie."""
    return [
        " or ".join(pool.name for pool in each.pools) + (f" at {each.place}" if each.place else "")
        for each in wanted
    ]


# Selectors ------------------------------------------------------------------------------------------------


@table(
    "selectors, context, why",
    {
        "a pool without selectors is for everybody": (Selectors(), WEB, None),
        "a pool without selectors is for an unknown caller too": (
            Selectors(),
            RequestContext(None, None, None, None),
            None,
        ),
        "one entry of a list must match": (Selectors(namespaces=("bank", "shop")), WEB, None),
        "a cluster not in the list is kept out": (Selectors(clusters=("edge",)), WEB, "cluster edge"),
        "a network not in the list is kept out": (Selectors(networks=("storage",)), WEB, "network storage"),
        "a node not in the list is kept out": (Selectors(nodes=("n1", "n2")), WEB, "n1 or n2"),
        "a namespace not in the list is kept out": (Selectors(namespaces=("bank",)), WEB, "namespace bank"),
        "a caller without a namespace is kept out": (
            Selectors(namespaces=("shop",)),
            WEB._replace(namespace=None),
            "no namespace",
        ),
        "of eight nodes all are named": (
            Selectors(nodes=tuple(f"n{at}" for at in range(8))),
            WEB,
            "n6 or n7, not",
        ),
        "of more nodes eight are named": (
            Selectors(nodes=tuple(f"n{at}" for at in range(9))),
            WEB,
            "n7 or one of 1 more",
        ),
        "all selectors must match": (
            Selectors(clusters=("default",), networks=("net",), nodes=("here",), namespaces=("shop",)),
            WEB,
            None,
        ),
        "one selector that does not match keeps a caller out": (
            Selectors(clusters=("default",), networks=("net",), nodes=("there",), namespaces=("shop",)),
            WEB,
            "node there",
        ),
        "a node with the label is let in": (Selectors(node_labels={"zone": "a"}), WEB, None),
        "a node with another value of the label is kept out": (
            Selectors(node_labels={"zone": "b"}),
            WEB,
            "zone=a",
        ),
        "a node without the label is kept out": (
            Selectors(node_labels={"disk": "ssd"}),
            WEB,
            "no label disk",
        ),
        "a node with one label of two is kept out": (
            Selectors(node_labels={"zone": "a", "rack": "8"}),
            WEB,
            "rack=7",
        ),
        "a node of that name in another cluster has its own labels": (
            Selectors(node_labels={"zone": "a"}),
            WEB._replace(cluster="edge"),
            "no label zone",
        ),
        "a caller without a node is kept out by labels": (
            Selectors(node_labels={"zone": "a"}),
            WEB._replace(node=None),
            "none has no label zone",
        ),
    },
)
def test_whom_the_selectors_of_a_pool_let_in(
    selectors: Selectors, context: RequestContext, why: str | None
) -> None:
    known = catalogue(Node(cluster="default", name="here", labels={"zone": "a", "rack": "7"}))

    said = why_not_selected(pool(selectors=selectors), context, known)

    assert said is None if why is None else why in str(said)


@table(
    "asked, context",
    {
        "a container, by its identity and workload": (request(workload="shop/web"), WEB),
        "a container without a workload": (request(), WEB._replace(namespace=None)),
        "an owner, by the node in whose name it asks": (
            request(holder=owner("vm-1"), node=NodeKey("edge", "host-1")),
            RequestContext("edge", None, "host-1", None),
        ),
        "an owner without a node": (request(holder=owner("vm-1")), RequestContext(None, None, None, None)),
    },
)
def test_what_selectors_know_of_a_request(asked: AllocationRequest, context: RequestContext) -> None:
    assert context_of(asked) == context


# No pool is named -----------------------------------------------------------------------------------------


@table(
    "pools, expected",
    {
        "by name if nothing else decides": ([pool("b", "10.0.1.0/24"), pool("a", "10.0.0.0/24")], ["a or b"]),
        "higher priority first": (
            [pool("a", "10.0.0.0/24"), pool("b", "10.0.1.0/24", priority=5), pool("c", "10.0.2.0/24")],
            ["b or a or c"],
        ),
        "one address for each family that has a pool, IPv4 first": (
            [pool("six", "fd00::/64", priority=9), pool("four", "10.0.0.0/24")],
            ["four", "six"],
        ),
        "one address if one family has a pool": ([pool("six", "fd00::/64")], ["six"]),
        "no pool that must be named (auto_assign is false)": (
            [pool("a", "10.0.0.0/24", auto_assign=False, priority=9), pool("b", "10.0.1.0/24")],
            ["b"],
        ),
        "no pool whose selectors do not match": (
            [
                pool("a", "10.0.0.0/24", selectors=Selectors(namespaces=("bank",))),
                pool("b", "10.0.1.0/24", selectors=Selectors(namespaces=("shop",))),
            ],
            ["b"],
        ),
        "nothing if all pools must be named": ([pool(auto_assign=False)], []),
        "nothing if there is no pool": ([], []),
    },
)
def test_which_pools_serve_a_request_that_names_none(pools: Sequence[Pool], expected: Sequence[str]) -> None:
    assert chosen(select(request(workload="shop/web"), catalogue(*pools))) == expected


@table(
    "rules, why",
    {
        "it serves all whom its selectors let in": (pool(), None),
        "it must be named": (pool(auto_assign=False), "auto_assign"),
        "its selectors do not match": (pool(selectors=Selectors(nodes=("there",))), "node there"),
        "its selectors do not match, and count before its auto_assign": (
            pool(auto_assign=False, selectors=Selectors(nodes=("there",))),
            "node there",
        ),
    },
)
def test_why_a_pool_does_not_serve_a_request_that_names_none(rules: Pool, why: str | None) -> None:
    said = why_not_unasked(rules, WEB, catalogue(rules))

    assert said is None if why is None else why in str(said)


# Pools are named ------------------------------------------------------------------------------------------


@table(
    "asked, expected",
    {
        "one address for each entry, in the order asked for": (request("six", "four"), ["six", "four"]),
        "alternatives in the order named": (request(["four-more", "four"]), ["four-more or four"]),
        "a pool that must be named": (request("by-name"), ["by-name"]),
        "two addresses of one pool that is named twice": (request("four", "four"), ["four", "four"]),
        "no alternative whose selectors do not match": (request(["lab", "four"]), ["four"]),
        "an alternative whose selectors match": (
            request(["lab", "four"], workload="lab/probe"),
            ["lab or four"],
        ),
    },
)
def test_which_pools_serve_a_request_that_names_them(
    asked: AllocationRequest, expected: Sequence[str]
) -> None:
    assert chosen(select(asked, catalogue(*EXAMPLE))) == expected


@table(
    "asked, refusal, why",
    {
        "the selectors do not match: they bind also who names the pool": (
            request("lab"),
            NotAllowed,
            "namespace lab",
        ),
        "the pool is unknown": (request("fourr"), PoolUnknown, "fourr"),
        "one of the alternatives is unknown": (request(["four", "fourr"]), PoolUnknown, "fourr"),
        "the alternatives are of two families": (request(["four", "six"]), InvalidValue, "six"),
    },
)
def test_which_named_pools_are_refused(
    asked: AllocationRequest, refusal: type[DomainError], why: str
) -> None:
    with pytest.raises(refusal, match=why):
        select(asked, catalogue(*EXAMPLE))


def test_a_draining_pool_is_chosen_still_since_its_holders_keep_what_they_have() -> None:
    assert chosen(select(request(), catalogue(pool(state=PoolState.DRAINING)))) == ["pods"]


# Requested addresses --------------------------------------------------------------------------------------


@table(
    "asked, expected",
    {
        "comes from the pool that has it": (request("four", wants=["10.0.0.9"]), ["four at 10.0.0.9"]),
        "narrows alternatives to the pool that has it": (
            request(["four", "four-more"], wants=["10.0.1.9"]),
            ["four-more at 10.0.1.9"],
        ),
        "stands where its pool was asked for": (
            request("six", "four", wants=["10.0.0.9", "fd00::9"]),
            ["six at fd00::9", "four at 10.0.0.9"],
        ),
        "leaves the other families free": (
            request("four", "six", wants=["fd00::9"]),
            ["four", "six at fd00::9"],
        ),
        "may stand beside another of the same pool, if that is named twice": (
            request("four", "four", wants=["10.0.0.9", "10.0.0.7"]),
            ["four at 10.0.0.9", "four at 10.0.0.7"],
        ),
        "may be of a pool that selectors choose": (
            request(wants=["10.0.1.9"]),
            ["four-more at 10.0.1.9", "six"],
        ),
        "may be of a pool with ranges": (request("full", wants=["10.0.4.2"]), ["full at 10.0.4.2"]),
    },
)
def test_where_a_requested_address(asked: AllocationRequest, expected: Sequence[str]) -> None:
    assert chosen(select(asked, catalogue(*EXAMPLE))) == expected


@table(
    "asked, why",
    {
        "the network address": (request("four", wants=["10.0.0.0"]), "network"),
        "the broadcast address": (request("four", wants=["10.0.0.255"]), "broadcast"),
        "the gateway": (request("four", wants=["10.0.0.1"]), "gateway"),
        "an excluded one": (request("full", wants=["10.0.4.4"]), "excluded"),
        "one outside the ranges": (request("full", wants=["10.0.4.6"]), "ranges"),
        "one outside the pool": (request("four", wants=["192.0.2.1"]), "outside"),
        "one of a pool that is not named": (request("four", wants=["10.0.1.9"]), "four-more"),
        "one of a pool that must be named": (request(wants=["10.0.2.9"]), "auto_assign"),
        "one of a pool for others": (request(wants=["10.0.3.9"]), "namespace lab"),
        "one reserved for another": (request("four", wants=["10.0.0.50"]), "shop/web"),
        "one reserved for nobody": (request("four", wants=["10.0.0.60"]), "nobody"),
        "a second one if one address is asked for": (
            request("four", wants=["10.0.0.9", "10.0.0.7"]),
            "10.0.0.9",
        ),
        "one of the other family": (
            request("by-name", wants=["fd00:1::1"]),
            "by-name",
        ),
    },
)
def test_which_requested_addresses_cannot_be_had(asked: AllocationRequest, why: str) -> None:
    known = catalogue(*EXAMPLE, reserved("10.0.0.50", "shop/web"), reserved("10.0.0.60"))

    with pytest.raises(AddressUnavailable, match=why):
        select(asked, known)


# Reservations ---------------------------------------------------------------------------------------------


@table(
    "kept, asked, expected",
    {
        "a workload gets its own unasked": (
            [reserved("10.0.0.50", "shop/web")],
            request("four", workload="shop/web"),
            ["four at 10.0.0.50"],
        ),
        "a workload gets its own if no pool is named": (
            [reserved("10.0.1.50", "shop/web")],
            request(workload="shop/web"),
            ["four-more at 10.0.1.50", "six"],
        ),
        "an owner gets its own": (
            [reserved("10.0.0.50", owner="vm-1")],
            request("four", holder=owner("vm-1")),
            ["four at 10.0.0.50"],
        ),
        "another workload of the namespace does not get it": (
            [reserved("10.0.0.50", "shop/web")],
            request("four", workload="shop/db"),
            ["four"],
        ),
        "a workload of that name in another namespace does not get it": (
            [reserved("10.0.0.50", "shop/web")],
            request("four", workload="bank/web"),
            ["four"],
        ),
        "a container without a workload gets none that is reserved for nobody": (
            [reserved("10.0.0.50")],
            request("four"),
            ["four"],
        ),
        "a workload gets another if the pool of its own is not named": (
            [reserved("10.0.0.50", "shop/web")],
            request("four-more", workload="shop/web"),
            ["four-more"],
        ),
        "a workload gets another if its own is of another space": (
            [reserved("10.0.0.50", "shop/web", space="lab")],
            request("four", workload="shop/web"),
            ["four"],
        ),
        "a workload gets its own and another if it asks for two": (
            [reserved("10.0.0.50", "shop/web")],
            request("four", "four", workload="shop/web"),
            ["four at 10.0.0.50", "four"],
        ),
        "a workload gets as many of its prefix as that has": (
            [reserved("10.0.0.50/31", "shop/web")],
            request("four", "four", "four", workload="shop/web"),
            ["four at 10.0.0.50/31", "four at 10.0.0.50/31", "four"],
        ),
        "a workload gets its own of a prefix that begins before the pool": (
            [reserved("10.0.0.0/23", "shop/web")],
            request("four-more", workload="shop/web"),
            ["four-more at 10.0.0.0/23"],
        ),
        "a workload gets its own of the first alternative that has it": (
            [reserved("10.0.0.0/23", "shop/web")],
            request(["four", "four-more"], workload="shop/web"),
            ["four at 10.0.0.0/23"],
        ),
        "a workload gets its own of each family": (
            [reserved("10.0.0.50", "shop/web"), reserved("fd00::50", "shop/web")],
            request("six", "four", workload="shop/web"),
            ["six at fd00::50", "four at 10.0.0.50"],
        ),
        "a workload may request its own": (
            [reserved("10.0.0.50/31", "shop/web")],
            request("four", workload="shop/web", wants=["10.0.0.51"]),
            ["four at 10.0.0.51"],
        ),
        "a workload gets what it requests, and its own as the second address": (
            [reserved("10.0.0.50", "shop/web")],
            request("four", "four", workload="shop/web", wants=["10.0.0.9"]),
            ["four at 10.0.0.9", "four at 10.0.0.50"],
        ),
        "a workload gets another if it requests that": (
            [reserved("10.0.0.50", "shop/web")],
            request("four", workload="shop/web", wants=["10.0.0.9"]),
            ["four at 10.0.0.9"],
        ),
    },
)
def test_which_reserved_address_a_holder_gets(
    kept: Sequence[Reservation], asked: AllocationRequest, expected: Sequence[str]
) -> None:
    assert chosen(select(asked, catalogue(*EXAMPLE, *kept))) == expected


# Addresses in use -----------------------------------------------------------------------------------------


@table(
    "address, expected",
    {
        "of the pool that has it": ("10.0.0.9", ["four at 10.0.0.9"]),
        "though the pool must be named": ("10.0.2.9", ["by-name at 10.0.2.9"]),
        "though the selectors do not match": ("10.0.3.9", ["lab at 10.0.3.9"]),
    },
)
def test_a_holder_keeps_an_address_that_it_uses_already(address: str, expected: Sequence[str]) -> None:
    [wanted] = select(request(wants=[address], adopted_in="default"), catalogue(*EXAMPLE))

    assert chosen([wanted]) == expected
    assert wanted.adopted


@table(
    "address, space, why",
    {
        "if no pool has it": ("192.0.2.1", "default", "space default"),
        "if a pool of another space has it": ("10.0.0.9", "lab", "space lab"),
        "if nobody may have it": ("10.0.0.1", "default", "gateway"),
        "if it is reserved for another": ("10.0.0.50", "default", "shop/web"),
    },
)
def test_when_a_used_address_is_not_taken_over(address: str, space: str, why: str) -> None:
    known = catalogue(*EXAMPLE, reserved("10.0.0.50", "shop/web"))

    with pytest.raises(AddressUnavailable, match=why):
        select(request(wants=[address], adopted_in=space), known)


# What is told of pools ------------------------------------------------------------------------------------


@table(
    "named, expected",
    {
        "the named ones in their order": (
            (("four-more", "lab"), ("six",)),
            ["four-more 0", "lab 0: namespace lab", "six 1"],
        ),
        "a named one that does not exist": ((("fourr",),), ["fourr 0: no pool"]),
        "the chosen ones if none is named, then all others by name": (
            (),
            [
                "four 0",
                "four-more 0",
                "full 0",
                "six 1",
                "by-name None: auto_assign",
                "lab None: namespace lab",
            ],
        ),
    },
)
def test_which_pools_a_request_looks_at(named: tuple[tuple[str, ...], ...], expected: Sequence[str]) -> None:
    asked = named, WEB, catalogue(*EXAMPLE)
    looked_at = list(candidates_of(*asked))

    assert count_candidates(*asked) == len(looked_at)
    assert len(looked_at) == len(expected)
    for candidate, said in zip(looked_at, expected, strict=True):
        which, _, why = said.partition(": ")
        assert f"{candidate.name} {candidate.position}" == which
        assert why in (candidate.refusal or "")
        assert bool(candidate.refusal) == bool(why)


FULL = Fullness("four", 253, 253, 0, 0, 0, draining=False, ready_at=None)


@table(
    "named, full, expected",
    {
        "how full the pools are": ((("four",),), [FULL], ["253 of 253"]),
        "how full the pools are, and why their alternatives refuse": (
            (("six",), ("four", "lab")),
            [FULL],
            ["253 of 253", "namespace lab"],
        ),
        "how full the chosen pools are, and nothing of others": ((), [FULL], ["253 of 253"]),
        "why the named pools refuse": ((("lab",), ("by-name",)), [], ["namespace lab"]),
        "why each pool refuses if none was chosen": (
            (),
            [],
            ["auto_assign", "namespace lab"],
        ),
    },
)
def test_what_an_error_says_of_pools(
    named: tuple[tuple[str, ...], ...], full: Sequence[Fullness], expected: Sequence[str]
) -> None:
    pools = EXAMPLE if named else [each for each in EXAMPLE if each.name in ("by-name", "lab")]

    said = why_nothing(named, WEB, catalogue(*pools), full).split("; ")

    assert len(said) == len(expected)
    assert all(why in sentence for sentence, why in zip(said, expected, strict=True))


@table(
    "pools, last",
    {
        "all of eight": (8, "pool p7"),
        "eight of nine, and how many more there are": (9, "and 1 more"),
    },
)
def test_how_many_pools_an_error_names(pools: int, last: str) -> None:
    many = [pool(f"p{at}", f"10.0.{at}.0/24", auto_assign=False) for at in range(pools)]

    said = why_nothing((), WEB, catalogue(*many), ()).split("; ")

    assert len(said) == min(pools, 9)
    assert last in said[-1]


def test_two_clusters_may_have_nodes_of_one_name() -> None:
    theirs = pool("edge", "10.0.0.0/24", selectors=Selectors(clusters=("edge",)))
    ours = pool("ours", "10.0.1.0/24", selectors=Selectors(clusters=("default",)))
    known = catalogue(theirs, ours)

    answers = [
        chosen(select(request(holder=container(cluster=name)), known)) for name in ("edge", "default", "edge")
    ]

    assert answers == [["edge"], ["ours"], ["edge"]]
