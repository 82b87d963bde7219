"""What a history asks of an engine: containers, pools, and requests as values."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hypothesis import strategies as st

from ipamd.addressing.gateway import default_gateway
from ipamd.engine.engine import Engine
from ipamd.models.address import IPAddress
from ipamd.models.allocation import Workload
from ipamd.models.identity import Identity, Owner, digest_of, owner_in
from ipamd.models.issued import Issued
from ipamd.models.node import NodeKey
from ipamd.models.outcome import Outcome, Refused
from ipamd.models.pool import Pool
from ipamd.models.request import AllocationRequest, Release
from tests.properties.history.values import node_of, workload_of

CONTAINERS = st.integers(0, 5)
SLOTS = st.sampled_from(
    [
        [["tiny"]],
        [["plain"]],
        [["six"]],
        [["affine"]],
        [["plain"], ["six"]],
        [["tiny", "plain"]],
        [["affine"], ["six"], ["tiny"]],
        [["sticky"]],
        [["plain", "sticky"], ["six"]],
    ]
)
OWNERS = st.integers(0, 1)
OWNED_SLOTS = st.sampled_from(
    [[["plain"]], [["six"]], [["affine"]], [["plain"], ["six"]], [["six"], ["affine"]]]
)
LATE = st.one_of(st.just(0), st.just(0), st.integers(1, 12))
"""How many calls ago a call was issued: most are in order."""

POOLS = ["tiny", "plain", "affine", "six", "sticky"]


def pool(name: str, subnet: str, block_length: int, **fields: Any) -> Pool:
    network = ip_network(subnet)
    gateway = default_gateway(network)
    return Pool(
        name=name,
        subnet=network,
        gateway=gateway,
        block_length=block_length,
        cooldown=5,
        owner_keep=4,
        **fields,
    )


def identity(container: int) -> Identity:
    return Identity("default", "pods", node_of(container), f"c{container}", "eth0")


def ask(
    container: int, pool_names: list[list[str]], issued: Issued, requested: tuple[IPAddress, ...] = ()
) -> AllocationRequest:
    return AllocationRequest(
        holder=identity(container),
        pool_names=tuple(map(tuple, pool_names)),
        requested=requested,
        workload=Workload("default", workload_of(container)),
        issued=issued,
    )


async def explained_then_asked(engine: Engine, request: AllocationRequest) -> Outcome:
    """Ask, and see that it gives what an explanation said just before, to the word."""
    explained = (await engine.explain(request)).outcome
    outcome = await engine.submit(request)
    if isinstance(outcome, Refused):
        assert isinstance(explained, Refused)
        assert (type(explained.error), str(explained.error)) == (type(outcome.error), str(outcome.error))
    else:
        assert explained == outcome
    return outcome


def machine(number: int) -> Owner:
    return Owner(f"c{number}", digest_of(str(number)))


def owner_named(owner: int) -> Owner:
    return owner_in("default", "default", f"vm{owner}")


def release(
    container: int, issued: Issued, *, undo: bool = False, delivered: Issued | None = None
) -> Release:
    node = NodeKey("default", node_of(container))
    digest = identity(container).digest
    return Release(digest=digest, node=node, issued=issued, delivered=delivered, undo=undo)
