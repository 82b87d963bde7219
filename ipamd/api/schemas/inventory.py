"""Inventories of clusters as JSON."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from ipamd.api.schemas.text import Document, NodeName, Word
from ipamd.engine.inventory import Taken
from ipamd.models.instant import rfc3339

MOST_NODES: Final = 10_000
SOONEST: Final = 900
"""Seconds: as long as a node counts as alive after its last call."""

LATEST: Final = 365 * 86_400


class StatedInventory(Document):
    """All nodes that a cluster has.

    A node that is gone, and was not heard from, for `remove_after` seconds is removed; null removes nobody.
    """

    cluster: Word
    nodes: Annotated[list[NodeName], Field(max_length=MOST_NODES)]
    remove_after: Annotated[int, Field(ge=SOONEST, le=LATEST)] | None = None


class ShownGone(TypedDict):
    """A node that is gone, and since when."""

    name: str
    gone_since: str


class ShownTaken(TypedDict):
    """What became of an inventory.

    If `too_many` nodes are gone, more than half, none is removed: `ipamctl node remove` does, if it is true.
    """

    cluster: str
    gone: list[ShownGone]
    removed: list[str]
    too_many: bool


def taken_document(cluster: str, taken: Taken) -> ShownTaken:
    """What became of an inventory."""
    gone = [(node.name, node.gone_since) for node in taken.gone]
    return {
        "cluster": cluster,
        "gone": [{"name": name, "gone_since": rfc3339(since)} for name, since in gone if since is not None],
        "removed": list(taken.removed),
        "too_many": taken.too_many,
    }
