"""Nodes as ipamd knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ipamd.models.instant import Instant
from ipamd.models.limits import LONGEST_NAME
from ipamd.models.pod_network import Published

_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def node_name(name: str) -> str:
    """A node's name as ipamd knows it: names that differ in case alone are one node's (RFC 4343)."""
    return name.lower() if name.isascii() else name.translate(_LOWER)


def is_node_name(name: str) -> bool:
    """Whether a plugin calls under such a name: 1 to 253 bytes without blanks and control characters."""
    return 0 < len(name.encode()) <= LONGEST_NAME and all(
        character > " " and character != "\x7f" for character in name
    )


class NodeKey(NamedTuple):
    """A node of a cluster. Two clusters may have nodes of the same name."""

    cluster: str
    name: str


class Boot(NamedTuple):
    """One boot of a node. Of two boots the one with the larger number is the later."""

    identity: str
    number: int


SHUT_OUT: Final = bytes(32)
"""In place of a node's proof: no secret has this hash, so nobody joins as the node until it is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node with the labels that an admin gave it.

    `proof` is the SHA-256 (32 bytes) of the secret with which it joined, None if it did not join.
    `SHUT_OUT` in its place says that an admin revoked the node's last token.
    `published` is what it last published for the pod network, None if it takes no part. If it is `draining`,
    its containers get nothing new. It is `listed` if an inventory of its cluster has named it, and gone since
    `gone_since` if the last one does not any more.
    """

    cluster: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    proof: bytes | None = None
    published: Published | None = None
    draining: bool = False
    listed: bool = False
    gone_since: Instant | None = None
    revision: int = 0

    @property
    def key(self) -> NodeKey:
        return NodeKey(self.cluster, self.name)
