"""What a node shows of what it was told, and by which ipamd sees that its database is older than that. Pure.

ipamd signs it with a secret that is in the database. So a node can show what it was told, and nothing else,
and a copy of the database knows what its original has signed.
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple

from ipamd.models.census import Census
from ipamd.models.node import NodeKey
from ipamd.models.restoration import order_of

LONGEST: Final = 256
SEPARATOR: Final = "."


class Receipt(NamedTuple):
    """What a node was told: in which timeline, at which revision, and up to the id of which allocation.

    All of it only grows, as long as the database is not put back.
    """

    timeline: str
    revision: int
    told: int


def signed(key: bytes, node: NodeKey, receipt: Receipt) -> str:
    """A receipt as the node keeps it."""
    text = SEPARATOR.join(map(str, receipt))
    return f"{text}{SEPARATOR}{_signature(key, node, text)}"


def verified(key: bytes, node: NodeKey, shown: str) -> Receipt | None:
    """What a node shows; None if ipamd did not sign it for this node with this key."""
    text, _, signature = shown.rpartition(SEPARATOR)
    if not hmac.compare_digest(signature.encode(), _signature(key, node, text).encode()):
        return None
    timeline, revision, told = text.rsplit(SEPARATOR, 2)
    return Receipt(timeline, int(revision), int(told))


def _signature(key: bytes, node: NodeKey, text: str) -> str:
    message = "\0".join((node.cluster, node.name, text))
    return hmac.digest(key, message.encode(), "sha256").hex()[:32]


def what_is_lacking(receipt: Receipt, timeline: str, revision: int, census: Census | None) -> str | None:
    """What a node was told and the database does not know; None if it knows all, or nobody can say.

    `timeline`, `revision` and `census` are the database's. A receipt of a timeline that is over says nothing:
    the database was put back since, and that is known. A node that the database does not know may have been
    forgotten by an admin, which raises the revision.
    """
    if order_of(receipt.timeline) > order_of(timeline):
        return "of a database that was put back, and this one knows nothing of that"
    if receipt.timeline != timeline:
        return None
    if receipt.revision > revision:
        return f"of change {receipt.revision} of the catalogue, and the database knows {revision}"
    if census is None and receipt.revision != revision:
        return None
    known = census.told_within(timeline) if census is not None else 0
    if receipt.told <= known:
        return None
    return f"of allocation {receipt.told}, and the database knows that it was told up to {known}"
