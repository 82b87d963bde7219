"""Bearer tokens as ipamd stores them, and the principals that they identify."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from ipamd.models.instant import Instant
from ipamd.models.node import NodeKey, node_name

TokenHash = bytes
"""The SHA-256 of a token, 32 bytes. ipamd stores nothing else of its text."""


_TOKEN: Final = re.compile(rb"ipamd_[A-Za-z0-9_-]{43}")


class Role(StrEnum):
    """What a token allows."""

    ADMIN = "admin"  # everything
    READER = "reader"  # whatever only reads
    NODE = "node"  # the plugin's calls of one node
    JOIN = "join"  # a node token for a node of one cluster that has none
    INVENTORY = "inventory"  # to say which nodes one cluster has; such a token is in a file, never in a table


def looks_like_token(text: bytes) -> bool:
    """Whether a text has the form of a token: `ipamd_` and 43 letters of base64url, 256 bits."""
    return _TOKEN.fullmatch(text) is not None


def hash_of(text: bytes) -> TokenHash:
    """The hash by which a token is looked up.

    So the time of a look-up tells nothing about existing tokens.
    """
    return sha256(text).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token, without its text.

    `cluster` is that of a node or join token, `node` that of a node token. `previous` is the hash that a
    renewal replaced. It is valid until `previous_until`, because a call under way has the old text.
    `created_by` is the principal that made the token, None if there were no tokens then. `id` is the revision
    of the change that made it.
    """

    id: int
    hash: TokenHash
    role: Role
    name: str | None = None
    cluster: str | None = None
    node: str | None = None
    created: Instant
    created_by: str | None = None
    expires: Instant | None = None
    previous: TokenHash | None = None
    previous_until: Instant | None = None
    revision: int = 0

    @property
    def node_key(self) -> NodeKey | None:
        """The node that a node token is bound to."""
        if self.cluster is None or self.node is None:
            return None
        return NodeKey(self.cluster, node_name(self.node))

    @property
    def principal(self) -> str:
        """The name in log and history if this token was used."""
        if self.node is not None:
            return f"node {self.cluster}/{self.node}"
        return f"token {self.id}" if self.name is None else f"{self.name} (token {self.id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who has sent a token (`token` is its id) or a certificate.

    `node` is the only node that the role `node` speaks for; `cluster` is the only cluster whose nodes the
    role `join` lets in. The token or certificate is valid before `until`. `renewed` says that a renewal has
    replaced the token.
    """

    name: str
    role: Role
    cluster: str | None = None
    node: NodeKey | None = None
    token: int | None = None
    until: Instant | None = None
    renewed: bool = False
