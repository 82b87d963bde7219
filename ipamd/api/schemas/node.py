"""Nodes as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from ipamd.api.schemas.pod_network import ShownMember, member_document
from ipamd.api.schemas.text import Document, Note, Word
from ipamd.engine.inspection.nodes import NodeStanding
from ipamd.engine.inspection.pod_network import AnnouncedNode
from ipamd.models.instant import rfc3339
from ipamd.models.limits import LONGEST_NAME
from ipamd.models.node import SHUT_OUT, Node

Label = Annotated[str, Field(max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f\x7f]*$")]


class NodeLabels(Document):
    """All labels of a node."""

    labels: Annotated[dict[Word, Label], Field(max_length=64)]


class NodeRelease(Document):
    """Why the addresses of a node's containers are released."""

    why: Note = Field(description="Kept in history as `reason`.")
    even_if_alive: bool = Field(False, description="Also if it was heard from in the last 15 minutes.")


class NodeFilter(Document):
    """Which nodes."""

    cluster: Word | None = None


class ShownHolding(TypedDict):
    """What a node holds: addresses of its containers, free seats of its lease, blocks by pool.

    Of the addresses 250 are counted in a list, and 10,000 of one node; `more_addresses` says that there are
    more.
    """

    addresses: int
    more_addresses: bool
    seats: int
    blocks: dict[str, int]


class ShownNode(TypedDict):
    """A node as it is shown. `joined` says that it got a token with a proof.

    If it is `draining`, its containers get nothing new. `gone_since` is since when the inventory of its
    cluster does not name it any more.

    `silent` says that its agent was not heard from for five minutes; it is null if it has no agent, for then
    it calls only if a pod begins or ends. `network` is what the others hear of it in the pod network, null if
    it takes no part.
    """

    cluster: str
    name: str
    labels: dict[str, str]
    joined: bool
    draining: bool
    gone_since: str | None
    last_contact: str | None
    silent: bool | None
    holds: ShownHolding
    network: ShownMember | None


class ShownRemoved(TypedDict):
    """What a node had that was removed.

    `released` are addresses of its containers, `seats` free ones of its lease, `own` its own addresses in the
    pod network.
    """

    cluster: str
    name: str
    released: int
    seats: int
    own: int
    blocks: int


class Evicted(TypedDict):
    """How many addresses of a dead node were released."""

    cluster: str
    name: str
    released: int


def document_of(node: Node, standing: NodeStanding, member: AnnouncedNode | None) -> ShownNode:
    """A node as it is shown."""
    return {
        "cluster": node.cluster,
        "name": node.name,
        "labels": dict(node.labels),
        "joined": node.proof not in (None, SHUT_OUT),
        "draining": node.draining,
        "gone_since": rfc3339(node.gone_since) if node.gone_since is not None else None,
        "last_contact": rfc3339(standing.heard) if standing.heard is not None else None,
        "silent": standing.silent,
        "holds": {
            "addresses": standing.holding.addresses,
            "more_addresses": standing.holding.more_addresses,
            "seats": standing.holding.seats,
            "blocks": dict(standing.holding.blocks),
        },
        "network": member_document(member) if member is not None else None,
    }
